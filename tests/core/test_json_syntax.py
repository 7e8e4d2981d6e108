"""The JSON scanner against Python's own parser."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgewise.core.json_syntax import BROKEN, MAX_DEPTH, JsonSyntax, begin_json, is_complete, read_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
fragments = st.lists(
    st.sampled_from(
        [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            '"',
            "\\",
            "0",
            "1",
            "-",
            "+",
            ".",
            "e",
            "E",
            "t",
            "true",
            "false",
            "null",
            "nul",
            '"',
            "a",
            "\\u00e9",
            "\n",
        ]
    )
)


def syntax_of(data: bytes) -> JsonSyntax:
    syntax = JsonSyntax()
    begin_json(syntax)
    for byte in data:
        read_json(syntax, byte)
    return syntax


def completes(text: str) -> bool:
    return is_complete(syntax_of(text.encode()))


def is_broken(text: str) -> bool:
    return syntax_of(text.encode()).state == BROKEN


def parses(text: str) -> bool:
    try:
        json.loads(text, parse_constant=lambda _: 1 / 0)
    except (ValueError, ZeroDivisionError):
        return False
    return True


@given(values, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_a_value_completes_and_no_beginning_of_it_is_broken(value, indent, ascii_only):
    data = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    syntax = JsonSyntax()
    begin_json(syntax)
    for byte in data:
        read_json(syntax, byte)
        assert syntax.state != BROKEN
    assert is_complete(syntax)


@given(fragments.map("".join))
@example('{"a":1,}')
@example("[1,]")
@example("01")
@example("1.")
@example("-")
@example('"\\x"')
@example('"\\u12g4"')
@example('{"a" 1}')
@example("[}")
@example('"\n"')
@example("1 2")
def test_what_completes_is_what_python_parses(text):
    assert completes(text) == parses(text)


@pytest.mark.parametrize(
    "text", ["Sure! Here is it: {}", "I can't", "{'a': 1}", "{a: 1}", "[1, 2] and so on", "[1 2]", "}", "NaN", "{},"]
)
def test_it_breaks_at_once(text):
    assert is_broken(text)


@pytest.mark.parametrize("text", ["", "  ", "{", '{"a": [1, 2', '"open', "[tru", "-", "```json\n{"])
def test_a_beginning_is_neither_broken_nor_complete(text):
    assert not is_broken(text)
    assert not completes(text)


@pytest.mark.parametrize("text", ["```json\n{}\n```", "```\n[1]\n```\n", '\n\n {"a": 1} \n', "```json\n{}"])
def test_white_space_and_a_fence_are_no_faults(text):
    assert completes(text)


@pytest.mark.parametrize("text", ["```json\n{}\n``` Done!", "[1```", "{} ```json"])
def test_text_around_a_fence_is(text):
    assert is_broken(text)


def test_brackets_are_followed_to_the_depth_that_is_kept():
    assert completes("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert is_broken("[" * MAX_DEPTH + "}")
    assert is_broken('{"a":' * MAX_DEPTH + "1" + "}" * (MAX_DEPTH - 1) + "]")


def test_beyond_it_nothing_is_called_broken():
    assert completes("[" * (MAX_DEPTH + 1) + "}}}")


@given(st.binary(max_size=200))
def test_random_bytes_are_read(data):
    assert syntax_of(data).depth <= MAX_DEPTH
