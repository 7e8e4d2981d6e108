"""What reaches the client, chunk by chunk, from what upstreams sent."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

from edgewise import Router
from edgewise.request import Request
from edgewise.server.api import Ask, BrokenOffError, MalformedError, Piece
from edgewise.server.chat import Chat, ChatReading, read_piece
from edgewise.server.relay import MessagesReading, ResponsesReading
from edgewise.server.reply import StreamReply
from edgewise.server.sse import ServerEvent
from edgewise.session import Action

NAMES = (
    *("choices", "index", "delta", "message", "content", "finish_reason", "usage", "logprobs", "logprob"),
    *("tool_calls", "prompt_tokens", "type", "text", "output", "response", "item", "content_block", "stop_reason"),
    *("input_tokens", "status", "error", "reasoning_content"),
)
FINISHED = Action("finish", 1, "answered", finish="stop", input_tokens=3, output_tokens=4)


@pytest.fixture(scope="module")
def router() -> Router:
    return Router()


def ask(choices: int = 1, **fields: Any) -> Ask:
    return Ask(Chat(), Request.parse({"text": "hi"}), fields, streams=True, choices=choices, wants_usage=True)


def piece(*choices: dict[str, Any]) -> Piece:
    found = read_piece({"id": "theirs", "choices": list(choices)}, "delta", 10)
    assert found is not None
    return found


def text(content: str | None, index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": {"content": content, **delta}, "finish_reason": finish}


def sent(router: Router, ask: Ask, play: Callable[[StreamReply], Awaitable[None]]) -> list[dict[str, Any]]:
    """The chunks that a reply sends; the last one carries the usage, and the end mark comes after it."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        raise AssertionError

    async def run() -> None:
        reply = StreamReply(ask, router.overlap, {"type": "http"}, receive, send)
        reply.begin_call("small", False)
        await play(reply)
        await reply.finish(FINISHED, {}, None)

    asyncio.run(run())
    assert [messages[0]["status"], messages[-1]["more_body"]] == [200, False]
    events = b"".join(message.get("body", b"") for message in messages).decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    return [json.loads(event.removeprefix("data: ")) for event in events[:-2]]


def contents(chunks: list[dict[str, Any]], index: int = 0) -> str:
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def test_one_role_one_text_one_finish(router: Router) -> None:
    async def play(reply: StreamReply) -> None:
        await reply.show([piece(text("", role="assistant")), piece(text("Hel"))], {})
        await reply.show([piece(text("lo", finish="stop"))], {})

    chunks = sent(router, ask(), play)
    assert [chunk["choices"][0]["delta"] for chunk in chunks[:-1]] == [
        {"role": "assistant", "content": "Hel"}, {"content": "lo"}, {},
    ]  # fmt: skip
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None, None, "stop"]
    assert chunks[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert len({(chunk["id"], chunk["created"]) for chunk in chunks}) == 1


def test_what_a_resumed_call_repeats_is_dropped_inside_a_chunk_too(router: Router) -> None:
    async def play(reply: StreamReply) -> None:
        await reply.show([piece(text("One two three ")), piece(text("four five si"))], {})
        reply.begin_call("large", True)
        for part in ("four ", "five six", " seven — 🦭"):
            await reply.show([piece(text(part))], {})

    chunks = sent(router, ask(), play)
    assert contents(chunks) == "One two three four five six seven — 🦭"
    assert [chunk["model"] for chunk in chunks] == ["small", "small", *["large"] * 4]


def test_a_call_that_is_replaced_before_it_was_shown_leaves_nothing(router: Router) -> None:
    async def play(reply: StreamReply) -> None:
        await reply.show([piece(text("", role="assistant"))], {})
        reply.begin_call("large", False)
        await reply.show([piece(text("Hello", role="assistant"))], {"x-edgewise-model": "large"})

    chunks = sent(router, ask(), play)
    assert contents(chunks) == "Hello"
    assert {chunk["model"] for chunk in chunks} == {"large"}


def test_several_choices_each_have_their_role_and_their_end(router: Router) -> None:
    async def play(reply: StreamReply) -> None:
        parts = [text("a", 0, role="assistant"), text("b", 1, role="assistant"), text(None, 1, "length")]
        await reply.show([piece(part) for part in parts], {})
        await reply.show([piece(text("c", 0, "stop"))], {})

    chunks = sent(router, ask(2), play)
    assert (contents(chunks, 0), contents(chunks, 1)) == ("ac", "b")
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert [choice["index"] for choice in choices if "role" in choice["delta"]] == [0, 1]
    assert {choice["index"]: choice["finish_reason"] for choice in choices} == {0: "stop", 1: "length"}


def test_log_probabilities_are_for_those_who_asked(router: Router) -> None:
    logprobs = {"content": [{"token": "a", "logprob": -0.5}]}

    async def play(reply: StreamReply) -> None:
        await reply.show([piece({**text("a"), "logprobs": logprobs})], {})

    assert sent(router, ask(logprobs=True), play)[0]["choices"][0]["logprobs"] == logprobs
    assert "logprobs" not in sent(router, ask(), play)[0]["choices"][0]


def test_a_reading_is_complete_when_all_choices_are_or_the_upstream_says_so() -> None:
    for choices, done in ((1, False), (2, True)):
        reading = ChatReading(choices)
        chunk = {"choices": [text("a", finish="function_call")], "usage": {"prompt_tokens": 5, "completion_tokens": 6}}
        assert reading.take(ServerEvent("message", json.dumps(chunk))) is not None
        assert reading.is_complete is not done
        assert reading.take(ServerEvent("message", "[DONE]")) is None
        assert reading.is_complete
        finish, usage = reading.end()
        assert (finish, usage.input_tokens, usage.output_tokens) == ("tool_calls", 5, 6)


@pytest.mark.parametrize(("said", "read"), [("-0.5", -500), ("0.1", 0), ("NaN", 0), ("1e999", 0), ("-1e999", -(10**9))])
def test_log_probabilities_are_thousandths_that_fit(said: str, read: int) -> None:
    content = f'{{"choices": [{{"delta": {{}}, "logprobs": {{"content": [{{"logprob": {said}}}]}}}}]}}'
    found = ChatReading(1).take(ServerEvent("message", content))
    assert found is not None
    assert found.logprobs == (read,)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(NAMES), _JSON), st.sampled_from(["delta", "message"]))
def test_whatever_an_upstream_sends_is_a_piece_or_malformed(data: dict[str, Any], part: str) -> None:
    reading = ChatReading(1)
    with contextlib.suppress(MalformedError, BrokenOffError):
        reading.take(ServerEvent("message", json.dumps(data)))
    with contextlib.suppress(MalformedError):
        found = read_piece(data, part, 1)
        assert found is None or (isinstance(found.text, str) and all(number <= 0 for number in found.logprobs))


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(NAMES), _JSON), st.sampled_from(["response.completed", "content_block_delta"]))
def test_whatever_an_upstream_of_another_api_sends_is_a_piece_or_malformed(data: dict[str, Any], kind: str) -> None:
    body = json.dumps({"type": kind, **data})
    for reading in (ResponsesReading(), MessagesReading(), ChatReading(1)):
        with contextlib.suppress(MalformedError, BrokenOffError):
            reading.take(ServerEvent("message", body))
        with contextlib.suppress(MalformedError, BrokenOffError):
            reading.take_whole(body.encode())
