"""The fault matrix: every fault at every moment, alone and two in a row, through a real proxy."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from support.faults import CASES, Case, Upstream, check
from support.proxy import proxy
from support.serving import Server

AT_ONCE = 24


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def server(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with proxy(upstream, tmp_path_factory.mktemp("proxy")) as server:
        yield server


@pytest.fixture(scope="module")
def outcomes(server: Server, upstream: Upstream) -> dict[Case, BaseException | None]:
    """All cases, many at a time: what was wrong with each."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def run(client: httpx.AsyncClient, case: Case) -> BaseException | None:
        async with gate:
            try:
                await check(client, upstream, case)
            except Exception as error:
                return error
        return None

    async def run_all() -> list[BaseException | None]:
        limits = httpx.Limits(max_connections=AT_ONCE)
        async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as client:
            return await asyncio.gather(*(run(client, case) for case in CASES))

    return dict(zip(CASES, asyncio.run(run_all()), strict=True))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_client_sees_one_answer_or_one_error(case: Case, outcomes: dict[Case, BaseException | None]) -> None:
    if (error := outcomes[case]) is not None:
        raise error


def test_nothing_unforeseen_is_logged(server: Server, outcomes: dict[Case, BaseException | None]) -> None:
    assert len(outcomes) == len(CASES)
    assert "Traceback" not in server.log
    assert "ERROR" not in server.log
