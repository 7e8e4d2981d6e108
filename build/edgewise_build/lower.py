"""Lowering: typed core functions become LLVM IR (for WebAssembly) or native code (for training), through numba.

Every integer that is read from memory is widened to 64 bits before anything is done with it. So arithmetic means
the same in CPython and in compiled code as long as values stay below 2**63, whatever the width they are stored in.
"""

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, get_type_hints

import numba
import numpy as np
from numba.core import types
from numba.core.extending import intrinsic
from numba.np.numpy_support import from_dtype

from edgewise.core.types import Record, Scalar, element_of

CORE = "edgewise.core"

WASM_OPTIONS: dict[str, Any] = {
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "_nrt": False,
    "error_model": "numpy",
    "boundscheck": False,
}


class LoweringError(Exception):
    """A core function that numba cannot type, or that would compute with floats; names the function."""


@dataclass(frozen=True)
class LoweredFunction:
    """A root function as LLVM IR: its Python name, its symbol, its parameters' annotations, and the IR module."""

    name: str
    symbol: str
    parameters: tuple[Any, ...]
    ir: str


def record_dtype(record: type[Record]) -> np.dtype[Any]:
    """The numpy structured type with the record's own offsets."""
    formats: list[Any] = []
    for field in record.fields:
        base = np.dtype(field.element.name) if isinstance(field.element, Scalar) else record_dtype(field.element)
        formats.append(base if field.count is None else (base, (field.count,)))
    names = [field.name for field in record.fields]
    offsets = [field.offset for field in record.fields]
    layout = {"names": names, "formats": formats, "offsets": offsets, "itemsize": record.size}
    return np.dtype(layout, align=True)  # type: ignore[call-overload, no-any-return]


def numba_type(annotation: Any) -> types.Type:
    """The type a parameter has in compiled code."""
    if annotation is int:
        return types.int64
    if annotation is bool:
        return types.boolean
    element, _ = element_of(annotation)
    if element is None:
        raise LoweringError(
            f"a parameter cannot be {annotation!r}: write int, bool, a buffer, a record or Records[...]"
        )
    if isinstance(element, Scalar):
        return types.Array(from_dtype(np.dtype(element.name)), 1, "C")
    record = from_dtype(record_dtype(element))
    return record if isinstance(annotation, type) else types.Array(record, 1, "C")


@intrinsic
def _load(typing_context: Any, value: Any) -> Any:
    """Widen an integer that was read from memory to 64 bits; let records and buffers pass."""
    widened = types.int64 if isinstance(value, types.Integer) else value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.cast(builder, arguments[0], signature.args[0], signature.return_type)

    return widened(value), codegen


@intrinsic
def _index(typing_context: Any, value: Any) -> Any:
    """An index is never negative in the core: as unsigned, it needs no wrap-around code."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.cast(builder, arguments[0], signature.args[0], types.int64)

    return types.uint64(value), codegen


class _WidenLoads(ast.NodeTransformer):
    """Wraps every load from a record or a buffer in `_load`, and every index in `_index`."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        node.slice = _call("_index", node.slice)
        return _call("_load", node) if isinstance(node.ctx, ast.Load) else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        return _call("_load", node) if isinstance(node.ctx, ast.Load) else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.body = [self.visit(statement) for statement in node.body]
        return node


def _call(name: str, argument: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), [argument], [])


class _Compiler:
    """Turns core functions into numba dispatchers, each once, with their calls resolved to one another."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.dispatchers: dict[FunctionType, Any] = {}

    def dispatcher(self, function: FunctionType) -> Any:
        if function not in self.dispatchers:
            self.dispatchers[function] = numba.njit(**self.options)(self._rewrite(function))
        return self.dispatchers[function]

    def _rewrite(self, function: FunctionType) -> FunctionType:
        source = textwrap.dedent(inspect.getsource(function))
        tree = ast.parse(source)
        definition = tree.body[0]
        assert isinstance(definition, ast.FunctionDef)
        definition.returns, definition.decorator_list = None, []
        for argument in definition.args.args:
            argument.annotation = None
        _WidenLoads().visit(definition)
        ast.increment_lineno(tree, function.__code__.co_firstlineno - 1)
        code = compile(ast.fix_missing_locations(tree), function.__code__.co_filename, "exec")
        namespace: dict[str, Any] = {"_load": _load, "_index": _index, "__name__": function.__module__}
        for name in function.__code__.co_names:
            value = function.__globals__.get(name)
            if isinstance(value, FunctionType) and value.__module__.startswith(CORE):
                namespace[name] = self.dispatcher(value)
            elif isinstance(value, tuple):
                namespace[name] = _constant_table(value)
            elif value is not None:
                namespace[name] = value
        exec(code, namespace)
        rewritten = namespace[function.__name__]
        assert isinstance(rewritten, FunctionType)
        return rewritten


def _constant_table(values: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """A tuple of integers as a constant array of the narrowest width: numba places it in the data segment."""
    width = np.result_type(np.min_scalar_type(min(values)), np.min_scalar_type(max(values)))
    return np.array(values, dtype=width)


@functools.cache
def native(function: Callable[..., Any]) -> Any:
    """The core function compiled for this machine: takes numpy arrays and numpy records, gives what CPython gives.

    For training and evaluation, which read millions of prompts through the core's own feature extractor. Compiling
    takes seconds, so a process does it once for each function.
    """
    assert isinstance(function, FunctionType)
    return _Compiler({"error_model": "numpy", "boundscheck": False, "nogil": True}).dispatcher(function)


def lower(roots: list[Callable[..., Any]]) -> list[LoweredFunction]:
    """Each root function, with all it calls, as one LLVM IR module.

    Raises LoweringError naming the function where typing fails or a float would appear.
    """
    compiler = _Compiler(WASM_OPTIONS)
    lowered = []
    for root in roots:
        assert isinstance(root, FunctionType)
        hints = get_type_hints(root, include_extras=True)
        parameters = tuple(hints[name] for name in inspect.signature(root).parameters)
        dispatcher = compiler.dispatcher(root)
        signature = tuple(numba_type(parameter) for parameter in parameters)
        try:
            dispatcher.compile(signature)
        except numba.core.errors.NumbaError as error:
            raise LoweringError(f"{root.__module__}.{root.__name__}: {error}") from error
        overload = dispatcher.overloads[signature]
        lowered.append(
            LoweredFunction(root.__name__, overload.fndesc.llvm_func_name, parameters, overload.library.get_llvm_str())
        )
    for function, dispatcher in compiler.dispatchers.items():
        _refuse_floats(function, dispatcher)
    return lowered


def _refuse_floats(function: FunctionType, dispatcher: Any) -> None:
    for overload in dispatcher.overloads.values():
        for variable, kind in overload.type_annotation.typemap.items():
            inexact = isinstance(kind, (types.Float, types.Complex))
            if inexact or (kind == types.uint64 and not variable.startswith("$")):
                code = function.__code__
                raise LoweringError(
                    f"{code.co_filename}:{code.co_firstlineno}: {function.__name__}: {variable!r} becomes {kind}; "
                    "keep to 64-bit signed integers"
                )


__all__ = ["LoweredFunction", "LoweringError", "lower", "native", "numba_type", "record_dtype"]
