"""Servers that answer nonsense, or not at all: exit code 3, one clear line, and the store as it was."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.runner import abkit

SPEC = """\
metadata: {name: shop}
service: shop
variants: {control: v1, treatment: v2}
metrics: [conversion]
source: {prometheus: "URL", retries: 1, timeout: 2s, bearer-token-env: SHOP_TOKEN}
analysis: {start: 2026-11-01, end: 2026-11-02}
"""
EMPTY = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": []}})


@contextmanager
def server(status: int, body: str, kind: str = "application/json") -> Iterator[tuple[str, list[str]]]:
    """A server that always answers the same; also collects the credentials it was shown."""
    shown: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            shown.append(self.headers.get("Authorization", ""))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_port}", shown
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


def series(variant: str) -> dict[str, object]:
    labels = {"__name__": "ab_page_views_total", "ab_experiment": "shop", "ab_variant": variant, "ab_replicate": "3"}
    labels |= {"ab_assignment": "hash", "job": "shop", "instance": "a"}
    return {"metric": labels, "values": [[1_793_491_200 + 60 * n, str(n)] for n in range(10)]}


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, '{"status":"error","errorType":"bad_data","error":"parse error at char 3"}', "application/json", "400"),
        (401, "no", "text/plain", "401"),
        (403, "no", "text/plain", "403"),
        (422, '{"status":"error","errorType":"execution","error":"expanding series"}', "application/json", "422"),
        (500, "oops", "text/plain", "500"),
        (503, "later", "text/plain", "503"),
        (200, "<html><body>Sign in</body></html>", "text/html", "HTML"),
        (200, '{"status":"success","data":{"resultType":"matrix","result":[', "application/json", ""),
        (200, '{"status":"success","data":{"resultType":"scalar","result":[0,"1"]}}', "application/json", "scalar"),
        (200, "", "application/json", ""),
    ],
)
def test_a_server_that_is_no_good(status: int, body: str, kind: str, words: str, tmp_path: Path) -> None:
    good = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": [series("control")]}})
    with server(200, good) as (url, _):
        (tmp_path / "shop.yaml").write_text(SPEC.replace("URL", url))
        assert abkit("pull", "shop.yaml", cwd=tmp_path, SHOP_TOKEN="s3cret").code == 0
    before = (tmp_path / "abkit.duckdb").read_bytes()
    with server(status, body, kind) as (url, shown):
        ran = abkit("pull", "shop.yaml", "--prometheus", url, cwd=tmp_path, SHOP_TOKEN="s3cret")
    assert ran.code == 3, ran.err
    assert words in ran.err
    assert url in ran.err
    assert "s3cret" not in ran.err + ran.out
    assert shown[0] == "Bearer s3cret"
    assert (tmp_path / "abkit.duckdb").read_bytes() == before


def test_an_empty_answer_is_said_and_no_data(tmp_path: Path) -> None:
    with server(200, EMPTY) as (url, _):
        (tmp_path / "shop.yaml").write_text(SPEC.replace("URL", url))
        ran = abkit("pull", "shop.yaml", cwd=tmp_path, SHOP_TOKEN="x")
    assert ran.code == 0
    assert "has no samples of this experiment" in ran.out
    verdict = abkit("verdict", "shop.yaml", "--json", "--exit-code", cwd=tmp_path)
    assert (json.loads(verdict.out)["verdict"], verdict.code) == ("no-data", 30)


def test_one_variant_missing_is_no_data(tmp_path: Path) -> None:
    good = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": [series("control")]}})
    with server(200, good) as (url, _):
        (tmp_path / "shop.yaml").write_text(SPEC.replace("URL", url))
        assert abkit("pull", "shop.yaml", cwd=tmp_path, SHOP_TOKEN="x").code == 0
    document = json.loads(abkit("verdict", "shop.yaml", "--json", cwd=tmp_path).out)
    assert document["verdict"] == "no-data"
    assert "treatment (version v2)" in document["reasons"][0]


def test_values_that_are_no_numbers_are_dropped_and_said(tmp_path: Path) -> None:
    both = [series("control"), series("treatment")]
    both[0]["values"] = [[1_793_491_200 + 60 * n, text] for n, text in enumerate(["0", "NaN", "+Inf", "-Inf", "7"])]
    with server(200, json.dumps({"status": "success", "data": {"resultType": "matrix", "result": both}})) as (url, _):
        (tmp_path / "shop.yaml").write_text(SPEC.replace("URL", url))
        ran = abkit("pull", "shop.yaml", cwd=tmp_path, SHOP_TOKEN="x")
    assert ran.code == 0, ran.err
    assert "NaN, infinite" in ran.out
    verdict = abkit("verdict", "shop.yaml", "--json", cwd=tmp_path)
    assert verdict.code == 0
    assert "NaN" not in json.dumps(json.loads(verdict.out)["metrics"])


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SPEC.replace("URL", "http://127.0.0.1:9"))
    ran = abkit("pull", "shop.yaml", cwd=tmp_path)
    assert ran.code == 2
    assert "SHOP_TOKEN" in ran.err
