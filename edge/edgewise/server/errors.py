"""Errors as clients see them: JSON `{"error": {"message", "type", "param"}}`, and the status that goes with it."""

import re
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from edgewise.errors import NoFeasibleModelError, RequestError

_CLOSE = {"connection": "close"}
_FIELD = re.compile(r"([a-z_]+(?:\[\d+\]|\.[a-z_]+)*): ")


class HttpError(Exception):
    """What ends a request early. `param` names the field, or is None where the whole request is wrong."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        param: str | None = None,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.param = param
        self.details = details or {}
        self.headers = headers

    def response(self) -> JSONResponse:
        """The answer that says it."""
        error = {"message": self.message, "type": self.kind, "param": self.param, **self.details}
        return JSONResponse({"error": error}, self.status, self.headers)


def bad_request(message: str) -> HttpError:
    """400: the request cannot be read. A message that begins with a field's name gives `param`."""
    field = _FIELD.match(message)
    return HttpError(400, "invalid_request_error", message, field[1] if field else None)


def body_too_large(limit: int, *, cut: bool = False) -> HttpError:
    """413: the body has more bytes than the limit. `cut`: it was not read to its end, so the connection ends."""
    size = f"{limit // 2**20} MiB" if limit >= 2**20 else f"{limit} bytes"
    message = f"the body is larger than the {size} that are read"
    return HttpError(413, "request_too_large_error", message, headers=_CLOSE if cut else None)


def body_too_slow(seconds: float) -> HttpError:
    """408: the body did not arrive in time; the connection ends with the answer."""
    message = f"the body did not arrive within {seconds:g} s"
    return HttpError(408, "timeout_error", message, headers=_CLOSE)


def from_edgewise(error: RequestError | NoFeasibleModelError) -> HttpError:
    """What the SDK raises about a request: 400, or 422 with the reason that dropped each model."""
    if isinstance(error, RequestError):
        return bad_request(str(error))
    dropped = [{"model": model, "text": text} for model, text in error.dropped]
    return HttpError(422, "no_feasible_model", str(error), details={"dropped": dropped})


def from_starlette(error: HTTPException, method: str, path: str) -> HttpError:
    """404 and 405, as the routing raises them."""
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        message = f"{path} takes {' or '.join(sorted(allowed.split(', ')))}, not {method}"
        return HttpError(405, "method_not_allowed_error", message, headers=error.headers)
    message = f"there is no {path}; ask POST /v1/route, GET /v1/models or GET /healthz"
    return HttpError(error.status_code, "not_found_error", message, headers=error.headers)


def internal() -> HttpError:
    """500: the server's fault; what it was stands in the log only."""
    return HttpError(500, "server_error", "the router failed; the server's log says where")
