"""The bench of gateways: what it measures of a gateway whose delays are known, and what it says where one fails."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edgewise_build import gateways, proxy_bench
from edgewise_build.errors import BuildError
from edgewise_build.gateways import PYTHON, WORKER, Gateway, free_port, python_proxy, running
from edgewise_build.proxy_report import markdown, svg, targets

DELAY_MS = 20


class _Slow(BaseHTTPRequestHandler):
    """Answers after a delay; a stream's second chunk comes after another."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        time.sleep(DELAY_MS / 1000)
        self.send_response(self.status)
        if b'"stream": true' in body:
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self._chunk(b'data: {"content": "a"}\n\n')
            time.sleep(DELAY_MS / 1000)
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")
        else:
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, *_: Any) -> None:
        pass


class _Broken(_Slow):
    status = 503


class _Server(ThreadingHTTPServer):
    request_queue_size = 2 * proxy_bench.CONNECTIONS


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[Gateway]:
    server = _Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield Gateway("slow", f"http://127.0.0.1:{server.server_port}/v1", pid=1)
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def slow(_upstream: str, _folder: Path) -> Iterator[Gateway]:
    with serving(_Slow) as gateway:
        yield gateway


@contextlib.contextmanager
def broken(_upstream: str, _folder: Path) -> Iterator[Gateway]:
    with serving(_Broken) as gateway:
        yield gateway


def test_delays_are_measured() -> None:
    seen: list[str] = []
    report = proxy_bench.bench([slow, python_proxy], n=10, seconds=0.3, progress=seen.append)
    direct, late, ours = report["rows"]
    assert seen == [direct["name"], "slow", PYTHON] * proxy_bench.ROUNDS
    assert [row["n"] for row in report["rows"]] == [10, 10, 10]
    assert direct["whole_ms"]["p50"] == direct["first_chunk_ms"]["p50"] == 0
    assert direct["whole_ms"]["direct_p50"] + late["whole_ms"]["p50"] >= DELAY_MS
    assert direct["first_chunk_ms"]["direct_p50"] + late["first_chunk_ms"]["p50"] >= DELAY_MS
    assert 0 < late["whole_per_second"] <= proxy_bench.CONNECTIONS * 1000 / DELAY_MS
    assert 0 < late["streams_per_second"] <= proxy_bench.CONNECTIONS * 1000 / (2 * DELAY_MS)
    for added in (ours["whole_ms"], ours["first_chunk_ms"]):
        low, high = added["p50_interval"]
        assert 0 < low <= added["p50"] <= high
        assert added["p50"] <= added["p99"]
    assert ours["whole_per_second"] > 0
    assert ours["streams_per_second"] > 0
    assert 20 < ours["memory_at_rest_mb"] <= ours["memory_after_mb"] + 5


def test_the_first_chunk_and_the_end_of_a_stream() -> None:
    async def ask() -> tuple[float, float]:
        with serving(_Slow) as gateway:
            async with proxy_bench.Client(gateway) as client:
                return await client.ask(True)

    first, end = asyncio.run(ask())
    assert first >= DELAY_MS
    assert end - first >= DELAY_MS / 2


def test_an_answer_that_is_none() -> None:
    with pytest.raises(BuildError, match=r"^slow answered http/1\.1 503 service unavailable$"):
        proxy_bench.bench([broken], n=10, seconds=1)


def test_a_gateway_that_does_not_start() -> None:
    command = ["python3", "-c", "raise SystemExit('no such key')"]
    with pytest.raises(BuildError, match=r"^Gate does not start: no such key$"), running("Gate", command, free_port()):
        pass


def test_a_gateway_that_cannot_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, script in (("node", "echo v22.0.0"), ("npm", "exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(gateways, "FOLDER", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    message = r"^Portkey's gateway could not be installed: run `npm ci --silent` in build/peers/gateways"
    with pytest.raises(BuildError, match=message), gateways.portkey("http://127.0.0.1:1/v1", tmp_path):
        pass


def row(name: str, added: float, ours: bool = False) -> dict[str, Any]:
    times = {"p50": added, "p99": added * 4, "p50_interval": [added - 0.1, added + 0.1], "direct_p50": 0.06}
    rates = {"whole_per_second": 1234, "streams_per_second": 99, "memory_at_rest_mb": 70, "memory_after_mb": 80}
    return {"name": name, "ours": ours, "n": 100, "whole_ms": times, "first_chunk_ms": times, **rates}


def report_of(worker: float, python: float) -> dict[str, Any]:
    rows = [row("none", 0), row(PYTHON, python, ours=True), row(WORKER, worker, ours=True)]
    rows += [row("LiteLLM 1 proxy", 6.0), row("Portkey 1 gateway", 1.5)]
    return {"commit": "abc", "machine": "a machine", "load": 0.1, "rounds": 10, "connections": 32, "rows": rows}


def test_targets() -> None:
    assert [met for *_, met in targets(report_of(1.4, 1.9))] == [True, True]
    assert [met for *_, met in targets(report_of(1.6, 2.1))] == [False, False]
    assert targets({"rows": [row(PYTHON, 1), row("LiteLLM", 9)]})[0][1:] == ("3.00 ms", "1.00 ms", True)
    assert targets({"rows": [row(PYTHON, 1), row(WORKER, 1)]}) == []


def test_page() -> None:
    page = markdown(report_of(1.6, 1.9))
    assert (
        "| edgewise, Python proxy | 1.90 [1.80, 2.00] | 7.6 | 1.90 [1.80, 2.00] | 7.6 | 1,234 | 99 | 70 | 80 |" in page
    )
    assert "| the Worker adds less than Portkey's gateway | 1.50 ms | 1.60 ms | **missed** |" in page
    assert "| the Python proxy adds at most a third of LiteLLM's | 2.00 ms | 1.90 ms | met |" in page


def test_the_page_in_the_docs_is_that_of_its_figures() -> None:
    report = json.loads((proxy_bench.DOCS / "proxy-benchmarks.json").read_text(encoding="utf-8"))
    assert (proxy_bench.DOCS / "proxy-benchmarks.md").read_text(encoding="utf-8") == markdown(report)


def test_plot() -> None:
    picture = svg(report_of(1.6, 1.9))
    assert all(text in picture for text in (PYTHON, WORKER, "LiteLLM 1 proxy", ">1.60<", "whole answer"))
    assert "none" not in picture.replace("fill: none", "").replace("none;", "")
