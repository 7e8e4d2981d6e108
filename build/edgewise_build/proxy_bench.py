"""What a gateway adds to a call: `make bench-proxy`, which writes docs/proxy-benchmarks.md, its JSON and its plot.

Each gateway stands before the same mock upstream, which answers at once, and is asked by the same client on the same
machine, in turns, so that a busy moment hits all of them. What a gateway adds to a call is the time of the call less
the median time of a direct one.
"""

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress

from edgewise.bench import commit, load, machine
from edgewise.errors import EdgewiseError
from edgewise.percentiles import median_interval, percentile
from edgewise_build.checkout import ROOT
from edgewise_build.errors import BuildError
from edgewise_build.gateways import OTHERS, OURS, Gateway, Start, upstream
from edgewise_build.proxy_report import markdown, svg

ROUNDS = 10
CONNECTIONS = 32
DOCS = ROOT / "docs"

_PROMPT = (
    "Summarize the following note for a colleague in two sentences. We met on Tuesday to talk about the move of the"
    " archive. The lift is too small for the shelves, so they go through the window on the second floor, and somebody"
    " has to ask the city for a permit to close the street."
)


@dataclass
class Measured:
    """What was measured of a gateway: times in milliseconds, answers a second, memory in MB."""

    gateway: Gateway
    memory_at_rest_mb: float
    whole_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    whole_per_second: list[float] = field(default_factory=list)
    streams_per_second: list[float] = field(default_factory=list)


class Client:
    """One connection that is kept: sends a request, reads its answer."""

    def __init__(self, gateway: Gateway) -> None:
        self._name = gateway.name
        host, self._path = gateway.url.removeprefix("http://").split("/", 1)
        self._host, self._port = host.split(":")
        self._requests = {streams: self._request(gateway, streams) for streams in (False, True)}

    def _request(self, gateway: Gateway, streams: bool) -> bytes:
        messages = [{"role": "user", "content": _PROMPT}]
        body = json.dumps({"model": gateway.model, "messages": messages, "stream": streams}).encode()
        lines = [f"POST /{self._path}/chat/completions HTTP/1.1", f"host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in gateway.headers.items()]
        lines += ["content-type: application/json", f"content-length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode() + body

    async def __aenter__(self) -> "Client":
        self._reader, self._writer = await asyncio.open_connection(self._host, int(self._port), limit=2**20)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def ask(self, streams: bool) -> tuple[float, float]:
        """Milliseconds until the first text and until the end. Raises BuildError for anything but an answer."""
        started = time.perf_counter()
        self._writer.write(self._requests[streams])
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise BuildError(f"{self._name} answered {head.splitlines()[0].decode()}")
        if b"content-length:" in head:
            await self._reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
            first = time.perf_counter()
        else:
            first = await self._read_chunks()
        return (first - started) * 1000, (time.perf_counter() - started) * 1000

    async def _read_chunks(self) -> float:
        first = 0.0
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            piece = await self._reader.readexactly(size + 2)
            if not first and b'"content"' in piece:
                first = time.perf_counter()
        await self._reader.readexactly(2)
        return first


async def _measure_round(measured: Measured, n: int, seconds: float) -> None:
    """n calls of each kind one after the other, then `seconds` of each kind over all connections."""
    async with Client(measured.gateway) as client:
        for streams in (False, True):
            for _ in range(max(3, n // 10)):
                await client.ask(streams)
        for _ in range(n):
            measured.whole_ms.append((await client.ask(False))[1])
            measured.first_ms.append((await client.ask(True))[0])
    measured.whole_per_second.append(await _answers_per_second(measured.gateway, False, seconds))
    measured.streams_per_second.append(await _answers_per_second(measured.gateway, True, seconds))


async def _answers_per_second(gateway: Gateway, streams: bool, seconds: float) -> float:
    answered, started = 0, time.perf_counter()

    async def work() -> None:
        nonlocal answered
        async with Client(gateway) as client:
            while time.perf_counter() < started + seconds:
                await client.ask(streams)
                answered += 1

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return answered / (time.perf_counter() - started)


async def _measure(all_measured: Sequence[Measured], n: int, seconds: float, progress: Callable[[str], None]) -> None:
    for _ in range(ROUNDS):
        for measured in all_measured:
            progress(measured.gateway.name)
            await _measure_round(measured, max(1, n // ROUNDS), seconds / ROUNDS)


def bench(
    starts: Sequence[Start], *, n: int, seconds: float, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """The report in its JSON shape: a row of the direct way, then one of each gateway.

    Each gets n calls of each kind one after the other, and `seconds` of each kind over 32 connections.
    Raises BuildError where a gateway cannot be installed, does not start, or does not answer.
    """
    before = load()
    with contextlib.ExitStack() as stack:
        direct = stack.enter_context(upstream())
        gateways = [direct]
        for start in starts:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            gateways.append(stack.enter_context(start(direct.url, folder)))
        all_measured = [Measured(gateway, gateway.memory_mb) for gateway in gateways]
        asyncio.run(_measure(all_measured, n, seconds, progress))
        rows = [_row(measured, all_measured[0]) for measured in all_measured]
    about = {"commit": commit(), "machine": machine(), "load": before, "rounds": ROUNDS, "connections": CONNECTIONS}
    return {**about, "rows": rows}


def _row(measured: Measured, direct: Measured) -> dict[str, Any]:
    return {
        "name": measured.gateway.name,
        "ours": measured.gateway.ours,
        "n": len(measured.whole_ms),
        "whole_ms": _added(measured.whole_ms, direct.whole_ms),
        "first_chunk_ms": _added(measured.first_ms, direct.first_ms),
        "whole_per_second": round(percentile(measured.whole_per_second, 0.5)),
        "streams_per_second": round(percentile(measured.streams_per_second, 0.5)),
        "memory_at_rest_mb": round(measured.memory_at_rest_mb),
        "memory_after_mb": round(measured.gateway.memory_mb),
    }


def _added(times: Sequence[float], direct: Sequence[float]) -> dict[str, Any]:
    base = percentile(direct, 0.5)
    low, high = median_interval(times)
    added = {share: round(percentile(times, at) - base, 2) for share, at in (("p50", 0.5), ("p99", 0.99))}
    return {**added, "p50_interval": [round(low - base, 2), round(high - base, 2)], "direct_p50": round(base, 2)}


@click.command()
@click.option("-n", default=1000, show_default=True, help="Calls of each kind, one after the other.")
@click.option("--seconds", default=20.0, show_default=True, help="How long throughput of each kind is measured.")
@click.option("--ours", is_flag=True, help="Leave the other gateways out, and print without writing the page.")
def main(n: int, seconds: float, ours: bool) -> None:
    """Measure what gateways add to a call, side by side, and write docs/proxy-benchmarks.md."""
    starts = OURS if ours else (*OURS, *OTHERS)
    with Progress(transient=True) as bar:
        task = bar.add_task("starting", total=ROUNDS * (1 + len(starts)))
        try:
            report = bench(
                starts, n=n, seconds=seconds, progress=lambda name: bar.update(task, advance=1, description=name)
            )
        except EdgewiseError as error:
            raise click.UsageError(str(error)) from None
    page = markdown(report)
    if not ours:
        (DOCS / "proxy-benchmarks.md").write_text(page, encoding="utf-8")
        (DOCS / "proxy-benchmarks.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (DOCS / "proxy-benchmarks.svg").write_text(svg(report), encoding="utf-8")
    click.echo(page)


if __name__ == "__main__":
    main()
