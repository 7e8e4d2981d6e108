"""Calls of exported functions without what wasmtime-py does for each one: asking for its type, and converting by it.

That takes 0.1 ms where a function has fifteen parameters, more than the core itself. Functions here take and give
plain integers, whose types are asked for once.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import wasmtime
from wasmtime import _bindings as bindings

_FIELDS = {str(wasmtime.ValType.i32()): "i32", str(wasmtime.ValType.i64()): "i64"}


def direct(store: wasmtime.Store, function: Any) -> Callable[..., int]:
    """A wasmtime function as one of Python's, which takes and gives i32 and i64, as signed or unsigned integers.

    Calling it raises wasmtime.Trap where the core traps.
    """
    kind = function.type(store)
    fields = [_FIELDS[str(parameter)] for parameter in kind.params]
    (result,) = [_FIELDS[str(one)] for one in kind.results]
    room = max(1, len(fields))
    values = (bindings.wasmtime_val_raw_t * room)()
    places = list(zip(values, fields, strict=False))
    context, pointer = store._context(), ctypes.byref(function._func)

    def call(*arguments: int) -> int:
        for (place, field), argument in zip(places, arguments, strict=True):
            setattr(place, field, argument)
        trap = ctypes.POINTER(bindings.wasm_trap_t)()
        error = bindings.wasmtime_func_call_unchecked(context, pointer, values, room, ctypes.byref(trap))
        if error:
            raise wasmtime.WasmtimeError._from_ptr(error)
        if trap:
            raise wasmtime.Trap._from_ptr(trap)
        return int(getattr(values[0], result))

    return call
