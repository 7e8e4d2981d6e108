"""The bench: how long a decision takes, inside the module and with the host around it, and what the module weighs.

Time inside the module is taken over batches of BATCH decisions that a tiny WebAssembly loop makes without leaving the
runtime; so it holds no call overhead, and its percentiles are those of batch means. Time of a call is taken one
decision at a time, from the parsed request to the decision object.
"""

import gzip
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Self

import wasmtime

from edgewise.config import load_config
from edgewise.core.tokens import estimate
from edgewise.engine import ComponentEngine, CoreModuleEngine, Engine, component_bytes
from edgewise.packing import pack_policy
from edgewise.percentiles import median_interval, percentile
from edgewise.request import Request

BATCH = 8
COLD_STARTS = 5
PROMPT_VARIANTS = 16

_REPEAT = """
(module
  (import "router" "route" (func $route (param i32) (result i32)))
  (func (export "repeat") (param $address i32) (param $times i32)
    (loop $again
      (drop (call $route (local.get $address)))
      (local.set $times (i32.sub (local.get $times) (i32.const 1)))
      (br_if $again (local.get $times)))))
"""

_TEXT = """
Could you look at the quarterly figures that Marta pasted below and tell me why the margin in the northern region
fell although sales went up? I suspect the freight contract from March, yet the warehouse team says that returns
doubled after the new packaging came in. Please keep it under two hundred words, name the two strongest causes with
a number for each, and finish with one question that I should put to the supplier tomorrow morning. If the table is
not enough to say, say so plainly. Region north: 412 orders, 38,120 gross, 2,904 returned, freight 6,310; region
south: 390 orders, 36,004 gross, 1,122 returned, freight 4,880; last quarter north: 371 orders, 34,870 gross, 1,401
returned, freight 4,795."""


class Latency(NamedTuple):
    """Percentiles of measured times in microseconds; the 95% confidence interval of the median is `low` to `high`."""

    p50: float
    p99: float
    low: float
    high: float

    @classmethod
    def of(cls, times: Sequence[float]) -> Self:
        """The percentiles of times in microseconds, to a tenth."""
        shares = percentile(times, 0.5), percentile(times, 0.99), *median_interval(times)
        return cls(*(round(share, 1) for share in shares))

    def to_json(self) -> dict[str, Any]:
        """The JSON shape."""
        return {"p50": self.p50, "p99": self.p99, "p50_interval": [self.low, self.high]}


@dataclass(frozen=True)
class Row:
    """One line of the bench. `inside_us` is None where the runtime gives no way to measure inside it."""

    backend: str
    runtime: str
    tokens: int
    n: int
    inside_us: Latency | None
    call_us: Latency
    gzip_bytes: int
    cold_ms: float
    memory_bytes: int

    def to_json(self) -> dict[str, Any]:
        """The row's JSON shape."""
        inside = None if self.inside_us is None else self.inside_us.to_json()
        return {**vars(self), "inside_us": inside, "call_us": self.call_us.to_json()}


def prompts(tokens: int) -> list[Request]:
    """Requests whose one message has about `tokens` tokens, each beginning at another word of the same text."""
    words = _TEXT.split()
    return [_prompt(words[start:] + words[:start], tokens) for start in range(PROMPT_VARIANTS)]


def _prompt(words: list[str], tokens: int) -> Request:
    text = " ".join(words)
    size = estimate(bytearray(text.encode()), 0, len(text.encode()))
    repeated = " ".join([text] * (tokens // size + 1))
    return Request.parse({"text": repeated[: max(1, len(text) * tokens // size)]})


def bench(runtime: str, tokens: list[int], n: int, progress: Callable[[], None] = lambda: None) -> Iterator[Row]:
    """One row for each number of tokens: n calls and n batches on the aot build under `wasmtime` or its components."""
    data = component_bytes()
    create: Callable[[bytes], CoreModuleEngine | ComponentEngine]
    create = CoreModuleEngine if runtime == "wasmtime" else ComponentEngine
    cold_ms = _cold_start(lambda: create(data))
    engine = create(data)
    engine.load_policy(pack_policy(load_config()))
    for count in tokens:
        requests = prompts(count)
        call_us = _time_calls(engine, requests, n)
        inside_us = _time_inside(engine, requests, n) if isinstance(engine, CoreModuleEngine) else None
        memory = engine.memory_bytes if isinstance(engine, CoreModuleEngine) else 0
        progress()
        yield Row(engine.backend, engine.runtime, count, n, inside_us, call_us, gzip_size(data), cold_ms, memory)


def gzip_size(data: bytes) -> int:
    """The size after gzip at its best level, in bytes."""
    return len(gzip.compress(data, 9, mtime=0))


def _cold_start(create: Callable[[], Engine]) -> float:
    """The median time to an engine that could decide, its compiled code being cached on disk; in milliseconds."""
    times = []
    for _ in range(COLD_STARTS):
        started = time.perf_counter_ns()
        create()
        times.append((time.perf_counter_ns() - started) / 1e6)
    return round(percentile(times, 0.5), 2)


def _time_calls(engine: Engine, requests: list[Request], n: int) -> Latency:
    times = []
    for index in range(n):
        request = requests[index % len(requests)]
        started = time.perf_counter_ns()
        engine.decide(request)
        times.append((time.perf_counter_ns() - started) / 1000)
    return Latency.of(times)


def _time_inside(engine: CoreModuleEngine, requests: list[Request], n: int) -> Latency:
    module = wasmtime.Module(engine.compiler, _REPEAT)
    repeat: Any = wasmtime.Instance(engine.store, module, [engine.route_function]).exports(engine.store)["repeat"]
    times = []
    for index in range(n):
        address = engine.place(requests[index % len(requests)])
        started = time.perf_counter_ns()
        repeat(engine.store, address, BATCH)
        times.append((time.perf_counter_ns() - started) / 1000 / BATCH)
    return Latency.of(times)


def machine() -> str:
    """The processor, the number of cores and the versions that the figures belong to."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = f"{names[0]}, {len(names)} cores" if names else cpu
    return f"{cpu}; {platform.system()}; Python {platform.python_version()}; wasmtime {version('wasmtime')}"


def commit() -> str:
    """The checked-out commit of the current folder, "" outside a repository."""
    git = shutil.which("git")
    if git is None:
        return ""
    run = subprocess.run([git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return run.stdout.strip()


def load() -> float:
    """How many processes wanted the processor during the last minute, on average."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0


def report(rows: list[Row], load_before: float) -> dict[str, Any]:
    """The whole bench in its JSON shape."""
    rows_json = [row.to_json() for row in rows]
    return {"commit": commit(), "machine": machine(), "load": load_before, "rows": rows_json}
