"""Lowering: compiled code computes what CPython computes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.core.layout import Decision, Memory, Request, Weights
from edgewise.core.policy import Model, Policy
from edgewise_build.lower import LoweringError, lower, native, record_dtype
from support.modules import core_module

SOURCE = """
TABLE = (-7, 0, 300, 65536, 4294967295)
BYTES = (0, 200, 255)


class Cell(Record):
    small: u8
    signed: i8
    wide: i64
    many: Annotated[U16, 3]


def product(a: U8, b: U8) -> int:
    return a[0] * b[0] * a[0] * b[0] - a[1] * b[1]


def difference(a: U8, b: U32) -> int:
    return a[0] - b[0] - 1


def signs(a: I8, b: I16, c: I32) -> int:
    return (a[0] * b[0] - c[0]) * 3 - abs(a[0]) + max(a[0], b[0]) - min(b[0], c[0])


def floors(a: int, b: int) -> int:
    return (a // b) * 1000003 + a % b


def shifts(a: int, b: int) -> int:
    return (a >> b) + ((a & 0xFFFF) << (b & 15)) + (a ^ b) - (a | b) + ~a


def unsigned_floors(a: U32, b: U8) -> int:
    divisor = b[0] + 1
    return (a[0] - 1000) // divisor + (a[0] - 5) % divisor + (-a[0]) // divisor


def hashing(a: U32, b: U8) -> int:
    value = (a[0] * 2654435761) & 0xFFFFFFFF
    value = ((value ^ value >> 15) * 0x85EBCA6B) & 0xFFFFFFFF
    return (value * 30000) >> 32 if b[0] > 127 else value


def tables(a: int) -> int:
    index = abs(a) % 5
    return TABLE[index] * 2 + BYTES[index % 3] * BYTES[2] + len(TABLE)


def logic(a: int, b: int) -> int:
    count = 0
    for step in range(abs(a) % 7):
        count += step if a < b and not (b < 0 or step == 2) else 1
        if count > 9:
            break
    while count < 5:
        count += 2 if a == b else 1
    return count + (1 if a < b < 100 else 0)


def fill(cell: Cell, a: int) -> int:
    cell.small = a & 255
    cell.signed = (a & 127) - 64
    cell.wide = a * 3
    for index in range(3):
        cell.many[index] = (a >> index) & 0xFFFF
    cell.small = cell.small // 2
    return cell.wide - cell.small * cell.signed + cell.many[2] * cell.many[1]


def seen(cell: Cell, flag: bool) -> bool:
    return flag or cell.small > cell.signed
"""

int64 = st.integers(-(2**40), 2**40)
u8, u32 = st.integers(0, 2**8 - 1), st.integers(0, 2**32 - 1)
pair = st.tuples


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    module = core_module(tmp_path_factory.mktemp("core"), SOURCE)
    names = (*CASES, "fill", "seen")
    return {name: (getattr(module, name), native(getattr(module, name))) for name in names} | {"Cell": module.Cell}


def arrays(kinds, values):
    return [np.array(value, dtype=kind) if kind else value[0] for kind, value in zip(kinds, values, strict=True)]


CASES = {
    "product": (("u1", "u1"), pair(pair(u8, u8), pair(u8, u8))),
    "difference": (("u1", "u4"), pair(pair(u8), pair(u32))),
    "signs": (
        ("i1", "i2", "i4"),
        pair(*[pair(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)) for bits in (8, 16, 32)]),
    ),
    "floors": ((None, None), pair(pair(int64), pair(int64.filter(bool)))),
    "shifts": ((None, None), pair(pair(int64), pair(st.integers(0, 62)))),
    "unsigned_floors": (("u4", "u1"), pair(pair(u32), pair(u8))),
    "hashing": (("u4", "u1"), pair(pair(u32), pair(u8))),
    "tables": ((None,), pair(pair(int64))),
    "logic": ((None, None), pair(pair(int64), pair(int64))),
}


@pytest.mark.parametrize("name", CASES)
def test_native_code_computes_what_cpython_computes(functions, name):
    kinds, values = CASES[name]
    interpreted, compiled = functions[name]

    @settings(max_examples=200)
    @given(values)
    def compare(values):
        plain = [value if kind else value[0] for kind, value in zip(kinds, values, strict=True)]
        assert compiled(*arrays(kinds, values)) == interpreted(*plain)

    compare()


@settings(max_examples=200)
@given(value=int64, flag=st.booleans())
def test_records_are_read_and_written_alike(functions, value, flag):
    cell, fill, seen = functions["Cell"], functions["fill"], functions["seen"]
    interpreted, compiled = cell(), np.zeros(1, dtype=record_dtype(cell))
    assert fill[1](compiled[0], value) == fill[0](interpreted, value)
    assert compiled.tobytes() == interpreted.to_bytes()
    assert seen[1](compiled[0], flag) == seen[0](interpreted, flag)


@pytest.mark.parametrize("record", [Request, Decision, Model, Policy, Memory, Weights])
def test_compiled_code_sees_the_declared_layout(record):
    dtype = record_dtype(record)
    assert dtype.itemsize == record.size
    assert {name: dtype.fields[name][1] for name in dtype.names} == {
        field.name: field.offset for field in record.fields
    }


@pytest.mark.parametrize(
    "body",
    ["a / 2 > 1", "int_of(a * HALF)", "0.5 * a > 1"],
    ids=["division", "constant", "literal"],
)
def test_floats_are_refused_by_the_compiler_too(tmp_path, body):
    source = f"""
    HALF = 0.5


    def int_of(a: int) -> int:
        return a


    def f(a: int) -> int:
        return 1 if {body} else 0
    """
    with pytest.raises(LoweringError, match=r"f|int_of"):
        lower([core_module(tmp_path, source).f])


def test_what_has_no_type_names_its_function(tmp_path):
    module = core_module(tmp_path, "def f(a: int) -> int:\n    return unknown_thing(a)\n")
    with pytest.raises(LoweringError, match=rf"{module.f.__module__}\.f: "):
        lower([module.f])


def test_a_parameter_of_no_known_kind_is_refused(tmp_path):
    module = core_module(tmp_path, "def f(a: str) -> int:\n    return 0\n")
    with pytest.raises(LoweringError, match="a parameter cannot be <class 'str'>: write int, bool"):
        lower([module.f])
