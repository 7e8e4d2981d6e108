"""Linking: what survives to the linker is named."""

import pytest
import wasmtime

from edgewise_build.wasm import LayoutError, LinkError, compile_modules, link

CALLER = """
declare i32 @{symbol}(i32)

define i32 @decide(i32 %x) {{
  %y = call i32 @{symbol}(i32 %x)
  ret i32 %y
}}
"""


@pytest.mark.parametrize("symbol", ["PyErr_SetString", "NRT_Allocate", "memory_of_unknown_origin"])
def test_a_symbol_that_nothing_defines_is_named(symbol):
    with pytest.raises(LinkError, match=f"the core needs symbols that WebAssembly does not have: {symbol} "):
        link(compile_modules([CALLER.format(symbol=symbol)], ["decide"]), ["decide"])


def test_all_of_them_are_named_and_explained():
    ir = CALLER.format(symbol="PyErr_SetString") + CALLER.format(symbol="NRT_decref").replace("@decide", "@other")
    with pytest.raises(
        LinkError, match=r"NRT_decref, PyErr_SetString \(Py\* and NRT_\* symbols come from Python objects"
    ):
        link(compile_modules([ir], ["decide", "other"]), ["decide", "other"])


def test_modules_are_linked_as_one():
    double = "define i32 @double(i32 %x) {\n  %y = shl i32 %x, 1\n  ret i32 %y\n}"
    data = link(compile_modules([CALLER.format(symbol="double"), double], ["decide"]), ["decide"])
    store = wasmtime.Store()
    module = wasmtime.Module(store.engine, data)
    assert [export.name for export in module.exports] == ["memory", "decide"]
    assert wasmtime.Instance(store, module, []).exports(store)["decide"](store, 21) == 42


def test_a_host_layout_and_common_symbols_do_not_stand_in_the_way():
    ir = """
target datalayout = "e-m:e-p270:32:32-i64:64"
target triple = "x86_64-unknown-linux-gnu"
@shared = common global i32 0

define i32 @decide(i32 %x) {
  store i32 %x, ptr @shared
  %y = load i32, ptr @shared
  ret i32 %y
}
"""
    assert link(compile_modules([ir], ["decide"]), ["decide"])[:4] == b"\0asm"


def test_an_export_that_is_missing_is_an_error():
    with pytest.raises(LinkError, match="symbol exported via --export not found: nothing"):
        link(compile_modules(["define i32 @decide() {\n  ret i32 1\n}"], ["decide"]), ["nothing"])


SHARED_SLOT = """
define i64 @decide(i64 %x) {{
  %unused = alloca ptr, align 8
  %slot = alloca {kind}, align 8
  store ptr null, ptr %slot, align 8
  store i64 %x, ptr %slot, align 8
  %y = load i64, ptr %slot, align 8
  ret i64 %y
}}
"""


def test_a_number_in_the_stack_slot_of_a_pointer_is_refused():
    """A pointer is half as wide as such a number: what LLVM makes of it would lose the number."""
    with pytest.raises(LayoutError, match="decide: a number stands in the stack slot of a pointer"):
        compile_modules([SHARED_SLOT.format(kind="ptr")], ["decide"])


@pytest.mark.parametrize("access", ["store i64 %x, ptr %slot, align 8", "%y = load i64, ptr %slot, align 8"])
def test_either_access_is_enough(access):
    ir = f"\ndefine void @decide(i64 %x) {{\n  %slot = alloca ptr, align 8\n  {access}\n  ret void\n}}"
    with pytest.raises(LayoutError, match="decide"):
        compile_modules([ir], ["decide"])


def test_a_pointer_in_the_stack_slot_of_a_number_is_fine():
    data = link(compile_modules([SHARED_SLOT.format(kind="i64")], ["decide"]), ["decide"])
    store = wasmtime.Store()
    instance = wasmtime.Instance(store, wasmtime.Module(store.engine, data), [])
    assert instance.exports(store)["decide"](store, 1 << 40) == 1 << 40


@pytest.mark.parametrize("attributes", ["", "nounwind ", "#0 "])
def test_address_zero_is_read_and_written(attributes):
    """Whether a function has attributes, a group of them, or none: numba gives each kind."""
    ir = f"""
define i64 @decide(i32 %at, i64 %x) {attributes}{{
  %to = getelementptr inbounds i8, ptr null, i32 %at
  store i64 %x, ptr %to, align 1
  %y = load i64, ptr null, align 1
  ret i64 %y
}}
attributes #0 = {{ nounwind }}
"""
    store = wasmtime.Store()
    module = wasmtime.Module(store.engine, link(compile_modules([ir], ["decide"]), ["decide"]))
    decide = wasmtime.Instance(store, module, []).exports(store)["decide"]
    assert (decide(store, 0, 1 << 40), decide(store, 16, 7)) == (1 << 40, 1 << 40)
