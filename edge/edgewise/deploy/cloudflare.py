"""Cloudflare Workers: the upload that a deployment makes, against what each plan allows."""

import time
from dataclasses import dataclass
from pathlib import Path

from edgewise.config import Config

STARTUP_MS = 1000
"""How long a Worker may take to start, on every plan."""

CPU_MS = 10
"""The CPU time that a request may take on the free plan."""

_MB = 1000 * 1000
_MIB = 1024 * 1024
_ASKS = 50
TIMED_REQUEST = b'{"text": "' + b"Compare these two contracts clause by clause. " * 45 + b'"}'


@dataclass(frozen=True)
class Plan:
    """A plan, and what an upload may weigh on it after gzip, in bytes."""

    name: str
    gzip_bytes: int
    limit: str


FREE = Plan("free", 3 * _MB, "3 MB")
PAID = Plan("paid", 10 * _MB, "10 MB")
PLANS = (FREE, PAID, Plan("every plan, by the newest limits page", 64 * _MIB, "64 MiB"))
"""Cloudflare's limits page has said both; an upload below the first is right either way."""


@dataclass(frozen=True)
class Upload:
    """A bundled Worker: its bytes, its bytes after gzip, and how long workerd took here to start and to answer.

    The times are upper bounds: the start holds the start of the process, the answer (a median) holds HTTP.
    """

    folder: Path
    bytes: int
    gzip_bytes: int
    start_ms: float
    answer_ms: float

    def fits(self, plan: Plan) -> bool:
        """Whether the plan takes it."""
        return self.gzip_bytes <= plan.gzip_bytes


def bundle_upload(config: Config) -> Upload:
    """Bundle the Worker with a configuration as wrangler uploads it, and run it.

    Raises BuildError where a tool is missing.
    """
    from edgewise_build.checkout import COMPONENT, WORKER, require_checkout
    from edgewise_build.worker import bundle

    require_checkout()
    made = bundle(COMPONENT, config, WORKER / "dist")
    start_ms, answer_ms = _time(made.folder)
    return Upload(made.folder, made.upload_bytes, made.upload_gzip_bytes, start_ms, answer_ms)


def ship() -> str:
    """Run `wrangler deploy`; gives what it printed. Raises BuildError with its error."""
    from edgewise_build.worker import run_wrangler

    return run_wrangler("deploy")


def _time(folder: Path) -> tuple[float, float]:
    """Milliseconds from the start of workerd to its first answer, and the median of the decisions after it."""
    from edgewise_build.workerd import Workerd

    started = time.perf_counter()
    with Workerd(folder) as server:
        server.ask("GET", "/healthz")
        start_ms = (time.perf_counter() - started) * 1000
        times = []
        for _ in range(_ASKS):
            asked = time.perf_counter()
            server.ask("POST", "/v1/route", TIMED_REQUEST)
            times.append((time.perf_counter() - asked) * 1000)
    return start_ms, sorted(times)[_ASKS // 2]
