from typing import Annotated
from edgewise.core.types import *
TABLE = tuple(range(10, 26))
class Ep(Record):
    ewma: i32
    name: Span
    opened: i64
    q: Annotated[U16, 3]
class M(Record):
    base: u8
    eps: Annotated[Records[Ep], 300]
    acc: Annotated[I32, 16]
    t: Annotated[I8, 4096]
def add_row(acc: I32, t: I8, row: int) -> None:
    for j in range(16):
        acc[j] += t[row * 16 + j]
def bump(eps: Records[Ep], i: int) -> int:
    e = eps[i]
    e.ewma += 2
    e.q[1] = 9
    return e.ewma * e.q[1] + TABLE[i & 15]
def run(m: M, text: U8) -> int:
    s = 0
    for i in range(len(text)):
        add_row(m.acc, m.t, text[i])
        s += bump(m.eps, text[i]) + text[i] * text[i]
    if s > 5 and m.base == 0:
        s = max(s, 3)
    return s
