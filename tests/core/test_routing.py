"""One whole decision by the core's source, with every number and index checked.

Compiled code neither checks an index nor keeps more than 64 bits. So the core runs here on records and buffers that
raise where a value leaves its width, a result leaves 64 bits, or an index is negative or outside.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.core.labels import ROLES, TASK_COUNT
from edgewise.core.layout import Observation, Request
from edgewise.core.policy import Model, Policy
from edgewise.core.transcript import Message, Segment
from edgewise.core.types import element_of, u8, u32
from edgewise.request import Request as RequestModel
from edgewise.request import pack_request
from edgewise.traffic import read_traffic
from support.checked import CheckedBuffer, CheckedCore, CheckedInt, checked
from support.prompts import TRAFFIC


@pytest.fixture(scope="module")
def core(weights, default_policy) -> CheckedCore:
    return CheckedCore(weights, default_policy)


def test_the_checks_can_fail():
    big = CheckedInt(2**62)
    for operation in (
        lambda: big * 2,
        lambda: big + big,
        lambda: 2 * big,
        lambda: -big - big - 1,
        lambda: 1 << CheckedInt(63),
    ):
        with pytest.raises(OverflowError):
            operation()
    assert (big - 1 + big, CheckedInt(-7) // 2, 7 % CheckedInt(-2)) == (2**63 - 1, -4, -1)
    buffer = CheckedBuffer(bytearray(2), "b", element_of(u8)[0])
    for index in (-1, 2):
        with pytest.raises(IndexError):
            buffer[index]
    for value in (-1, 256):
        with pytest.raises(OverflowError):
            buffer[0] = value
    segment = checked(Segment())
    with pytest.raises(OverflowError, match=r"Segment.start = 2147483648"):
        segment.start = 2**31
    with pytest.raises(AttributeError, match="Segment has no begin"):
        segment.begin = 1
    assert element_of(u32)[0].name == "uint32"


def test_example_traffic_stays_within_the_widths(core):
    requests = list(read_traffic(TRAFFIC))
    for request in random.Random(5).sample(requests, 40):
        assert core.decide(pack_request(request, 0)) in ("ok", "no_feasible_model"), request.id


PIECES = ["<system-reminder>", "</system-reminder>", "```", "\n", "def f(x): ", "why ", "今日は", "http://a.b/",
          "é" * 40, "9" * 30, "🎉", "<", ">", "translate this ", "ß", "ᐃᓄᒃ", "\u200d", "A" * 700, " " * 50]  # fmt: skip


@settings(max_examples=50)
@given(
    turns=st.lists(
        st.tuples(
            st.sampled_from(ROLES),
            st.binary(max_size=600)
            | st.text(max_size=600).map(lambda text: text.encode(errors="replace"))
            | st.lists(st.sampled_from(PIECES), max_size=30).map(lambda parts: "".join(parts).encode()),
        ),
        max_size=6,
    )
)
def test_any_bytes_stay_within_the_widths(core, turns):
    """Bytes that are not UTF-8 too: no host sends them, but nothing may go out of bounds for them."""
    request = Request()
    base = Request.size + Message.size * len(turns)
    rows, text = b"", b""
    for role, content in turns:
        message = Message()
        message.role = ROLES.index(role)
        message.content.start, message.content.length = base + len(text), len(content)
        rows, text = rows + message.to_bytes(), text + content
    request.messages.start, request.messages.length = Request.size, len(turns)
    assert core.decide(request.to_bytes() + rows + text) != "no_policy"


def test_the_dearest_catalogue_and_the_largest_request_stay_below_64_bits(weights, default_policy):
    """Prices, waits and values at the limits of a router.toml, tokens at the limit of a request."""
    core = CheckedCore(weights, default_policy)
    for model in core.models:
        model.price_in = model.price_out = 10_000 * 10**6
        model.ttft_ms, model.context, model.max_output = 600_000, 2**31 - 1, 2**31 - 1
        for index in range(len(model.quality)):
            model.quality[index] = 10_000 if index % 4 < 2 else 0
    for objective in range(5):
        core.policy.answer_value[objective] = 100_000 * 10**12
        core.policy.wait_price[objective] = 10**12
    packed = pack_request(RequestModel.parse({"text": "translate: " + "語" * 11_000_000, "budget_usd": 1e6}), 0)
    assert core.decide(packed) in ("ok", "no_feasible_model")


def test_scores_sum_to_one(core):
    packed = pack_request(RequestModel.parse({"text": "What is the capital of Peru?"}), 0)
    assert core.decide(packed) in ("ok", "no_feasible_model")
    assert abs(sum(core.memory.decision.task_scores[task] for task in range(TASK_COUNT)) - 10_000) <= TASK_COUNT


def test_the_sizes_that_cross_the_boundary_are_pinned():
    """Whoever changes these changes the WIT contract, and every host."""
    assert (Request.size, Message.size, Observation.size) == (88, 12, 56)
    assert Policy.alignment == Model.alignment == 8
