"""The subset checker: which Python the core may use, and what to write instead of the rest.

Only functions that the roots reach are checked: what a module computes when it is imported may be any Python.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, get_type_hints

from edgewise.core.types import element_of

CORE = "edgewise.core"
BUILTINS = {"abs", "len", "max", "min", "range"}

_ADVICE: dict[type[ast.AST], str] = {
    ast.AnnAssign: "a local needs no annotation; write a plain assignment",
    ast.Assert: "the core cannot raise; check with an if, or in a test",
    ast.AsyncFunctionDef: "the core never waits; let the host do it",
    ast.AsyncFor: "the core never waits; let the host do it",
    ast.AsyncWith: "the core never waits; let the host do it",
    ast.Await: "the core never waits; let the host do it",
    ast.ClassDef: "declare records at the top of the module",
    ast.Delete: "nothing is allocated, so nothing is deleted",
    ast.Dict: "no dicts; use a module constant of integers, or a record",
    ast.DictComp: "no comprehensions; fill a buffer in a for loop",
    ast.FunctionDef: "no functions inside functions; put it at the top of the module",
    ast.GeneratorExp: "no generators; write a for loop",
    ast.Global: "module state is constant; keep what changes in a record that is passed in",
    ast.Import: "import at the top of the module",
    ast.ImportFrom: "import at the top of the module",
    ast.JoinedStr: "no strings; give a code, hosts turn codes into words",
    ast.Lambda: "no lambdas; write a function at the top of the module",
    ast.List: "no lists; use a buffer of a record, or a module constant",
    ast.ListComp: "no comprehensions; fill a buffer in a for loop",
    ast.Match: "write if and elif",
    ast.NamedExpr: "assign on a line of its own",
    ast.Nonlocal: "no closures; pass what is needed",
    ast.Raise: "the core cannot raise; return a status code",
    ast.Set: "no sets; compare with == and or, or use a module constant",
    ast.SetComp: "no comprehensions; fill a buffer in a for loop",
    ast.Slice: "no slices; pass the buffer with a start and a length",
    ast.Starred: "no unpacking of unknown length; name each argument",
    ast.Try: "nothing raises in the core; check before you do it",
    ast.TryStar: "nothing raises in the core; check before you do it",
    ast.With: "no context managers; the host does I/O",
    ast.Yield: "no generators; write a for loop",
    ast.YieldFrom: "no generators; write a for loop",
}

_OPERATOR_ADVICE: dict[type[ast.AST], str] = {
    ast.Div: "/ makes a float; write // or a shift",
    ast.Pow: "** can make a float; write a shift or multiply",
    ast.MatMult: "@ is for matrices; write the loop",
    ast.In: "no membership test; compare with == in a loop",
    ast.NotIn: "no membership test; compare with == in a loop",
    ast.Is: "compare integers with ==",
    ast.IsNot: "compare integers with !=",
}


@dataclass(frozen=True)
class Problem:
    """A construct outside the subset: where it stands, and what to write instead."""

    file: str
    line: int
    advice: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.advice}"


def reachable(roots: list[Callable[..., Any]]) -> list[FunctionType]:
    """The core functions that the roots call, directly or not, roots included, in the order they are met."""
    found: list[FunctionType] = []
    waiting = list(roots)
    while waiting:
        function = waiting.pop(0)
        if not isinstance(function, FunctionType) or function in found or not function.__module__.startswith(CORE):
            continue
        found.append(function)
        waiting += [function.__globals__.get(name) for name in function.__code__.co_names]  # type: ignore[misc]
    return found


def check(roots: list[Callable[..., Any]]) -> list[Problem]:
    """Every construct outside the subset in the functions that the roots reach, in the order of the source."""
    return [problem for function in reachable(roots) for problem in check_function(function)]


def check_function(function: FunctionType) -> list[Problem]:
    """The problems of one function."""
    file = Path(function.__code__.co_filename)
    name = "/".join(file.parts[-3:])
    first = function.__code__.co_firstlineno - 1
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    if isinstance(definition, ast.AsyncFunctionDef):
        return [Problem(name, first + definition.lineno, _ADVICE[ast.AsyncFunctionDef])]
    assert isinstance(definition, ast.FunctionDef)
    problems = [*_signature(function, definition), *_body(function, definition)]
    return [Problem(name, first + line, advice) for line, advice in sorted(problems)]


def _signature(function: FunctionType, definition: ast.FunctionDef) -> Iterator[tuple[int, str]]:
    arguments = definition.args
    if arguments.defaults or arguments.kwonlyargs or arguments.vararg or arguments.kwarg:
        yield definition.lineno, "plain positional parameters only, without defaults"
    hints = get_type_hints(function, include_extras=True)
    for argument in arguments.args:
        hint = hints.get(argument.arg)
        if hint is not int and hint is not bool and (hint is None or element_of(hint)[0] is None):
            yield (
                argument.lineno,
                f"parameter {argument.arg!r}: annotate it int, bool, a buffer, a record or Records[...]",
            )
    if hints.get("return", ...) not in (int, bool, type(None)):
        yield definition.lineno, "annotate the result as int, bool or None; write larger results into a record"


def _body(function: FunctionType, definition: ast.FunctionDef) -> Iterator[tuple[int, str]]:
    body = definition.body[1:] if ast.get_docstring(definition) else definition.body
    for statement in body:
        for node in ast.walk(statement):
            line = getattr(node, "lineno", definition.lineno)
            if advice := _ADVICE.get(type(node)) or _construct(function, node):
                yield line, advice


def _construct(function: FunctionType, node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and type(node.value) not in (int, bool, type(None)):
        return f"{node.value!r} is no integer; the core has integers only (scale fractions, give codes for words)"
    if isinstance(node, (ast.BinOp, ast.AugAssign)):
        return _OPERATOR_ADVICE.get(type(node.op))
    if isinstance(node, ast.Compare):
        return next((_OPERATOR_ADVICE[type(op)] for op in node.ops if type(op) in _OPERATOR_ADVICE), None)
    if isinstance(node, ast.For) and not (isinstance(node.iter, ast.Call) and _name(node.iter.func) == "range"):
        return "loop over range(...); index the buffer"
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
        return "return one integer; write several results into a record"
    if isinstance(node, ast.Subscript) and _is_negative(node.slice):
        return "no negative index: compiled code does not count from the end; write len(buffer) - 1"
    if isinstance(node, ast.Attribute) and isinstance(function.__globals__.get(_name(node.value) or ""), type):
        return f"{ast.unparse(node)} belongs to a class; give it a name of its own at the top of the module"
    if isinstance(node, ast.Call):
        return _call(function, node)
    return None


def _call(function: FunctionType, node: ast.Call) -> str | None:
    name = _name(node.func)
    if name is None:
        return "no method calls; call a core function by its name"
    if node.keywords:
        return f"{name}: pass arguments by position"
    target = function.__globals__.get(name)
    if name in BUILTINS and target is None:
        return None
    if isinstance(target, FunctionType) and target.__module__.startswith(CORE):
        return None
    return f"{name} is no core function; the core may call its own functions and {', '.join(sorted(BUILTINS))}"


def _name(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


def _is_negative(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
