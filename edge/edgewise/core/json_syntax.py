"""Is this still the beginning of one JSON value? Read byte by byte, in constant memory.

A table of states by bytes, and one bit for each open bracket, as in Crockford's JSON_checker. White space and one
Markdown fence around the value are allowed, since models like to write them and clients strip them.
"""

from typing import Annotated

from edgewise.core.types import U8, Record, u8

MAX_DEPTH = 64
"""Brackets that are followed; in a value that nests deeper nothing is called broken any more."""

_STATES = (
    "broken", "start", "fence", "value", "first_element", "first_key", "key", "colon", "after", "closed_fence", "lost",
    "string", "string_escape", "string_u1", "string_u2", "string_u3", "string_u4",
    "key_string", "key_string_escape", "key_string_u1", "key_string_u2", "key_string_u3", "key_string_u4",
    "minus", "zero", "digits", "point", "decimals", "exponent", "exponent_sign", "exponent_digits",
    "t", "tr", "tru", "f", "fa", "fal", "fals", "n", "nu", "nul",
    "open_object", "open_array", "close_object", "close_array", "comma", "end_fence",
)  # fmt: skip
BROKEN, START, FENCE = (_STATES.index(name) for name in ("broken", "start", "fence"))
VALUE, FIRST_ELEMENT, FIRST_KEY, KEY = (_STATES.index(name) for name in ("value", "first_element", "first_key", "key"))
AFTER, CLOSED_FENCE, LOST = (_STATES.index(name) for name in ("after", "closed_fence", "lost"))
OPEN_OBJECT, OPEN_ARRAY = _STATES.index("open_object"), _STATES.index("open_array")
CLOSE_OBJECT, CLOSE_ARRAY = _STATES.index("close_object"), _STATES.index("close_array")
COMMA, END_FENCE = _STATES.index("comma"), _STATES.index("end_fence")
"""From OPEN_OBJECT on: not states, but what to do with the brackets to find the next state."""

_SPACE, _DIGITS, _HEX = b" \t\n\r", b"0123456789", b"0123456789abcdefABCDEF"
_NUMBERS = ("zero", "digits", "decimals", "exponent_digits")


def _rules() -> list[tuple[str, bytes, str]]:
    """(state, bytes, next state); a later rule outdoes an earlier one; what no rule names is broken."""
    anything = bytes(range(256))
    rules = [("lost", anything, "lost"), ("fence", anything, "fence"), ("fence", b"\n", "value")]
    rules += [(state, _SPACE, state) for state in ("start", "value", "first_element", "first_key", "key", "colon")]
    for state in ("start", "value", "first_element"):
        rules += [(state, b"{", "open_object"), (state, b"[", "open_array"), (state, b'"', "string")]
        rules += [(state, b"-", "minus"), (state, b"0", "zero"), (state, b"123456789", "digits")]
        rules += [(state, b"t", "t"), (state, b"f", "f"), (state, b"n", "n")]
    rules += [("start", b"`", "fence"), ("first_element", b"]", "close_array"), ("first_key", b"}", "close_object")]
    rules += [("first_key", b'"', "key_string"), ("key", b'"', "key_string"), ("colon", b":", "value")]
    for state in ("after", *_NUMBERS):
        rules += [(state, _SPACE, "after"), (state, b",", "comma"), (state, b"`", "end_fence")]
        rules += [(state, b"}", "close_object"), (state, b"]", "close_array")]
    rules += [("closed_fence", _SPACE + b"`", "closed_fence")]
    for string, then in (("string", "after"), ("key_string", "colon")):
        rules += [(string, anything[0x20:], string), (string, b'"', then), (string, b"\\", f"{string}_escape")]
        rules += [(f"{string}_escape", b'"\\/bfnrt', string), (f"{string}_escape", b"u", f"{string}_u1")]
        rules += [(f"{string}_u{digit}", _HEX, f"{string}_u{digit + 1}") for digit in (1, 2, 3)]
        rules += [(f"{string}_u4", _HEX, string)]
    rules += [("minus", b"0", "zero"), ("minus", b"123456789", "digits"), ("digits", _DIGITS, "digits")]
    rules += [("zero", b".", "point"), ("digits", b".", "point"), ("point", _DIGITS, "decimals")]
    rules += [("decimals", _DIGITS, "decimals"), ("exponent", b"+-", "exponent_sign")]
    rules += [(state, b"eE", "exponent") for state in ("zero", "digits", "decimals")]
    rules += [(state, _DIGITS, "exponent_digits") for state in ("exponent", "exponent_sign", "exponent_digits")]
    for word in ("true", "false", "null"):
        prefixes = [word[:length] for length in range(1, len(word))]
        rules += [(prefix, word[len(prefix)].encode(), word[: len(prefix) + 1]) for prefix in prefixes]
    return rules


def _table() -> tuple[int, ...]:
    table = [BROKEN] * (OPEN_OBJECT * 256)
    for state, characters, following in _rules():
        following = "after" if following in ("true", "false", "null") else following
        for byte in characters:
            table[_STATES.index(state) * 256 + byte] = _STATES.index(following)
    return tuple(table)


NEXT = _table()
ENDS = tuple(int(name in ("after", "closed_fence", "lost", *_NUMBERS)) for name in _STATES)


class JsonSyntax(Record):
    """How far a value has been read: the state, the open brackets, and of each whether it is an object's."""

    state: u8
    depth: u8
    is_object: Annotated[U8, MAX_DEPTH // 8]


def begin_json(syntax: JsonSyntax) -> None:
    """Wait for the first byte of a value."""
    syntax.state = START
    syntax.depth = 0


def read_json(syntax: JsonSyntax, byte: int) -> None:
    """Read one byte; what cannot be the beginning of a JSON value leaves the state BROKEN for good."""
    state = NEXT[syntax.state * 256 + byte]
    if state < OPEN_OBJECT:
        syntax.state = state
    elif state == OPEN_OBJECT or state == OPEN_ARRAY:
        syntax.state = _open(syntax, 1 if state == OPEN_OBJECT else 0)
    elif state == END_FENCE:
        syntax.state = CLOSED_FENCE if syntax.depth == 0 else BROKEN
    elif syntax.depth == 0:
        syntax.state = BROKEN
    elif state == COMMA:
        syntax.state = KEY if _in_object(syntax) == 1 else VALUE
    elif _in_object(syntax) == (1 if state == CLOSE_OBJECT else 0):
        syntax.depth -= 1
        syntax.state = AFTER
    else:
        syntax.state = BROKEN


def is_complete(syntax: JsonSyntax) -> bool:
    """Whether the value could end here."""
    return ENDS[syntax.state] == 1 and (syntax.depth == 0 or syntax.state == LOST)


def _open(syntax: JsonSyntax, is_object: int) -> int:
    if syntax.depth == MAX_DEPTH:
        return LOST
    index = syntax.depth >> 3
    bit = 1 << (syntax.depth & 7)
    syntax.is_object[index] = syntax.is_object[index] & (255 - bit) | bit * is_object
    syntax.depth += 1
    return FIRST_KEY if is_object == 1 else FIRST_ELEMENT


def _in_object(syntax: JsonSyntax) -> int:
    last = syntax.depth - 1
    return syntax.is_object[last >> 3] >> (last & 7) & 1
