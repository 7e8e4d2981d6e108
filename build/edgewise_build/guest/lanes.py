"""Vectors of integers as lanes of one big integer: an interpreter adds them with one operation, not element by element.

A vector (v0, v1, ...) is the number v0 + v1 * 2**32 + v2 * 2**64 + ...; the elements may be negative, as long as every
element of every sum stays within 32 bits with its sign.
"""

import struct
from collections.abc import Iterable

from edgewise.core.types import Buffer

LANE_BITS = 32
_HALF = 1 << (LANE_BITS - 1)


def halves(count: int) -> int:
    """What makes every lane of a vector of `count` elements non-negative when added."""
    return sum(_HALF << (LANE_BITS * lane) for lane in range(count))


def pack(values: Iterable[int]) -> int:
    """The vector as lanes."""
    data = [value + _HALF for value in values]
    return int.from_bytes(struct.pack(f"<{len(data)}I", *data), "little") - halves(len(data))


class Unpacker:
    """Turns lanes back into elements, for vectors of one length."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._halves = halves(count)
        self._struct = struct.Struct(f"<{count}i")

    def __call__(self, lanes: int) -> tuple[int, ...]:
        """The elements."""
        data = ((lanes + self._halves) ^ self._halves).to_bytes(4 * self._count, "little")
        return self._struct.unpack(data)


def columns(matrix: Buffer, rows: int, width: int) -> list[int]:
    """The columns of a matrix that stands row after row, each as lanes: matrix x vector is then a sum of columns."""
    return [pack(matrix[row * width + column] for row in range(rows)) for column in range(width)]


def rows(matrix: Buffer, width: int) -> list[int]:
    """The rows of a matrix that stands row after row, each as lanes: vector x matrix is then a sum of rows."""
    return [pack(matrix[row * width + column] for column in range(width)) for row in range(len(matrix) // width)]
