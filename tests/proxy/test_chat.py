"""What a client of `POST /v1/chat/completions` sends and sees when nothing goes wrong, and what upstreams are sent."""

import hashlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support import faults
from support.faults import ANSWER, API_KEY, MODELS, PIECES, PROMPT_TOKENS, TOOL_ARGUMENTS, Call, Case, Fault, Upstream
from support.proxy import proxy
from support.serving import Server

MARKER = "zanzibar-heliotrope"
KEY = "client-key-of-acme"
TENANTS = f"""
[tenants.acme]
key_sha256 = ["{hashlib.sha256(KEY.encode()).hexdigest()}"]

[tenants.small]
requests_per_minute = 2
"""
SMALL_KEY = "client-key-of-small"
SMALL_PAIR = f"small:{hashlib.sha256(SMALL_KEY.encode()).hexdigest()}"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def server(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    extra = '\n[server]\nregion_header = "fly-region"\nregions = { fra = "r1" }\n'
    with proxy(upstream, tmp_path_factory.mktemp("proxy"), extra) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def locked(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a proxy that asks for keys."""
    folder = tmp_path_factory.mktemp("locked")
    env = {"EDGEWISE_CLIENT_KEYS": SMALL_PAIR}
    with proxy(upstream, folder, TENANTS, env=env) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


def chat(client: httpx.Client, mark: str, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    messages = [{"role": "user", "content": f"Describe a lighthouse keeper's morning. (mark:{mark})"}]
    return client.post(
        "/v1/chat/completions", json={"model": "auto", "messages": messages, **fields}, headers=headers or {}
    )


def only_call(upstream: Upstream, mark: str) -> Call:
    (call,) = upstream.calls(mark)
    return call


def chunks_of(response: httpx.Response) -> list[dict[str, Any]]:
    events = [line.removeprefix("data: ") for line in response.text.split("\n") if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    return [json.loads(event) for event in events[:-1]]


def test_the_decision_stands_in_headers(client: httpx.Client, upstream: Upstream) -> None:
    mark = upstream.plan(Case())
    response = chat(client, mark, edgewise={"session": "s-1"})
    assert response.headers["x-edgewise-model"] == only_call(upstream, mark).model == response.json()["model"]
    assert response.headers["x-edgewise-task"]
    assert response.headers["x-edgewise-reasons"]
    assert response.headers["x-edgewise-session"] == "s-1"
    assert float(response.headers["x-edgewise-estimated-cost-usd"]) > 0
    assert "edgewise" not in response.json()


@pytest.mark.parametrize("streams", [False, True])
def test_the_decision_stands_in_the_body_when_asked_for(
    client: httpx.Client, upstream: Upstream, streams: bool
) -> None:
    mark = upstream.plan(Case((Fault("status_500", "headers"),)))
    response = chat(client, mark, stream=streams, edgewise={"explain": True})
    about = chunks_of(response)[-1]["edgewise"] if streams else response.json()["edgewise"]
    assert about["signals"]["task"]["label"]
    assert [call["reason"] for call in about["calls"]] == ["decided", "server_error"]


def test_the_upstream_sees_the_clients_own_body_and_nothing_of_the_router(
    client: httpx.Client, upstream: Upstream
) -> None:
    mark = upstream.plan(Case())
    own = {"temperature": 0.2, "seed": 7, "user": "u1", "metadata": {"a": "b"}, "stop": ["END"]}
    headers = {"authorization": "Bearer client-secret", "cookie": "a=b", "x-edgewise-tier": "pro", "x-own": "1"}
    headers |= {"te": "trailers", "x-forwarded-for": "1.2.3.4"}
    assert chat(client, mark, headers, **own, edgewise={"region": "r1", "budget_usd": 1}).status_code == 200
    call = only_call(upstream, mark)
    assert {key: call.body[key] for key in own} == own
    assert set(call.body) == {"model", "messages", *own}
    assert call.headers["authorization"] == f"Bearer {API_KEY}"
    assert set(call.headers) <= {
        "host", "accept", "accept-encoding", "authorization", "content-type", "content-length", "user-agent",
    }  # fmt: skip


def test_usage_comes_when_asked_for_only_and_is_always_asked_of_the_upstream(
    client: httpx.Client, upstream: Upstream
) -> None:
    mark = upstream.plan(Case())
    chunks = chunks_of(chat(client, mark, stream=True))
    assert only_call(upstream, mark).body["stream_options"] == {"include_usage": True}
    assert not any(chunk.get("usage") or not chunk["choices"] for chunk in chunks)
    last = chunks_of(chat(client, upstream.plan(Case()), stream=True, stream_options={"include_usage": True}))[-1]
    total = PROMPT_TOKENS + len(PIECES)
    assert last["usage"] == {
        "prompt_tokens": PROMPT_TOKENS, "completion_tokens": len(PIECES), "total_tokens": total,
    }  # fmt: skip


def test_logprobs_are_passed_through_to_those_who_asked(client: httpx.Client, upstream: Upstream) -> None:
    whole = chat(client, upstream.plan(Case()), logprobs=True).json()
    assert len(whole["choices"][0]["logprobs"]["content"]) == len(PIECES)
    chunks = chunks_of(chat(client, upstream.plan(Case()), logprobs=True, stream=True))
    tokens = [one for chunk in chunks for one in (chunk["choices"][0].get("logprobs") or {"content": []})["content"]]
    assert "".join(token["token"] for token in tokens) == ANSWER


def test_parts_with_images_need_a_model_that_sees(client: httpx.Client, upstream: Upstream) -> None:
    mark = upstream.plan(Case())
    parts = [
        {"type": "text", "text": f"What is this? (mark:{mark})"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
    ]
    body = {"model": "auto", "messages": [{"role": "user", "content": parts}], "edgewise": {"explain": True}}
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200


def test_a_named_model_answers_and_an_objective_decides(client: httpx.Client, upstream: Upstream) -> None:
    for name in MODELS:
        mark = upstream.plan(Case())
        assert chat(client, mark, model=name).json()["model"] == name
        assert only_call(upstream, mark).model == name
    assert chat(client, upstream.plan(Case()), model="auto:cost").json()["model"] == "alpha"


def test_a_named_model_that_fails_is_called_again_but_not_replaced(client: httpx.Client, upstream: Upstream) -> None:
    mark = upstream.plan(Case((Fault("status_500", "headers"),)))
    assert chat(client, mark, model="gamma").json()["choices"][0]["message"]["content"] == ANSWER
    assert [call.model for call in upstream.calls(mark)] == ["gamma", "gamma"]


def test_an_unknown_model_is_a_404_that_lists_what_there_is(client: httpx.Client) -> None:
    response = chat(client, "", model="alpa")
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert '"alpha"' in error["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"stream": "yes"}, "stream"),
        ({"n": 0}, "n"),
        ({"stream_options": 1}, "stream_options"),
        ({"edgewise": []}, "edgewise"),
        ({"edgewise": {"colour": "red"}}, "edgewise.colour"),
        ({"edgewise": {"budget_usd": "a"}}, "edgewise.budget_usd"),
        ({"edgewise": {"needs": ["wings"]}}, "edgewise.needs[0]"),
    ],
)
def test_bad_requests_name_the_field(client: httpx.Client, fields: dict[str, Any], param: str) -> None:
    response = chat(client, "", **fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_no_feasible_model_says_why(client: httpx.Client) -> None:
    response = chat(client, "", edgewise={"budget_usd": 1e-12})
    assert (response.status_code, response.json()["error"]["type"]) == (422, "no_feasible_model")


def test_the_platforms_header_names_the_region(client: httpx.Client, upstream: Upstream) -> None:
    mark = upstream.plan(Case())
    assert chat(client, mark, {"fly-region": "fra"}).status_code == 200
    assert chat(client, upstream.plan(Case()), {"fly-region": "nowhere"}).status_code == 200


def test_what_an_upstream_refuses_is_passed_on_in_its_own_words(client: httpx.Client, upstream: Upstream) -> None:
    mark = upstream.plan(Case((Fault("status_400", "headers"),), always=True))
    response = chat(client, mark)
    assert (response.status_code, response.json()["error"]["message"]) == (400, "the upstream says 400")


def test_a_session_stays_with_its_model(client: httpx.Client, upstream: Upstream) -> None:
    """The second request of a session names the model that answered the first, without the client's help."""
    session = {"session": "sticky", "explain": True}
    chat(client, upstream.plan(Case()), model="delta", edgewise=session)
    first = chat(client, upstream.plan(Case()), edgewise={"session": "another"}).json()["model"]
    assert first != "delta"


def test_a_client_that_leaves_ends_the_call(server: Server, upstream: Upstream) -> None:
    mark = upstream.plan(Case((Fault("stall", "middle"),)))
    body = json.dumps(faults.request_body(Case(), mark)).encode()
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        sock.sendall(head.encode() + body)
        while not upstream.calls(mark):
            time.sleep(0.01)
    for _ in range(60):
        if upstream.calls(mark)[0].ended == "left":
            break
        time.sleep(0.01)
    assert [call.ended for call in upstream.calls(mark)] == ["left"]


def test_only_keys_that_are_known_open_the_proxy(locked: httpx.Client, upstream: Upstream) -> None:
    assert locked.get("/healthz").status_code == 200
    for path in ("/v1/models", "/metrics"):
        assert locked.get(path).status_code == 401
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": KEY}, {"x-api-key": ""}):
        response = chat(locked, "", headers)
        assert (response.status_code, response.json()["error"]["type"]) == (401, "authentication_error")
        assert locked.post("/v1/route", json={"text": "hi"}, headers=headers).status_code == 401
    mark = upstream.plan(Case())
    assert chat(locked, mark, {"authorization": f"Bearer {KEY}"}).status_code == 200
    assert KEY not in json.dumps(only_call(upstream, mark).headers)
    assert chat(locked, upstream.plan(Case()), {"x-api-key": KEY}).status_code == 200


def test_a_key_is_bound_to_its_tenant(locked: httpx.Client) -> None:
    response = chat(locked, "", {"authorization": f"Bearer {KEY}"}, edgewise={"tenant": "small"})
    assert (response.status_code, response.json()["error"]["type"]) == (403, "permission_error")


def test_a_tenant_has_so_many_requests_a_minute(locked: httpx.Client, upstream: Upstream) -> None:
    headers = {"authorization": f"Bearer {SMALL_KEY}"}
    answers = [chat(locked, upstream.plan(Case()), headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 30
    assert chat(locked, upstream.plan(Case()), {"authorization": f"Bearer {KEY}"}).status_code == 200


def test_metrics_count_who_answered_and_why_others_were_replaced(client: httpx.Client, upstream: Upstream) -> None:
    chat(client, upstream.plan(Case((Fault("status_500", "headers"),))))
    text = client.get("/metrics").text
    assert 'edgewise_switches_total{reason="server_error"}' in text
    assert 'edgewise_requests_total{end="finish",model="alpha",reason="answered"}' in text
    assert 'edgewise_tokens_total{kind="output"' in text
    assert "edgewise_decision_seconds_count" in text


def test_nothing_of_a_prompt_or_an_answer_is_logged(server: Server, client: httpx.Client, upstream: Upstream) -> None:
    mark = upstream.plan(Case((Fault("malformed", "middle"),)))
    chat(client, mark, user=MARKER, edgewise={"session": MARKER}, stream=True)
    chat(client, MARKER, model=MARKER)
    for secret in (MARKER, mark, "lighthouse", API_KEY):
        assert secret not in server.log


def test_prompts_and_answers_are_logged_where_that_is_switched_on(upstream: Upstream, tmp_path: Path) -> None:
    mark = upstream.plan(Case())
    with (
        proxy(upstream, tmp_path, "\n[server]\nlog_prompts = true\n", options=("--log-level", "debug")) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        chat(client, mark)
        assert ANSWER[:40] in server.wait_for(mark)


def test_several_choices_come_from_one_model(client: httpx.Client, upstream: Upstream) -> None:
    mark = upstream.plan(Case((Fault("status_500", "headers"),)))
    response = chat(client, mark, n=1, tools=[{"type": "function", "function": {"name": "weather"}}])
    assert response.json()["choices"][0]["finish_reason"] == "stop"
    tools = chat(client, upstream.plan(Case(tools=True))).json()["choices"][0]["message"]["tool_calls"]
    assert tools[0]["function"]["arguments"] == "".join(TOOL_ARGUMENTS)
