"""Errors as clients see them: a status, and JSON `{"error": {"message", "type", "param", "code"}}`."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from edgewise.config_errors import suggest
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
        return JSONResponse(self.to_json(), self.status, self.headers)

    def to_json(self) -> dict[str, Any]:
        """The body of that answer."""
        return {
            "error": {"message": self.message, "type": self.kind, "param": self.param, "code": None, **self.details}
        }


def bad_request(message: str) -> HttpError:
    """400: the request cannot be read. A message that begins with a field's name gives `param`."""
    field = _FIELD.match(message)
    return HttpError(400, "invalid_request_error", message, field[1] if field else None)


def unknown_model(name: Any, known: Sequence[str]) -> HttpError:
    """404: the client names a model that the configuration does not have."""
    message = f"there is no model {json.dumps(name)}; {suggest(str(name), known)}"
    return HttpError(404, "invalid_request_error", message, "model", details={"code": "model_not_found"})


def unauthorized() -> HttpError:
    """401: no API key, or one that nobody has."""
    message = "the API key is missing or unknown; send it as `authorization: Bearer KEY`"
    details = {"code": "invalid_api_key"}
    return HttpError(401, "authentication_error", message, details=details, headers={"www-authenticate": "Bearer"})


def too_many_requests(wait_ms: int) -> HttpError:
    """429: the tenant's requests for now are used up."""
    seconds = max(1, -(-wait_ms // 1000))
    message = f"too many requests of this tenant; try again in {seconds} s"
    details = {"code": "rate_limit_exceeded"}
    return HttpError(429, "rate_limit_error", message, details=details, headers={"retry-after": str(seconds)})


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
    message = f"there is no {path}; ask POST /v1/chat/completions, POST /v1/route, GET /v1/models or GET /healthz"
    return HttpError(error.status_code, "not_found_error", message, headers=error.headers)


_SERVER = "server_error"
_UNANSWERED: Mapping[str, tuple[int, str, str]] = {
    "unreachable": (502, _SERVER, "no model could be reached"),
    "cut": (502, _SERVER, "every model's answer broke off"),
    "server_error": (502, _SERVER, "every model's server failed"),
    "rate_limited": (429, "rate_limit_error", "every model limits its rate for now"),
    "refused": (502, _SERVER, "every model refused the request"),
    "late": (504, "timeout_error", "no model began its answer in time"),
    "stalled": (504, "timeout_error", "every model stopped in the middle of its answer"),
    "time_up": (504, "timeout_error", "no answer was complete in the time that a request may take"),
    "malformed": (502, _SERVER, "every model's answer was malformed"),
    "too_large": (502, _SERVER, "every model's answer was too large"),
    "wrong_type": (502, _SERVER, "every model's answer was of the wrong content type"),
    "empty": (502, _SERVER, "every model's answer was empty"),
    "too_many_sessions": (503, "overloaded_error", "too many requests are under way; try again soon"),
}
OPERATORS_FAULT = (401, 403, 404, 405)
"""What upstreams say where the configuration is wrong, not the client's request."""
_NOT_SET_UP = (
    "no model's endpoint takes the request: in the proxy's configuration a key, a URL, a name or an API is wrong"
)


def unanswered(reason: str, refusal: tuple[int, str] = (0, "")) -> HttpError:
    """No model answered: `reason` ended the last call. `refusal`: the 4xx of an upstream that refused, and its words.

    What a client can mend is passed on to it; that a key or a name of the configuration is wrong is not.
    """
    status, kind, message = _UNANSWERED.get(reason, (502, _SERVER, f"no model answered: {reason.replace('_', ' ')}"))
    upstream_status, words = refusal
    if reason == "refused" and upstream_status in OPERATORS_FAULT:
        message = _NOT_SET_UP
    elif reason == "refused" and 400 <= upstream_status < 500:
        status, kind, message = upstream_status, "invalid_request_error", words or message
    return HttpError(status, kind, message, details={"code": reason})


def internal() -> HttpError:
    """500: the server's fault; what it was stands in the log only."""
    return HttpError(500, "server_error", "the router failed; the server's log says where")
