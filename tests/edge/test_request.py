"""Requests: what is accepted, what is refused and how, and the bytes that the core reads."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.core.labels import NEEDS, OBJECTIVES, ROLES, TIERS
from edgewise.core.layout import Request as RequestRecord
from edgewise.core.transcript import Message as MessageRecord
from edgewise.errors import RequestError
from edgewise.request import MAX_REQUEST_BYTES, Request, pack_request

HELLO = [{"role": "user", "content": "hello"}]
MAX_U31 = 2**31 - 1


class TestParsing:
    def test_text_stands_for_one_user_message(self):
        assert Request.parse({"text": "hello"}) == Request.parse({"messages": HELLO})

    def test_everything_that_a_request_may_say(self):
        request = Request.parse(
            {
                "id": "r1", "messages": HELLO, "max_tokens": 5, "region": "eu-west", "budget_usd": 0.5,
                "latency_slo_ms": 9, "tier": "pro", "tenant": "acme", "needs": ["tools", "json"], "objective": "cost",
                "session": "s", "at_ms": 7,
            }
        )  # fmt: skip
        assert (request.id, request.max_tokens, request.budget_usd, request.tier) == ("r1", 5, 0.5, "pro")
        assert request.needs == {"tools", "json"}

    def test_null_stands_for_not_said(self):
        assert Request.parse({"text": "hello", "region": None, "max_tokens": None}) == Request.parse({"text": "hello"})

    @pytest.mark.parametrize(
        ("part", "needs"),
        [
            ({"type": "text", "text": "what is this"}, set()),
            ({"type": "image_url", "image_url": {"url": "data:..."}}, {"vision"}),
            ({"type": "input_image"}, {"vision"}),
            ({"type": "input_audio", "input_audio": {}}, {"audio"}),
            ("what is this", set()),
        ],
    )
    def test_parts_become_text_and_needs(self, part, needs):
        request = Request.parse({"messages": [{"role": "user", "content": [{"type": "text", "text": "look"}, part]}]})
        assert request.needs == needs
        assert request.messages[0].content == ("look" if needs else "look\nwhat is this")

    def test_needs_that_were_given_stay(self):
        content = [{"type": "image_url"}]
        request = Request.parse({"messages": [{"role": "user", "content": content}], "needs": ["tools"]})
        assert request.needs == {"tools", "vision"}

    def test_tool_results_inside_a_user_turn_are_turns_of_the_tool(self):
        content = [
            {"type": "tool_result", "content": [{"type": "text", "text": "42"}]},
            {"type": "text", "text": "thanks"},
        ]
        messages = Request.parse({"messages": [{"role": "user", "content": content}]}).messages
        assert [(one.role, one.content) for one in messages] == [("tool", "42"), ("user", "thanks")]

    @pytest.mark.parametrize(("given", "role", "content"), [("assistant", "assistant", ""), ("function", "tool", "")])
    def test_a_turn_without_content(self, given, role, content):
        (message,) = Request.parse({"messages": [{"role": given, "content": None, "tool_calls": []}]}).messages
        assert (message.role, message.content) == (role, content)

    @pytest.mark.parametrize(
        "part", [{"type": 5}, {"type": None}, {"type": ["image"]}, 5, None, [[["deep"]]], {"text": 3}]
    )
    def test_parts_of_no_known_kind_do_no_harm(self, part):
        Request.parse({"messages": [{"role": "user", "content": [part]}]})

    def test_parts_nested_without_end_are_refused(self):
        part: list = []
        for _ in range(100_000):
            part = [part]
        with pytest.raises(RequestError, match="nested too deeply"):
            Request.parse({"messages": [{"role": "user", "content": [part]}]})


class TestRefusals:
    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ({}, "messages: missing; a request is"),
            ([], "write a request as a JSON object"),
            ("hello", "write a request as a JSON object"),
            (None, "write a request as a JSON object"),
            ({"messages": []}, "messages: empty; give at least one message"),
            ({"text": "a", "messages": HELLO}, "give either text or messages"),
            ({"messages": "hello"}, "messages: "),
            ({"messages": ["hello"]}, "messages[0]: "),
            ({"messages": [{"content": "hello"}]}, "messages[0].role"),
            ({"messages": [{"role": "bot", "content": "hello"}]}, "messages[0].role"),
            ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
            ({"text": 5}, "messages[0].content"),
            ({"text": "a\ud800b"}, "messages[0].content: character 1 is a lone surrogate"),
            ({"text": "ab\0"}, "messages[0].content: character 2 is NUL; remove it"),
            ({"text": "a", "region": "x\udfff"}, "region: character 1 is a lone surrogate"),
            ({"text": "a", "id": "\0"}, "id: character 0 is NUL"),
            ({"text": "a", "budget_usd": -0.01}, "budget_usd: "),
            ({"text": "a", "budget_usd": float("nan")}, "budget_usd: "),
            ({"text": "a", "budget_usd": float("inf")}, "budget_usd: "),
            ({"text": "a", "budget_usd": 10**400}, "budget_usd: "),
            ({"text": "a", "max_tokens": -1}, "max_tokens: "),
            ({"text": "a", "max_tokens": 2**31}, "max_tokens: "),
            ({"text": "a", "max_tokens": 1.5}, "max_tokens: "),
            ({"text": "a", "latency_slo_ms": -1}, "latency_slo_ms: "),
            ({"text": "a", "at_ms": 2**60}, "at_ms: "),
            ({"text": "a", "tier": "gold"}, "tier: "),
            ({"text": "a", "objective": "speed"}, "objective: "),
            ({"text": "a", "needs": ["telepathy"]}, "needs"),
            ({"text": "a", "needs": 5}, "needs: "),
            ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}], "needs": 5}, "needs: "),
            ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}], "needs": "vision"}, "needs: "),
            ({"text": "a", "budget": 5}, "budget: unknown; the fields of a request are messages, id, max_tokens"),
        ],
    )
    def test_each_names_the_field(self, data, message):
        with pytest.raises(RequestError) as error:
            Request.parse(data)
        assert str(error.value).startswith(message)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda children: st.lists(children) | st.dictionaries(
                st.sampled_from(["role", "content", "type", "text", "messages", "needs", "id"]) | st.text(), children
            ),
            max_leaves=20,
        )
    )  # fmt: skip
    def test_anything_is_read_or_refused(self, data):
        for wrapped in (data, {"messages": data}, {"messages": [{"role": "user", "content": data}], "needs": data}):
            with contextlib.suppress(RequestError):
                pack_request(Request.parse(wrapped), 0)


texts = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50)


class TestPacking:
    @given(
        base=st.integers(0, 2**20).map(lambda number: number * 16),
        turns=st.lists(st.tuples(st.sampled_from(ROLES), texts), min_size=1, max_size=5),
        strings=st.tuples(texts, texts, texts, texts, texts),
        needs=st.sets(st.sampled_from(NEEDS)),
        numbers=st.tuples(*[st.integers(0, MAX_U31)] * 3, st.integers(0, 2**53)),
        tier=st.sampled_from(TIERS),
        objective=st.sampled_from(OBJECTIVES),
    )
    def test_the_bytes_say_what_the_request_says(self, base, turns, strings, needs, numbers, tier, objective):
        request = Request.parse(
            {
                "messages": [{"role": role, "content": content} for role, content in turns],
                **dict(zip(("id", "region", "tenant", "session", "session_model"), strings, strict=True)),
                **dict(zip(("max_tokens", "latency_slo_ms", "cached_tokens", "at_ms"), numbers, strict=True)),
                "needs": list(needs), "tier": tier, "objective": objective, "budget_usd": 0.25,
            }
        )  # fmt: skip
        packed = pack_request(request, base)
        record = RequestRecord.from_bytes(packed)

        def text(span):
            return packed[span.start - base : span.start - base + span.length].decode()

        spans = (record.id, record.region, record.tenant, record.session, record.session_model)
        assert tuple(map(text, spans)) == strings
        assert (record.max_output_tokens, record.latency_slo_ms, record.cached_tokens, record.at_ms) == numbers
        assert (record.tier, record.objective) == (TIERS.index(tier), OBJECTIVES.index(objective))
        assert {need for bit, need in enumerate(NEEDS) if record.needs >> bit & 1} == needs
        assert record.budget == 250_000_000_000
        assert record.messages.length == len(turns)
        for index, turn in enumerate(turns):
            message = MessageRecord.from_bytes(packed, record.messages.start - base + index * MessageRecord.size)
            assert (ROLES[message.role], text(message.content)) == turn

    @pytest.mark.parametrize(
        ("usd", "picodollars"), [(0.0, 1), (1e-12, 1), (1e-20, 1), (0.000_001, 10**6), (1e6, 10**18)]
    )
    def test_a_budget_never_becomes_none_by_rounding(self, usd, picodollars):
        assert (
            RequestRecord.from_bytes(pack_request(Request.parse({"text": "a", "budget_usd": usd}), 0)).budget
            == picodollars
        )

    def test_what_is_too_large_is_refused(self):
        with pytest.raises(RequestError, match=r"messages: .* bytes are more than"):
            pack_request(Request.parse({"text": "a" * MAX_REQUEST_BYTES}), 0)
