"""Bodies: read up to a limit of bytes and of time, then taken as JSON with errors that say where they are."""

import asyncio
import json
from typing import Any, NoReturn

from starlette.requests import Request

from edgewise.server.errors import bad_request, body_too_large, body_too_slow

BODY_SECONDS = 30.0

_DISCARDED_LIMITS = 4


async def read_body(request: Request, limit: int, seconds: float = BODY_SECONDS) -> bytes:
    """The body. Raises HttpError where it is too large or too slow.

    Many clients take no answer before they have sent everything, so what is over the limit is read and thrown away; but
    not more than a few times the limit, after which the connection ends.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.stream():
                size += len(piece)
                if size <= limit:
                    pieces.append(piece)
                    continue
                pieces.clear()
                if size > limit * _DISCARDED_LIMITS:
                    raise body_too_large(limit, cut=True)
    except TimeoutError:
        raise body_too_slow(seconds) from None
    if size > limit:
        raise body_too_large(limit)
    return b"".join(pieces)


def parse_json(body: bytes) -> Any:
    """The value that a body stands for. Raises HttpError with line and column."""
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise bad_request("not JSON: the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise bad_request(f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise bad_request("the request is nested too deeply") from None
    except ValueError as error:
        raise bad_request(f"not JSON: {error}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")
