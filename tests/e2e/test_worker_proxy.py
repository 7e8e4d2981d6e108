"""The Worker as a proxy, in real workerd: who may ask, what upstreams are sent, and clients that go away."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edgewise.config import parse_config
from edgewise_build.worker import WorkerBundle, reconfigured
from edgewise_build.workerd import Workerd
from support.faults import ANSWER, API_KEY, API_KEY_ENV, Case, Fault, Upstream, router_toml

ACME_KEY, OTHER_KEY = "acme-secret", "other-secret"
PATIENCE_SECONDS = 10
TENANTS = f"""
[tenants.acme]
key_sha256 = ["{hashlib.sha256(ACME_KEY.encode()).hexdigest()}"]
requests_per_minute = 3
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(piece_seconds=0.02) as upstream:
        yield upstream


def serve(bundle: WorkerBundle, upstream: Upstream, folder: Path, extra: str = "", **secrets: str) -> Workerd:
    config = parse_config(router_toml(upstream.url) + extra, "router.toml")
    return Workerd(reconfigured(bundle, config, folder), {API_KEY_ENV: API_KEY, **secrets})


@pytest.fixture(scope="module")
def client(
    worker_bundle: WorkerBundle, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    with (
        serve(worker_bundle, upstream, tmp_path_factory.mktemp("proxy")) as worker,
        httpx.Client(base_url=f"http://127.0.0.1:{worker.port}") as client,
    ):
        yield client


def body(mark: str = "", **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": f"Describe a keeper's morning. (mark:{mark})"}], **fields}


def ask(client: httpx.Client, data: dict[str, Any], **headers: str) -> httpx.Response:
    return client.post("/v1/chat/completions", json=data, headers=headers)


def test_upstreams_are_sent_the_clients_body_and_nothing_else_of_it(client: httpx.Client, upstream: Upstream) -> None:
    mark = upstream.plan(Case())
    sent = body(mark, model="auto:cost", temperature=0.5, edgewise={"session": "s1", "tier": "pro"})
    headers = {"authorization": "Bearer mine", "cookie": "a=b", "x-edgewise-region": "r1", "x-custom": "c"}
    answer = ask(client, sent, **headers)
    assert answer.json()["choices"][0]["message"]["content"] == ANSWER
    (call,) = upstream.calls(mark)
    assert call.headers["authorization"] == f"Bearer {API_KEY}"
    assert not {"cookie", "x-custom", "x-edgewise-region"} & set(call.headers)
    sent.pop("edgewise")
    assert call.body == {**sent, "model": f"{call.model}-upstream"}


def test_the_decision_is_told_in_headers_and_when_asked_in_the_body(client: httpx.Client, upstream: Upstream) -> None:
    mark = upstream.plan(Case((Fault("status_500", "headers"),)))
    answer = ask(client, body(mark, model="beta", edgewise={"explain": True, "session": "s2"}))
    assert (answer.headers["x-edgewise-model"], answer.headers["x-edgewise-session"]) == ("beta", "s2")
    assert answer.headers["x-edgewise-calls"] == "2"
    assert answer.headers["x-request-id"] == answer.json()["edgewise"]["id"]
    assert [call["model"] for call in answer.json()["edgewise"]["calls"]] == ["beta", "beta"]
    assert "named_model" in answer.headers["x-edgewise-reasons"]


@pytest.mark.parametrize(
    ("wrong", "status", "param"),
    [
        ({"model": "nobody"}, 404, "model"),
        ({"edgewise": {"colour": 1}}, 400, "edgewise.colour"),
        ({"edgewise": {"tier": "gold"}}, 400, "edgewise.tier"),
        ({"edgewise": 5}, 400, "edgewise"),
        ({"messages": []}, 400, "messages"),
        ({"n": 0}, 400, "n"),
        ({"stream": "yes"}, 400, "stream"),
        ({"stream_options": [1]}, 400, "stream_options"),
        ({"edgewise": {"budget_usd": 1e-12}}, 422, None),
    ],
    ids=str,
)
def test_what_cannot_be_asked(client: httpx.Client, wrong: dict[str, Any], status: int, param: str | None) -> None:
    answer = ask(client, body(**wrong) if "messages" not in wrong else wrong)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text


def test_a_model_that_cannot_be_called_is_passed_over(
    worker_bundle: WorkerBundle, upstream: Upstream, tmp_path: Path
) -> None:
    config = router_toml(upstream.url).replace(API_KEY_ENV, "NO_SUCH_SECRET", 1)
    folder = reconfigured(worker_bundle, parse_config(config, "router.toml"), tmp_path)
    with Workerd(folder, {API_KEY_ENV: API_KEY}) as worker:
        with httpx.Client(base_url=f"http://127.0.0.1:{worker.port}") as client:
            assert ask(client, body(upstream.plan(Case()))).json()["model"] == "beta"
            named = ask(client, body(upstream.plan(Case()), model="alpha"))
            assert (named.status_code, named.json()["error"]["code"]) == (502, "refused")
        log = worker.close()
    assert "alpha is not called: the Worker has no secret NO_SUCH_SECRET" in log
    assert "keeper" not in log


def test_keys_tenants_and_rates(worker_bundle: WorkerBundle, upstream: Upstream, tmp_path: Path) -> None:
    secret = f"other:{hashlib.sha256(OTHER_KEY.encode()).hexdigest()}"
    with (
        serve(worker_bundle, upstream, tmp_path, TENANTS, EDGEWISE_CLIENT_KEYS=secret) as worker,
        httpx.Client(base_url=f"http://127.0.0.1:{worker.port}") as client,
    ):
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": ACME_KEY}):
            refused = ask(client, body(), **headers)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert refused.json()["error"]["code"] == "invalid_api_key"
        assert client.get("/v1/models").status_code == 401
        assert client.post("/v1/route", json={"text": "hi"}).status_code == 401
        assert client.get("/healthz").status_code == 200

        acme, other = {"authorization": f"Bearer {ACME_KEY}"}, {"x-api-key": OTHER_KEY}
        theirs = ask(client, body(edgewise={"tenant": "other"}), **acme)
        assert (theirs.status_code, theirs.json()["error"]["type"]) == (403, "permission_error")
        statuses = [ask(client, body(upstream.plan(Case())), **acme).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        assert ask(client, body(upstream.plan(Case())), **other).status_code == 200


@pytest.mark.parametrize("kind", ["secret", "word"])
def test_a_damaged_secret_opens_nothing(
    worker_bundle: WorkerBundle, upstream: Upstream, tmp_path: Path, kind: str
) -> None:
    with (
        serve(worker_bundle, upstream, tmp_path, EDGEWISE_CLIENT_KEYS=kind) as worker,
        httpx.Client(base_url=f"http://127.0.0.1:{worker.port}") as client,
    ):
        assert ask(client, body(), authorization=f"Bearer {kind}").status_code == 401
        assert ask(client, body()).status_code == 401


def until_left(upstream: Upstream, mark: str) -> None:
    """Wait until the only call of a request is ended by the proxy."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not (upstream.calls(mark) and upstream.calls(mark)[0].ended):
        assert time.monotonic() < until, "the upstream is still writing"
        time.sleep(0.02)
    assert [call.ended for call in upstream.calls(mark)] == ["left"]


def test_an_upstream_is_left_when_the_client_leaves_a_stream(client: httpx.Client, upstream: Upstream) -> None:
    mark = upstream.plan(Case())
    with client.stream("POST", "/v1/chat/completions", json=body(mark, stream=True)) as answer:
        assert b"data: " in next(answer.iter_bytes())
    until_left(upstream, mark)


def test_an_upstream_is_left_when_the_client_waits_no_longer(client: httpx.Client, upstream: Upstream) -> None:
    mark = upstream.plan(Case((Fault("stall", "middle"),), streams=False))
    with pytest.raises(httpx.ReadTimeout):
        client.post("/v1/chat/completions", json=body(mark), timeout=0.3)
    until_left(upstream, mark)
