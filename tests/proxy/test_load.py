"""Many requests with faults under them: none is lost, and memory stays flat. `make load` runs all 10,000."""

import asyncio
import itertools
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.faults import Case, Fault, Upstream, check
from support.proxy import proxy
from support.serving import Server

AT_ONCE = 64
FAULTY = 0.2
FAULTS = (
    Fault("refused_connection", "headers"),
    Fault("status_500", "headers"),
    Fault("cut", "headers"),
    Fault("empty", "first"),
    Fault("wrong_type", "first"),
    Fault("cut", "middle"),
    Fault("cut_utf8", "middle"),
    Fault("malformed", "middle"),
    Fault("stall", "middle"),
    Fault("cut", "end"),
)
PATIENT = {"first_token_ms = 1500": "first_token_ms = 20000", "stall_ms = 1000": "stall_ms = 2500",
           "total_ms = 10000": "total_ms = 120000"}  # fmt: skip
"""A machine that is busy with all this is slow, which is no fault."""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def cases(count: int) -> list[Case]:
    """The same ones in every run."""
    chance = random.Random(7)
    return [Case((chance.choice(FAULTS),) if chance.random() < FAULTY else ()) for _ in range(count)]


def memory_of(server: Server) -> float:
    """The resident memory of the proxy in MB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1024


async def run(server: Server, upstream: Upstream, cases: list[Case]) -> Counter[str]:
    """How the cases went, AT_ONCE at a time: what was wrong, and how often."""
    wrong: Counter[str] = Counter()
    waiting = iter(cases)

    async def work(client: httpx.AsyncClient) -> None:
        for case in waiting:
            try:
                await check(client, upstream, case)
            except Exception as error:
                wrong[f"{case}: {error!r}"[:300]] += 1

    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits) as client:
        await asyncio.gather(*(work(client) for _ in range(AT_ONCE)))
    return wrong


def load(upstream: Upstream, folder: Path, count: int, parts: int) -> list[float]:
    """Send so many requests in parts; gives the memory of the proxy after each, in MB."""
    everything, memory = cases(count), list[float]()
    with proxy(upstream, folder, replace=PATIENT) as server:
        started, size = time.perf_counter(), count // parts
        for sent in range(0, count, size):
            assert asyncio.run(run(server, upstream, everything[sent : sent + size])) == {}
            memory.append(memory_of(server))
            print(f"\n{sent + size:6} requests, {time.perf_counter() - started:4.0f} s, {memory[-1]:.1f} MB", end="")
        assert "Traceback" not in server.log
        assert "ERROR" not in server.log
        assert "edgewise_requests_under_way 0.0" in httpx.get(f"{server.url}/metrics").text
        _check_upstream(upstream)
    return memory


def _check_upstream(upstream: Upstream) -> None:
    """No call goes on that nobody waits for, and connections are kept for use again, not piled up."""
    end = time.monotonic() + 5
    while upstream.under_way and time.monotonic() < end:
        time.sleep(0.05)
    assert upstream.under_way == 0
    assert upstream.open_connections <= AT_ONCE


def test_some_hundred_requests(upstream: Upstream, tmp_path: Path) -> None:
    memory = load(upstream, tmp_path, 300, parts=3)
    assert memory[-1] - memory[0] < 24


@pytest.mark.heavy
def test_ten_thousand_requests(upstream: Upstream, tmp_path: Path) -> None:
    memory = load(upstream, tmp_path, 10_000, parts=10)
    assert memory[-1] - memory[0] < 8


def reload_under_traffic(upstream: Upstream, folder: Path, count: int) -> None:
    """Read the configuration again so many times while requests are answered."""
    with proxy(upstream, folder, replace=PATIENT) as server:

        async def ask(client: httpx.AsyncClient, stop: asyncio.Event) -> int:
            asked = 0
            for case in itertools.cycle(cases(1000)):
                if stop.is_set():
                    break
                await check(client, upstream, case)
                asked += 1
            return asked

        async def ask_while_reloading() -> int:
            stop = asyncio.Event()
            async with httpx.AsyncClient(base_url=server.url, timeout=120) as client:
                askers = [asyncio.create_task(ask(client, stop)) for _ in range(8)]
                for number in range(1, count + 1):
                    server.send(signal.SIGHUP)
                    await asyncio.to_thread(server.wait_for, "reloaded:", 30, number)
                    await asyncio.sleep(0.1)
                stop.set()
                return sum(await asyncio.gather(*askers))

        asked = asyncio.run(ask_while_reloading())
        print(f"\n{asked} requests during {count} reloads")
        assert asked > count // 2
        assert "ERROR" not in server.log


def test_requests_are_answered_during_ten_reloads(upstream: Upstream, tmp_path: Path) -> None:
    reload_under_traffic(upstream, tmp_path, 10)


@pytest.mark.heavy
def test_requests_are_answered_during_a_hundred_reloads(upstream: Upstream, tmp_path: Path) -> None:
    reload_under_traffic(upstream, tmp_path, 100)
