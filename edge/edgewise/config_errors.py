"""What is wrong in a `router.toml`: every problem with its line, its key, and what to write instead."""

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from edgewise.errors import ConfigError
from edgewise.toml_lines import Path, key_lines, locate

_MAX_SHOWN = 20
_MAX_NAMES_SHOWN = 16
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_TOML_ADVICE = {
    "Cannot overwrite a value": "this key is given twice; remove one",
    "Cannot declare": "this table is given twice; join the two",
    "Invalid value": "not a value; write text in quotes, true or false in small letters, numbers as they are",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, counted from the table at hand, and what to write instead."""

    path: Path
    message: str


class ProblemsError(ValueError):
    """Problems that a validator found, each at its own key."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.message for problem in self.problems))


def suggest(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """What to write instead of an unknown name: the closest known one, or which there are."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    if not close:
        close = [one for one in names if one.lower() == name.lower()]
    if close:
        return f"did you mean {json.dumps(close[0], ensure_ascii=False)}?" + (
            f" If not, {otherwise}" if otherwise else ""
        )
    if otherwise:
        return otherwise
    more = f" and {len(names) - _MAX_NAMES_SHOWN} more" if len(names) > _MAX_NAMES_SHOWN else ""
    return f"there are {', '.join(sorted(names)[:_MAX_NAMES_SHOWN])}{more}" if names else "there is none"


def read_toml(text: str, name: str) -> dict[str, Any]:
    """The values of a TOML file, with exact decimals. Raises ConfigError naming the line."""
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_explain_toml(str(error), text, name)) from None
    except RecursionError:
        raise ConfigError(f"{name}: brackets are nested too deeply") from None
    except (ValueError, ArithmeticError) as error:
        raise ConfigError(f"{name}: a number or a date cannot be read ({error})") from None


def _explain_toml(message: str, text: str, name: str) -> str:
    place = _TOML_PLACE.search(message)
    line = len(text.splitlines()) or 1
    if place is not None:
        message = message[: place.start()]
        line = int(place.group(1)) if place.group(1) else line
    advice = next((advice for start, advice in _TOML_ADVICE.items() if message.startswith(start)), "")
    written = (text.splitlines() or [""])[line - 1].strip()
    return f"{name}:{line}: invalid TOML: {message[0].lower()}{message[1:]}" + (
        f"; {advice}" if advice else f"; look at {json.dumps(written[:60], ensure_ascii=False)}"
    )


def explain_decoding(error: UnicodeDecodeError, name: str) -> str:
    """What is wrong with a file that is not UTF-8."""
    line = error.object.count(b"\n", 0, error.start) + 1
    return f"{name}:{line}: byte {error.object[error.start]:#04x} is not UTF-8; save the file as UTF-8"


def explain(error: ValidationError, root: type[BaseModel], text: str, name: str) -> str:
    """Every problem on a line of its own, in the order of the file: `name:line: key: what is wrong; what to write`."""
    lines = key_lines(text)
    problems = [problem for details in error.errors(include_url=False) for problem in _problems_of(details, root)]
    dotted = {problem.path[:2] for problem in problems if isinstance(problem, _DottedName)}
    kept = [one for one in problems if one.path[:2] not in dotted or isinstance(one, _DottedName)]
    placed = sorted({(locate(lines, one.path), _write_key(one.path), one.message) for one in kept})
    shown = [f"{name}:{line}: {key + ': ' if key else ''}{message}" for line, key, message in placed[:_MAX_SHOWN]]
    if len(placed) > _MAX_SHOWN:
        shown.append(f"{name}: and {len(placed) - _MAX_SHOWN} more")
    return "\n".join(shown)


class _DottedName(Problem):
    """A model whose name has a dot and no quotes: everything else about that table follows from it."""


def _problems_of(details: ErrorDetails, root: type[BaseModel]) -> Iterator[Problem]:
    path: Path = tuple(part for part in details["loc"] if part != "[key]")
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, ProblemsError):
        for problem in cause.problems:
            yield Problem(path + problem.path, problem.message)
    elif details["type"] == "extra_forbidden":
        yield _explain_unknown_key(path, details["input"], root)
    else:
        yield Problem(path, _describe(details, cause, _hint(path, root)))


def _describe(details: ErrorDetails, cause: object, hint: str) -> str:
    advice = f"; write {hint}" if hint else ""
    if details["type"] == "missing":
        return f"missing{advice}"
    shown = _show(details["input"])
    if cause is not None:
        message = str(cause)
        return message if ";" in message else f"{shown} is {message}{advice}"
    limits = details.get("ctx", {})
    for key, words in (("ge", "less than"), ("gt", "not more than"), ("le", "more than")):
        if key in limits:
            return f"{shown} is {words} {limits[key]}{advice}"
    if details["type"] in ("too_short", "too_long"):
        return f"{shown} is {details['type'].replace('_', ' ')}{advice}"
    message = details["msg"]
    return f"{shown} does not fit ({message[0].lower()}{message[1:]}){advice}"


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return "a table" if value else "an empty table"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, Decimal | int | float) and not isinstance(value, bool):
        return str(value)[:60]
    return json.dumps(value, default=str, ensure_ascii=False)[:60]


def _explain_unknown_key(path: Path, value: Any, root: type[BaseModel]) -> Problem:
    *parents, key = path
    if len(path) == 3 and path[0] == "models" and isinstance(value, dict):
        name = f"{path[1]}.{key}"
        return _DottedName(path, f'unknown; if the model is called {name}, write the name in quotes: [models."{name}"]')
    table = _table_at(tuple(parents), root)
    return Problem(path, f"unknown key; {suggest(str(key), table.model_fields if table else ())}")


def _hint(path: Path, root: type[BaseModel]) -> str:
    """What the description of the nearest key says to write."""
    while path:
        field = _field_at(path, root)
        if field is not None:
            return field.description or ""
        path = path[:-1]
    return ""


def _field_at(path: Path, root: type[BaseModel]) -> FieldInfo | None:
    table = _table_at(path[:-1], root)
    return table.model_fields.get(str(path[-1])) if table else None


def _table_at(path: Path, root: type[BaseModel]) -> type[BaseModel] | None:
    """The class of the table at a path; None where there is no such table."""
    kind: Any = root
    for part in path:
        if _is_table(kind):
            field = kind.model_fields.get(part)
            kind = _without_none(field.annotation) if field else None
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
        else:
            return None
    return kind if _is_table(kind) else None


def _without_none(kind: Any) -> Any:
    """The table of an optional table; anything else as it is."""
    if get_origin(kind) is dict:
        return kind
    return next((one for one in get_args(kind) if _is_table(one)), kind)


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _write_key(path: Path) -> str:
    """A path as one would write it in TOML, with indexes of arrays in brackets."""
    written = ""
    for part in path:
        if isinstance(part, int):
            written += f"[{part}]"
        else:
            bare = part if _BARE_KEY.fullmatch(part) else json.dumps(part, ensure_ascii=False)
            written += f".{bare}" if written else bare
    return written
