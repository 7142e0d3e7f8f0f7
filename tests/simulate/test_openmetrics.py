from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from abkit.simulate import MINUTE, SampleColumns, Users, run, to_openmetrics, with_troubles
from tests.simulate.reader import runs
from tests.simulate.worlds import START, two_arms

_LINE = re.compile(r"(?P<name>[a-z_]+)\{(?P<labels>.*)\} (?P<value>\S+) (?P<time>\d+\.\d{3})")
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


@cache
def small() -> SampleColumns:
    world = two_arms(users=Users(count=200), end_ms=START + 40 * MINUTE, seed=2)
    return run(with_troubles(dataclasses.replace(world, replicates=4))).samples


def triples(samples: SampleColumns) -> Iterator[tuple[tuple[tuple[str, str], ...], int, float]]:
    for labels, times, values in runs(samples):
        for time, value in zip(times.tolist(), values.tolist(), strict=True):
            yield tuple(sorted(labels.items())), time, value


def test_text_says_what_the_samples_say() -> None:
    samples = small()
    text = "".join(to_openmetrics(samples))
    assert text.endswith("\n# EOF\n")
    found = []
    family = kind = ""
    seen = set()
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            _, _, family, kind = line.split()
            assert family not in seen, "a family must be in one piece"
            seen.add(family)
        elif not line.startswith("#"):
            match = _LINE.fullmatch(line)
            assert match, line
            suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}[kind]
            assert match["name"] in [family + suffix for suffix in suffixes]
            labels = [("__name__", match["name"]), *_LABEL.findall(match["labels"])]
            found.append((tuple(sorted(labels)), round(float(match["time"]) * 1000), float(match["value"])))
    assert sorted(found) == sorted(triples(samples))


def test_label_values_are_escaped() -> None:
    samples = SampleColumns(
        ({"__name__": "up", "job": 'a "b" \\ c\nd'},), np.zeros(1, np.int32), np.array([1500]), np.array([0.25])
    )
    assert 'up{job="a \\"b\\" \\\\ c\\nd"} 0.25 1.500\n' in "".join(to_openmetrics(samples))


@pytest.mark.prometheus
def test_promtool_takes_the_text_and_gives_back_the_samples(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: apt-get install prometheus"
    samples = small()
    text = tmp_path / "world.om"
    with text.open("w", encoding="utf-8") as file:
        file.writelines(to_openmetrics(samples))
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", str(text), str(tmp_path / "tsdb")],
        check=True,
        capture_output=True,
    )
    (tmp_path / "tsdb" / "wal").mkdir()  # a running server would have one, and dump insists on it
    dumped = subprocess.run(
        [promtool, "tsdb", "dump", str(tmp_path / "tsdb")], check=True, capture_output=True, text=True
    ).stdout
    found = []
    for line in dumped.splitlines():
        labels, _, rest = line.partition("} ")
        value, time = rest.split()
        found.append((tuple(sorted(_LABEL.findall(labels))), int(time), float(value)))
    assert sorted(found) == sorted(triples(samples))
