"""Functions called directly give what wasmtime-py gives, and trap as it does."""

from typing import Any

import pytest
import wasmtime

from edgewise.direct import direct

MODULE = """
(module
  (func (export "mix") (param i32 i64 i32) (result i64)
    (i64.sub (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1)) (i64.extend_i32_s (local.get 2))))
  (func (export "seven") (result i32) (i32.const 7))
  (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1))))
"""


@pytest.fixture
def store() -> wasmtime.Store:
    return wasmtime.Store()


@pytest.fixture
def exports(store: wasmtime.Store) -> Any:
    return wasmtime.Instance(store, wasmtime.Module(store.engine, MODULE), []).exports(store)


def test_integers_of_both_widths(store: wasmtime.Store, exports: Any) -> None:
    mix = direct(store, exports["mix"])
    assert [mix(1, 2**40, 3), mix(-5, -(2**40), 2**31 - 1)] == [2**40 - 2, -5 - 2**40 - (2**31 - 1)]
    assert direct(store, exports["seven"])() == 7
    with pytest.raises(ValueError, match="zip"):
        mix(1, 2)


def test_traps(store: wasmtime.Store, exports: Any) -> None:
    divide = direct(store, exports["divide"])
    assert divide(7, 2) == 3
    with pytest.raises(wasmtime.Trap, match="divide by zero"):
        divide(1, 0)
    assert divide(9, 3) == 3
