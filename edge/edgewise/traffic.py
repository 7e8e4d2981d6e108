"""Traffic files: requests as JSON, one per line, read lazily with errors that name file and line."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from edgewise.errors import RequestError
from edgewise.request import Request

T = TypeVar("T")


def read_traffic(path: Path) -> Iterator[Request]:
    """The requests of a file, in order; blank lines are skipped. Raises RequestError naming file and line."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield parse_request(line.rstrip("\r\n"), str(path), number)


def parse_request(text: str, name: str, line: int = 1) -> Request:
    """The request in JSON that begins at a line of the named file. Raises RequestError naming file and line."""
    return parse_json(text, name, line, Request.parse)


def parse_json(text: str, name: str, line: int, parse: Callable[[Any], T]) -> T:
    """What `parse` makes of the JSON that begins at a line of the named file. Raises RequestError as `parse` does."""
    try:
        return parse(json.loads(text))
    except json.JSONDecodeError as error:
        place = f"{name}:{line + error.lineno - 1}"
        raise RequestError(f"{place}: not JSON: {error.msg} at column {error.colno}") from None
    except RequestError as error:
        raise RequestError(f"{name}:{line}: {error}") from None
    except RecursionError:
        raise RequestError(f"{name}:{line}: not a request: nested too deeply") from None
    except ValueError as error:
        raise RequestError(f"{name}:{line}: not JSON: {error}") from None
