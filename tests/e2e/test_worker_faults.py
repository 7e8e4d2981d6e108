"""The fault matrix of tests/support/faults.py through the Worker, in real workerd.

All of it is `heavy`; what runs always is every fault once with a streaming client, and without the long waits of
requests that nobody answers.
"""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from edgewise.config import parse_config
from edgewise_build.worker import WorkerBundle, reconfigured
from edgewise_build.workerd import Workerd
from support.faults import API_KEY, API_KEY_ENV, CASES, Case, Upstream, check, router_toml

AT_ONCE = 24
SOME = tuple(case for case in CASES if case.streams and len(case.faults) < 2 and not case.always)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def worker(
    worker_bundle: WorkerBundle, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workerd]:
    config = parse_config(router_toml(upstream.url), "router.toml")
    folder = reconfigured(worker_bundle, config, tmp_path_factory.mktemp("faults"))
    with Workerd(folder, {API_KEY_ENV: API_KEY}) as server:
        yield server


def run(cases: tuple[Case, ...], worker: Workerd, upstream: Upstream) -> dict[str, BaseException]:
    """What was wrong with each case; many run at a time."""
    gate, wrong = asyncio.Semaphore(AT_ONCE), dict[str, BaseException]()

    async def run_one(client: httpx.AsyncClient, case: Case) -> None:
        async with gate:
            try:
                await check(client, upstream, case)
            except Exception as error:
                wrong[str(case)] = error

    async def run_all() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{worker.port}", timeout=60) as client:
            await asyncio.gather(*(run_one(client, case) for case in cases))

    asyncio.run(run_all())
    return wrong


def test_every_fault_once(worker: Workerd, upstream: Upstream) -> None:
    assert len(SOME) > 25
    assert run(SOME, worker, upstream) == {}


@pytest.mark.heavy
def test_the_whole_matrix(worker: Workerd, upstream: Upstream) -> None:
    assert run(CASES, worker, upstream) == {}
    assert "Error" not in worker.close()
