"""The bench inside workerd: what a decision, a call and a start cost where the Worker runs.

Workers' clocks are coarse by design, so time is taken outside: one HTTP request has the Worker repeat a thing so often
that it takes about BATCH_MS, and what an HTTP request with a single repetition takes is subtracted. So the percentiles
are those of batch means, and hold neither HTTP nor the parsing of JSON.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edgewise.bench import Latency, Row, prompts
from edgewise.config import load_config
from edgewise.packing import pack_policy
from edgewise.percentiles import percentile
from edgewise_build.checkout import COMPONENT
from edgewise_build.worker import bundle
from edgewise_build.workerd import WorkerdEngine, bundle_doors, request_json

BATCH_MS = 1.5
STARTS = 50

_WARM_UP_CALLS = 200
_WARM_UP_INSIDE = 10
_BASE_SAMPLES = 50
_CALIBRATIONS = 3
_MOST_REPETITIONS = 100_000


def bench(
    tokens: list[int], n: int, progress: Callable[[], None] = lambda: None, component: Path = COMPONENT
) -> Iterator[Row]:
    """One row for each number of tokens, from n batches each; `gzip_bytes` is the whole Worker upload.

    Raises BuildError where Node.js or its packages are missing, EngineError when the Worker does not start.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        policy = pack_policy(load_config())
        upload = bundle(component, policy, folder / "worker").upload_gzip_bytes
        with WorkerdEngine(bundle_doors(component, policy, "aot", folder / "bench")) as engine:
            cold_ms = round(percentile(start_times_ms(engine, STARTS), 0.5), 3)
            for count in tokens:
                lines = [request_json(request) for request in prompts(count)]
                memory = engine.repeat(lines[0], calls=_WARM_UP_CALLS, inside=_WARM_UP_INSIDE)
                inside_us = Latency.of(_time_batches(lambda line, times: engine.repeat(line, inside=times), lines, n))
                call_us = Latency.of(_time_batches(lambda line, times: engine.repeat(line, calls=times), lines, n))
                progress()
                yield Row(engine.backend, engine.runtime, count, n, inside_us, call_us, upload, cold_ms, memory)


def start_times_ms(engine: WorkerdEngine, n: int) -> list[float]:
    """How long the module takes to instantiate and to load its policy, in n batches, in milliseconds."""

    def start(_: str, times: int) -> None:
        engine.start_again(times)

    return [time_us / 1000 for time_us in _time_batches(start, [""], n)]


def _time_batches(repeat: Callable[[str, int], object], lines: list[str], n: int) -> list[float]:
    """Microseconds a repetition, in n batches."""

    def measure(line: str, times: int) -> float:
        started = time.perf_counter_ns()
        repeat(line, times)
        return (time.perf_counter_ns() - started) / 1000

    base = percentile([measure(lines[index % len(lines)], 1) for index in range(_BASE_SAMPLES)], 0.5)
    times = 2
    while times < _MOST_REPETITIONS:
        if min(measure(lines[0], times) for _ in range(_CALIBRATIONS)) >= BATCH_MS * 1000:
            break
        times *= 2
    return [max(0.0, measure(lines[index % len(lines)], times) - base) / (times - 1) for index in range(n)]
