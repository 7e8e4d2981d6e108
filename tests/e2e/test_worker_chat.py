"""The Python proxy's tests of chat completions, asked of the Worker: both proxies are one to a client."""

from collections.abc import Iterator

import httpx
import pytest

from edgewise.config import parse_config
from edgewise_build.worker import WorkerBundle, reconfigured
from edgewise_build.workerd import Workerd
from proxy.test_chat import (  # noqa: F401 - the tests that need no more than a client
    SMALL_PAIR,
    TENANTS,
    test_a_key_is_bound_to_its_tenant,
    test_a_named_model_answers_and_an_objective_decides,
    test_a_named_model_that_fails_is_called_again_but_not_replaced,
    test_a_session_stays_with_its_model,
    test_a_tenant_has_so_many_requests_a_minute,
    test_bad_requests_name_the_field,
    test_logprobs_are_passed_through_to_those_who_asked,
    test_no_feasible_model_says_why,
    test_parts_with_images_need_a_model_that_sees,
    test_several_choices_come_from_one_model,
    test_the_decision_stands_in_headers,
    test_the_decision_stands_in_the_body_when_asked_for,
    test_the_platforms_header_names_the_region,
    test_the_upstream_sees_the_clients_own_body_and_nothing_of_the_router,
    test_usage_comes_when_asked_for_only_and_is_always_asked_of_the_upstream,
    test_what_an_upstream_refuses_is_passed_on_in_its_own_words,
)
from support.faults import API_KEY, API_KEY_ENV, Upstream, router_toml

PLACES = '\n[server]\nregion_header = "fly-region"\nregions = { fra = "r1" }\n'


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def ask_worker(
    bundle: WorkerBundle, upstream: Upstream, paths: pytest.TempPathFactory, extra: str, **secrets: str
) -> Iterator[httpx.Client]:
    config = parse_config(router_toml(upstream.url) + extra, "router.toml")
    folder = reconfigured(bundle, config, paths.mktemp("chat"))
    with (
        Workerd(folder, {API_KEY_ENV: API_KEY, **secrets}) as worker,
        httpx.Client(base_url=f"http://127.0.0.1:{worker.port}", timeout=30) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client(
    worker_bundle: WorkerBundle, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    yield from ask_worker(worker_bundle, upstream, tmp_path_factory, PLACES)


@pytest.fixture(scope="module")
def locked(
    worker_bundle: WorkerBundle, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    yield from ask_worker(worker_bundle, upstream, tmp_path_factory, TENANTS, EDGEWISE_CLIENT_KEYS=SMALL_PAIR)
