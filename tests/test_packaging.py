"""The wheel carries everything: built, installed in a clean environment, and run from an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.packaging


def run(*command: object, cwd: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ABKIT_", "PYTHON", "VIRTUAL"))}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=clean, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_queries_dashboards_and_data_are_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for kept in ("queries", "dashboards", "data"):
        wanted = {
            f"abkit/_share/{path.relative_to(ROOT)}"
            for path in (ROOT / kept).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert wanted
        assert wanted <= names, wanted - names
    assert "abkit/py.typed" in names
    assert not any(name.startswith("tests/") for name in names)


def test_an_installed_demo_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    # The locked versions, and of them only what the core needs: no extra is installed.
    pins = re.findall(r"^\S+==.*(?= \\$)", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    (tmp_path / "pins.txt").write_text("\n".join(pins) + "\n")
    uv = Path(sys.executable).with_name("uv")
    environment = tmp_path / "venv"
    run(uv, "venv", "--quiet", "--python", sys.executable, environment, cwd=tmp_path)
    python = environment / "bin" / "python"
    run(uv, "pip", "install", "--quiet", "--python", python, "-c", tmp_path / "pins.txt", wheel, cwd=tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    out = run(environment / "bin" / "abkit", "demo", cwd=empty)
    assert "SHIP" in out
    assert sorted(path.name for path in empty.iterdir()) == ["abkit-demo"]
    where = run(python, "-c", "import abkit; print(abkit.__file__)", cwd=empty).strip()
    assert str(environment) in where, "the checkout must not be what ran"
    done = subprocess.run(
        [environment / "bin" / "abkit", "dashboard"], cwd=empty, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "pip install 'abkit[dashboard]'" in done.stderr
