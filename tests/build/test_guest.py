"""The guest's variants of core functions give what the core gives, for any text."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.core.classifier import ClassifierScratch, infer
from edgewise.core.endpoints import hash_bytes
from edgewise.core.labels import ROLE_USER
from edgewise.core.language import LanguageResult, LanguageScratch, identify
from edgewise.core.layout import Weights
from edgewise.core.tokens import units
from edgewise.core.transcript import ASK_BYTES, Ask, Message, read_ask
from edgewise.engine import PythonEngine
from edgewise.request import Request
from edgewise.traffic import read_traffic
from edgewise_build.guest import lanes, scan, variants
from support.prompts import TRAFFIC, sampled_requests

PIECES = [
    "the", "router ", "don't", "it’s '", "x1", "0", "2024-05", "camelCase",
    "HTTP", "don't ", "é", "Straße ", "ﬁ", "＇", "Ａ１", "привет ", "мир", "今日",
    "日本語です。", "カタカナ", "สวัสดี", "한국어 ", "🙂", "...", "!?", "\n", "\t", "  ",
    "\u3000", "\u200b", "<", "</", "<system-reminder>", "</system-reminder>",
    "<query>", "{};", "://", "a" * 70, "a" * 70 + "字", "́", "\x00", "`",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=12), max_size=250).map("".join)
turns = st.lists(texts, min_size=1, max_size=5)


@pytest.fixture(scope="module")
def record(weights: bytes) -> Weights:
    """The committed weights."""
    return Weights.from_bytes(weights)


@pytest.fixture(scope="module")
def scanner(record: Weights) -> scan.Scanner:
    return scan.Scanner(record.classifier)


@pytest.fixture(scope="module")
def layers(record: Weights) -> variants.Layers:
    return variants.Layers(record.classifier)


@pytest.fixture(scope="module")
def spoken(record: Weights) -> variants.Spoken:
    return variants.Spoken(record.language)


def conversation(contents: list[str] | list[bytes]) -> tuple[list[Message], bytes]:
    """User turns as the core reads them."""
    text, messages = b"", []
    for content in contents:
        encoded = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        message = Message()
        message.role, message.content.start, message.content.length = ROLE_USER, len(text), len(encoded)
        messages.append(message)
        text += encoded
    return messages, text


def state_of(ask: Ask) -> tuple[object, ...]:
    """All that reading a conversation leaves, up to where the text ends."""
    segments = [(one.start, one.length, one.weight) for one in ask.segments[: ask.segment_count]]
    return bytes(ask.text[: ask.length]), segments, ask.user_turns, ask.truncated, ask.harness_budget


def check_inference(contents: list[str] | list[bytes], record: Weights, scanner: scan.Scanner) -> None:
    messages, text = conversation(contents)
    ask, expected, found = Ask(), ClassifierScratch(), ClassifierScratch()
    read_ask(messages, text, ask)
    infer(ask, record.classifier, expected)
    scanner.read_features(ask, found.features)
    scanner.find_slots(found.features, record.classifier.fingerprints, found)
    scanner.sum_rows(record.classifier.rows, found)
    assert list(found.sums) == list(expected.sums)
    assert list(found.features.shapes) == list(expected.features.shapes)


@given(turns)
@settings(max_examples=150)
def test_scan(record, scanner, contents):
    check_inference(contents, record, scanner)


@given(st.lists(st.binary(max_size=700), min_size=1, max_size=3))
@settings(max_examples=30)
def test_scan_of_what_is_not_text(record, scanner, contents):
    check_inference(contents, record, scanner)


def test_scan_of_prompts(record, scanner):
    for request in sampled_requests(150, seed=3):
        check_inference([message.content for message in request.messages], record, scanner)


@pytest.mark.parametrize("size", [*range(120, 136), *range(250, 262), *range(505, 520), *range(760, 775)])
def test_scan_where_zones_and_grams_end(record, scanner, size):
    for text in ("supercalifragilistic " * 60, "ab1 " * 250, "é, " * 400, "漢字かな。" * 160, "--\n" * 400):
        check_inference([text.encode()[:size].decode(errors="ignore")], record, scanner)


@given(st.binary(max_size=3000), st.integers(0, 600), st.integers(0, 2100), st.integers(0, ASK_BYTES - 2200))
@settings(max_examples=100)
def test_copy_of_bytes(text, max_tokens, max_bytes, before):
    check_copy(text, max_tokens, max_bytes, before)


@given(texts, st.integers(0, 600), st.integers(0, 2100))
@settings(max_examples=100)
def test_copy_of_text(text, max_tokens, max_bytes):
    check_copy(text.encode("utf-8", "surrogatepass"), max_tokens, max_bytes, 0)


def check_copy(text: bytes, max_tokens: int, max_bytes: int, before: int) -> None:
    from edgewise.core.transcript import _copy

    expected, found = Ask(), Ask()
    for ask in (expected, found):
        ask.length, ask.harness_budget = before, 5000
    end = _copy(text, 0, len(text), max_tokens, max_bytes, expected)
    assert variants.copy(text, 0, len(text), max_tokens, max_bytes, found) == end
    assert state_of(found) == state_of(expected)


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(0, 300))
def test_units(text, start, length):
    start = min(start, len(text))
    length = min(length, len(text) - start)
    assert variants.units(text, start, length) == units(text, start, length)


@given(st.binary(max_size=1500) | texts.map(lambda text: text.encode("utf-8", "surrogatepass")), st.integers(0, 300))
@settings(max_examples=100)
def test_tail_start(text, start):
    from edgewise.core.transcript import _tail_start

    start = min(start, len(text))
    assert variants.tail_start(text, start, len(text)) == _tail_start(text, start, len(text))


@given(st.binary(max_size=300), st.integers(0, 300))
def test_hash_bytes(text, start):
    start = min(start, len(text))
    assert variants.hash_bytes(text, start, len(text) - start) == hash_bytes(text, start, len(text) - start)


@given(st.integers(0, 2**32))
@settings(max_examples=50)
def test_layers(record, layers, seed):
    from edgewise.core.classifier import _hidden_layer, _output_layer

    draw = random.Random(seed)
    expected, found = ClassifierScratch(), ClassifierScratch()
    for index in range(len(expected.inputs)):
        expected.inputs[index] = found.inputs[index] = draw.choice((-127, 0, 127, draw.randint(-127, 127)))
    _hidden_layer(record.classifier, expected)
    layers.hidden_layer(record.classifier, found)
    assert list(found.outputs) == list(expected.outputs)
    _output_layer(record.classifier, expected)
    layers.output_layer(record.classifier, found)
    assert list(found.logits) == list(expected.logits)


@given(texts)
@settings(max_examples=150)
def test_language(record, spoken, text):
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    expected = LanguageScratch(), LanguageResult()
    identify(data, 0, len(data), record.language, *expected)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("read_word", "add_grams", "add_languages"):
            patch.setattr(variants.language, name, getattr(spoken, name))
        found = LanguageScratch(), LanguageResult()
        identify(data, 0, len(data), record.language, *found)
    assert found[1].to_bytes() == expected[1].to_bytes()


def test_decisions(weights, default_policy, record):
    check_decisions(list(read_traffic(TRAFFIC)), weights, default_policy, record)


def test_decisions_on_real_prompts(weights, default_policy, record):
    check_decisions(sampled_requests(150, seed=9), weights, default_policy, record)


def check_decisions(requests: list[Request], weights: bytes, default_policy: bytes, record: Weights) -> None:
    engine = PythonEngine(weights)
    engine.load_policy(default_policy)
    expected = [engine.decide(request) for request in requests]
    with pytest.MonkeyPatch.context() as patch:
        for module, name, variant in variants.variants(record):
            patch.setattr(module, name, variant)
        assert [engine.decide(request) for request in requests] == expected


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=70))
def test_lanes(values):
    assert lanes.Unpacker(len(values))(lanes.pack(values)) == tuple(values)
