"""The bench inside workerd: what a decision, a call and a start cost where the Worker runs.

Workers' clocks are coarse by design, so time is taken outside: one HTTP request has the Worker repeat a thing so often
that it takes about BATCH_MS, and what an HTTP request with a single repetition takes is subtracted. So the percentiles
are those of batch means, and hold neither HTTP nor the parsing of JSON. A build with an interpreter takes milliseconds:
it is timed one call at a time.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from edgewise.bench import BUILDS, Latency, Row, built_bytes, gzip_size, prompts, unseen_prompts
from edgewise.config import load_config
from edgewise.packing import pack_policy
from edgewise.percentiles import percentile
from edgewise_build.worker import bundle
from edgewise_build.workerd import WorkerdEngine, bundle_doors, request_json

BATCH_MS = 1.5
STARTS = 50
SLOW_STARTS = 15

_WARM_UP_CALLS = 200
_WARM_UP_INSIDE = 10
_BASE_SAMPLES = 50
_CALIBRATIONS = 3
_MOST_REPETITIONS = 100_000


def bench(backend: str, tokens: list[int], n: int, progress: Callable[[], None] = lambda: None) -> Iterator[Row]:
    """One row for each number of tokens, from n batches each, or n calls where CPython is inside.

    `gzip_bytes` is the whole Worker upload of the aot build, and the component of the other, which no Worker carries.
    Raises BuildError where Node.js or its packages are missing, EngineError when the Worker does not start.
    """
    data, config = built_bytes(backend), load_config()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if backend == "aot":
            size = bundle(BUILDS[backend], config, folder / "worker").upload_gzip_bytes
        else:
            size = gzip_size(data)
        with WorkerdEngine(
            bundle_doors(BUILDS[backend], pack_policy(config), backend, folder / "bench"), backend
        ) as engine:
            starts = STARTS if backend == "aot" else SLOW_STARTS
            cold_ms = round(percentile(start_times_ms(engine, starts), 0.5), 3)
            for count in tokens:
                if backend == "aot":
                    inside, call, memory = _time_repetitions(engine, count, n)
                else:
                    inside, call, memory = None, *_time_unseen(engine, count, n)
                progress()
                yield Row(backend, engine.runtime, count, n, inside, call, size, cold_ms, memory)


def _time_repetitions(engine: WorkerdEngine, tokens: int, n: int) -> tuple[Latency, Latency, int]:
    lines = [request_json(request) for request in prompts(tokens)]
    memory = engine.repeat(lines[0], calls=_WARM_UP_CALLS, inside=_WARM_UP_INSIDE)
    inside = Latency.of(_time_batches(lambda line, times: engine.repeat(line, inside=times), lines, n))
    call = Latency.of(_time_batches(lambda line, times: engine.repeat(line, calls=times), lines, n))
    return inside, call, memory


def _time_unseen(engine: WorkerdEngine, tokens: int, n: int) -> tuple[Latency, int]:
    """Each prompt once, as the guest keeps what it knows of words; what an empty HTTP request takes is subtracted."""
    lines = [request_json(request) for request in unseen_prompts(tokens, n + _WARM_UP_CALLS)]
    for line in lines[n:]:
        engine.repeat(line)
    empty = percentile([_us(lambda: engine.server.ask("GET", "/healthz")) for _ in range(_BASE_SAMPLES)], 0.5)
    times = [max(0.0, _us(partial(engine.repeat, line)) - empty) for line in lines[:n]]
    return Latency.of(times), engine.repeat(lines[0])


def _us(work: Callable[[], object]) -> float:
    started = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - started) / 1000


def start_times_ms(engine: WorkerdEngine, n: int) -> list[float]:
    """How long the component takes to instantiate and to load its policy, in n batches, in milliseconds."""
    return [time_us / 1000 for time_us in _time_batches(lambda _, times: engine.start_again(times), [""], n)]


def _time_batches(repeat: Callable[[str, int], object], lines: list[str], n: int) -> list[float]:
    """Microseconds a repetition, in n batches."""

    def measure(line: str, times: int) -> float:
        return _us(lambda: repeat(line, times))

    base = percentile([measure(lines[index % len(lines)], 1) for index in range(min(n, _BASE_SAMPLES))], 0.5)
    times = 2
    while times < _MOST_REPETITIONS:
        if min(measure(lines[0], times) for _ in range(_CALIBRATIONS)) >= BATCH_MS * 1000:
            break
        times *= 2
    return [max(0.0, measure(lines[index % len(lines)], times) - base) / (times - 1) for index in range(n)]
