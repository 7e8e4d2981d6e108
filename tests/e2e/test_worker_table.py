"""The Durable Object: what the calls of one isolate showed, another isolate decides by."""

import time
from collections.abc import Iterator

import httpx
import pytest

from edgewise.config import parse_config
from edgewise_build.worker import WorkerBundle, reconfigured
from edgewise_build.workerd import Workerd
from support.faults import API_KEY, API_KEY_ENV, Case, Fault, Upstream, router_toml

PATIENCE_SECONDS = 20
FAILS_ONCE = Case((Fault("status_500", "headers"),))
QUESTION = "Why is the sky blue?"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def urls(
    worker_bundle: WorkerBundle, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[str]]:
    """Two isolates of a Worker in which one failure takes a model out of service."""
    config = router_toml(upstream.url).replace("trip_failures = 255", "trip_failures = 1")
    folder = reconfigured(worker_bundle, parse_config(config, "router.toml"), tmp_path_factory.mktemp("table"))
    variables = {API_KEY_ENV: API_KEY, "LIVE_REFRESH_SECONDS": "0"}
    with Workerd(folder, variables, isolates=2) as worker:
        yield [f"http://127.0.0.1:{port}" for port in worker.ports]


def chosen(url: str) -> str:
    """The model that an isolate would call."""
    return str(httpx.post(f"{url}/v1/route", json={"text": QUESTION}).json()["model"])


def test_isolates_share_what_they_observe(urls: list[str], upstream: Upstream) -> None:
    first = chosen(urls[0])
    assert chosen(urls[1]) == first
    body = {"messages": [{"role": "user", "content": f"{QUESTION} (mark:{upstream.plan(FAILS_ONCE)})"}]}
    answer = httpx.post(f"{urls[0]}/v1/chat/completions", json=body)
    assert answer.json()["model"] != first
    until = time.monotonic() + PATIENCE_SECONDS
    while chosen(urls[1]) == first:
        assert time.monotonic() < until, "the other isolate has not heard of the failure"
        time.sleep(0.05)
    assert chosen(urls[0]) != first, "the isolate that saw the failure keeps it when it reads the table"
