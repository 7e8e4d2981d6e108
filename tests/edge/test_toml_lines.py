"""Lines of keys: what the scanner finds is what `tomllib` reads, in every way of writing it."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.toml_lines import key_lines, locate

VALUES = st.sampled_from(
    [
        "1",
        "-0.5",
        "nan",
        "true",
        "1979-05-27 07:32:00",
        '"a # [b] = \\" \\\\"',
        "'C:\\'",
        '"""x\n] k = 1\n"""',
        '"""a ""\\""""""',
        "'''\n# '' \n''''",
        "[]",
        "{}",
        "[ 1, # one, two\n [2, 3],\n]",
        '[{a = 1, "b c" = [2]}, {}]',
        '{ "x.y" = 1, z.w = "}" }',
    ]
)
BLANKS = st.sampled_from(["", "\n", "# k = 1 [t]\n", "  \t# x\n\n", "\r\n"])


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A TOML document in which every key is new."""
    number = iter(range(1000))
    lines: list[str] = []

    def pairs() -> None:
        for _ in range(draw(st.integers(0, 3))):
            key = draw(st.sampled_from(["k{}", '"k {}"', "'k.{}'", "k{0} . 'x {0}'"])).format(next(number))
            lines.append(f"{draw(BLANKS)}{key} = {draw(VALUES)} # end\n")

    pairs()
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(["t{}", 't{}."a b"', "[ t{} ]"])).format(next(number))
        repeated = 2 if name.startswith("[") else 1
        for _ in range(repeated):
            lines.append(f"{draw(BLANKS)}[{name}] # head\n")
            pairs()
    return "".join(lines)


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    """Every path of nested dicts and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path} - {()} | {one for key, inner in items for one in paths_of(inner, (*path, key))}


@given(documents())
def test_finds_exactly_the_keys_that_tomllib_reads(text: str) -> None:
    assert set(key_lines(text)) == paths_of(tomllib.loads(text))


@given(documents())
def test_a_line_mentions_its_key(text: str) -> None:
    lines = text.split("\n")
    for path, line in key_lines(text).items():
        if isinstance(path[-1], str):
            assert path[-1] in lines[line - 1]


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a = 1\nb = 2", ("b",), 2),
        ("[a.b]\n\n[a]\nc = 1", ("a",), 3),
        ("[a]\nb = 1", ("a", "missing"), 1),
        ("\n[a]\nb = [1,\n2]", ("a", "b", 1), 4),
        ("[[a]]\nb = 1\n[[a]]\nb = 2", ("a", 1, "b"), 4),
        ("[[a]]\n[a.c]\n[[a]]\n[a.c]\nd = 1", ("a", 1, "c", "d"), 5),
        ('"\\u00e9" = 1\nx = 2', ("é",), 1),
        ("", ("a",), 1),
    ],
)
def test_locates(text: str, path: tuple[str | int, ...], line: int) -> None:
    assert locate(key_lines(text), path) == line
