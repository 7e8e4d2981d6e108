"""Records: one declaration, one layout."""

import struct
from typing import Annotated

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.core.layout import Decision, Memory, Reason, Request, Weights
from edgewise.core.policy import Model, Policy
from edgewise.core.transcript import Message
from edgewise.core.types import U8, U16, Record, Records, Scalar, Span, i8, i32, i64, offset_of, u8, u16, u32


class Inner(Record):
    first: u8
    second: i32


class Outer(Record):
    flag: u8
    wide: i64
    bytes_: Annotated[U8, 3]
    words: Annotated[U16, 2]
    inner: Inner
    many: Annotated[Records[Inner], 2]
    last: i8


def test_the_layout_is_that_of_c():
    offsets = {field.name: field.offset for field in Outer.fields}
    assert offsets == {"flag": 0, "wide": 8, "bytes_": 16, "words": 20, "inner": 24, "many": 32, "last": 48}
    assert (Outer.size, Outer.alignment) == (56, 8)
    assert offset_of(Outer, "inner") == 24


@pytest.mark.parametrize("record", [Span, Message, Request, Decision, Reason, Model, Policy, Memory, Weights, Outer])
def test_the_layout_is_that_of_numpy(record):
    """An independent implementation of C's alignment rules."""

    def dtype(kind: type[Record]) -> np.dtype:
        fields = []
        for field in kind.fields:
            base = np.dtype(field.element.name) if isinstance(field.element, Scalar) else dtype(field.element)
            fields.append((field.name, base) if field.count is None else (field.name, base, (field.count,)))
        return np.dtype(fields, align=True)

    expected = dtype(record)
    assert record.size == expected.itemsize
    assert {field.name: field.offset for field in record.fields} == {
        name: expected.fields[name][1] for name in expected.names
    }


def test_a_new_record_holds_zeros():
    outer = Outer()
    assert (outer.flag, outer.wide, outer.inner.second, len(outer.many), list(outer.words)) == (0, 0, 0, 2, [0, 0])
    assert outer.to_bytes() == bytes(Outer.size)


@given(st.binary(min_size=Inner.size, max_size=Inner.size))
def test_bytes_go_in_and_out(data):
    inner = Inner.from_bytes(data)
    assert inner.first == data[0]
    assert inner.second == struct.unpack_from("<i", data, 4)[0]
    assert inner.to_bytes() == bytes([data[0], 0, 0, 0]) + data[4:]


@given(
    flag=st.integers(0, 255),
    wide=st.integers(-(2**63), 2**63 - 1),
    last=st.integers(-128, 127),
    second=st.integers(-(2**31), 2**31 - 1),
)
def test_a_record_survives_its_bytes(flag, wide, last, second):
    outer = Outer()
    outer.flag, outer.wide, outer.last, outer.many[1].second, outer.words[1] = flag, wide, last, second, flag
    copy = Outer.from_bytes(b"???" + outer.to_bytes(), 3)
    assert (copy.flag, copy.wide, copy.last, copy.many[1].second, copy.words[1]) == (flag, wide, last, second, flag)
    assert copy.to_bytes() == outer.to_bytes()


@pytest.mark.parametrize(("name", "value"), [("flag", 256), ("flag", -1), ("last", 128), ("wide", 2**63)])
def test_a_value_that_does_not_fit_is_refused(name, value):
    outer = Outer()
    setattr(outer, name, value)
    with pytest.raises(struct.error):
        outer.to_bytes()


def test_too_few_bytes_are_refused():
    with pytest.raises(ValueError, match="Outer takes 56 bytes, 55 are left"):
        Outer.from_bytes(bytes(60), 5)


def test_arrays_of_a_loaded_record_are_views():
    data = bytearray(Outer.size)
    outer = Outer.from_bytes(data)
    data[16] = 7
    assert outer.bytes_[0] == 7


def test_a_field_without_a_width_is_refused():
    with pytest.raises(TypeError, match=r"Loose\.count: write a width such as i32"):
        type("Loose", (Record,), {"__annotations__": {"count": int}})


def test_records_of_the_boundary_have_the_sizes_of_the_canonical_abi():
    assert (Span.size, Message.size, Reason.size) == (8, 12, 24)
    assert Request.alignment == Decision.alignment == Reason.alignment == 8


def test_unsigned_widths_reach_their_ends():
    class Ends(Record):
        small: u16
        large: u32

    ends = Ends.from_bytes(b"\xff" * Ends.size)
    assert (ends.small, ends.large) == (2**16 - 1, 2**32 - 1)
