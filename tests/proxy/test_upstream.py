"""What is heard of a call: each fault of an upstream by its name, and what comes before it."""

import asyncio
from collections.abc import Iterator
from email.utils import formatdate
from time import time

import pytest

from edgewise.config import parse_config
from edgewise.server.asking import read_ask
from edgewise.server.upstream import Heard, Upstreams, _read_retry_after
from support import faults
from support.faults import PIECES, Case, Fault, Upstream


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def _is_last(heard: Heard) -> bool:
    return heard.kind in ("end", "fault") or heard.fields.get("status", 200) != 200


def hear(upstream: Upstream, fault: Fault | None, streams: bool) -> list[Heard]:
    """Everything that one call brings, up to half a second of silence."""
    case = Case((fault,) if fault else (), streams)
    config = parse_config(faults.router_toml(upstream.url))
    ask = read_ask(faults.request_body(case, upstream.plan(case)), {}, config, None)
    endpoint = config.models["alpha"].endpoint
    assert endpoint is not None

    async def run() -> list[Heard]:
        upstreams = Upstreams()
        body = ask.api.body(ask, "alpha", endpoint, "", 0)
        url = endpoint.base_url + ask.api.path
        call = upstreams.call(url, {}, body, ask.api.read(ask), streams=streams, not_before_ms=0)
        heard = []
        while not (heard and _is_last(heard[-1])):
            one = await call.next(round(time() * 1000) + 500)
            if one is None:
                break
            heard.append(one)
        call.cancel()
        await upstreams.close()
        return heard

    return asyncio.run(run())


@pytest.mark.parametrize("streams", [True, False])
def test_an_answer_is_heard_to_its_end(upstream: Upstream, streams: bool) -> None:
    heard = hear(upstream, None, streams)
    assert [heard[0].kind, heard[1].kind, heard[-1].kind] == ["headers", "chunk", "end"]
    assert "".join(one.fields["text"] for one in heard if one.kind == "chunk") == faults.ANSWER
    assert sum(len(one.fields["logprobs"]) for one in heard if one.kind == "chunk") == len(PIECES)
    assert heard[-1].fields == {
        "finish": "stop", "input_tokens": faults.PROMPT_TOKENS, "output_tokens": len(PIECES),
    }  # fmt: skip


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (Fault("refused_connection", "headers"), "unreachable"),
        (Fault("cut", "headers"), "unreachable"),
        (Fault("cut", "first"), "cut"),
        (Fault("cut", "middle"), "cut"),
        (Fault("short", "middle"), "cut"),
        (Fault("cut_utf8", "middle"), "cut"),
        (Fault("error_event", "middle"), "cut"),
        (Fault("malformed", "middle"), "malformed"),
        (Fault("wrong_type", "first"), "wrong_type"),
        (Fault("huge", "middle"), "too_large"),
    ],
    ids=str,
)
def test_faults_have_names(upstream: Upstream, fault: Fault, name: str, streams: bool) -> None:
    last = hear(upstream, fault, streams)[-1]
    assert (last.kind, last.fields["fault"]) == ("fault", name)


def test_a_stall_is_silence(upstream: Upstream) -> None:
    heard = hear(upstream, Fault("stall", "middle"), True)
    assert {one.kind for one in heard} == {"headers", "chunk"}


def test_refusals_come_with_their_status_and_words(upstream: Upstream) -> None:
    (limited,) = hear(upstream, Fault("rate_limited", "headers"), True)
    assert limited.fields == {"status": 429, "retry_after_ms": 150}
    (refused,) = hear(upstream, Fault("status_400", "headers"), True)
    assert (refused.fields["status"], refused.message) == (400, "the upstream says 400")


@pytest.mark.parametrize(
    ("headers", "milliseconds"),
    [
        ({}, 0),
        ({"retry-after": "7"}, 7000),
        ({"retry-after": "7", "retry-after-ms": "250.5"}, 250),
        ({"retry-after": "soon"}, 0),
        ({"retry-after-ms": "inf"}, 0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
    ],
)
def test_how_long_an_upstream_asks_to_wait(headers: dict[str, str], milliseconds: int) -> None:
    assert _read_retry_after(headers) == milliseconds


def test_a_date_to_wait_for() -> None:
    assert 58_000 < _read_retry_after({"retry-after": formatdate(time() + 60, usegmt=True)}) <= 60_000
