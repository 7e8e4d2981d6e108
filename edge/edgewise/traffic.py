"""Traffic files: requests as JSON, one per line, read lazily with errors that name file and line."""

import json
from collections.abc import Iterator
from pathlib import Path

from edgewise.errors import RequestError
from edgewise.request import Request


def read_traffic(path: Path) -> Iterator[Request]:
    """The requests of a file, in order; blank lines are skipped. Raises RequestError naming file and line."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield parse_request(line, f"{path}:{number}")


def parse_request(text: str, place: str) -> Request:
    """The request in a piece of JSON. Raises RequestError that begins with `place`."""
    try:
        return Request.parse(json.loads(text))
    except json.JSONDecodeError as error:
        raise RequestError(f"{place}: not JSON: {error.msg} at column {error.colno}") from None
    except RequestError as error:
        raise RequestError(f"{place}: {error}") from None
