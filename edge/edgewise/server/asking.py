"""What a client asks for: its body and headers, as the request that is decided and the body that is passed on."""

import uuid
from collections.abc import Mapping
from typing import Any

from edgewise.config import Config
from edgewise.config_models import CHOOSABLE_OBJECTIVES
from edgewise.errors import RequestError
from edgewise.request import Request
from edgewise.server.api import Ask
from edgewise.server.chat import Chat
from edgewise.server.errors import HttpError, bad_request, unknown_model

FIELD = "edgewise"
"""The one field of a body that is for the router, and never passed on."""
HEADER_PREFIX = "x-edgewise-"

AUTO = "auto"
AUTO_MODELS = (AUTO, *(f"{AUTO}:{objective}" for objective in CHOOSABLE_OBJECTIVES))

_ROUTER_FIELDS = (
    "budget_usd",
    "cached_tokens",
    "explain",
    "id",
    "latency_slo_ms",
    "needs",
    "objective",
    "region",
    "session",
    "session_model",
    "tenant",
    "tier",
)
_NUMBERS: dict[str, type[int] | type[float]] = {"budget_usd": float, "latency_slo_ms": int, "cached_tokens": int}
_JSON_FORMATS = ("json_object", "json_schema")
_MOST_CHOICES = 128


def read_ask(data: Any, headers: Mapping[str, str], config: Config, tenant: str | None) -> Ask:
    """The ask in a body for chat completions.

    `tenant`: whose key it came with; None where no keys are asked for. Raises HttpError naming the field.
    """
    router, body = ask_fields(data, headers, config, tenant)
    streams, choices = read_flag(body, "stream"), _read_choices(body)
    options = body.get("stream_options") or {}
    if not isinstance(options, dict):
        raise bad_request("stream_options: not an object")
    explain = router.pop("explain", False) is True
    fields = {
        "messages": body.get("messages"),
        "max_tokens": body.get("max_completion_tokens") or body.get("max_tokens"),
        "stream": streams and choices == 1,
        **router,
    }
    return Ask(
        api=Chat(),
        request=parse_request(fields),
        body=body,
        streams=streams,
        choices=choices,
        wants_usage=options.get("include_usage") is True,
        explain=explain,
    )


def ask_fields(
    data: Any, headers: Mapping[str, str], config: Config, tenant: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the router is told, whichever API the body belongs to; and the body without what is for the router only."""
    if not isinstance(data, dict):
        raise bad_request('write a request as a JSON object such as {"model": "auto", "messages": [...]}')
    router = read_router_fields(data, headers, config, tenant)
    fields = {
        "id": uuid.uuid4().hex,
        **router,
        "needs": sorted({*_list_of(router.get("needs")), *_needs_of(data)}),
        **_read_model(data.get("model"), config),
    }
    return fields, {key: value for key, value in data.items() if key != FIELD}


def read_router_fields(
    data: Mapping[str, Any], headers: Mapping[str, str], config: Config, tenant: str | None
) -> dict[str, Any]:
    """What the client tells the router, in the body's own field or in headers; the body counts where both do."""
    given = data.get(FIELD, {})
    if not isinstance(given, dict):
        raise bad_request(f"{FIELD}: not an object; its fields are {', '.join(_ROUTER_FIELDS)}")
    for name in given:
        if name not in _ROUTER_FIELDS:
            raise bad_request(f"{FIELD}.{name}: unknown; the fields are {', '.join(_ROUTER_FIELDS)}")
    fields = {**_read_headers(headers), **given}
    if tenant is not None:
        if fields.get("tenant", tenant) != tenant:
            raise HttpError(403, "permission_error", "the API key belongs to another tenant", "edgewise.tenant")
        fields["tenant"] = tenant
    place = headers.get(config.server.region_header or "")
    if "region" not in fields and place is not None:
        fields["region"] = config.server.regions.get(place, "")
    return fields


def _read_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in _ROUTER_FIELDS:
        header = HEADER_PREFIX + name.replace("_", "-")
        value = headers.get(header)
        if value is None:
            continue
        if name == "needs":
            fields[name] = [need.strip() for need in value.split(",")]
        elif name == "explain":
            fields[name] = value == "true"
        else:
            try:
                fields[name] = _NUMBERS[name](value) if name in _NUMBERS else value
            except ValueError:
                raise bad_request(f"header {header}: {value[:40]!r} is not a number") from None
    return fields


def _read_model(model: Any, config: Config) -> dict[str, str]:
    """What the name of a model asks for: a choice by an objective, or one model."""
    if model is None or model == AUTO:
        return {}
    if model in AUTO_MODELS:
        return {"objective": model.partition(":")[2]}
    if not isinstance(model, str) or model not in config.models:
        raise unknown_model(model, (*AUTO_MODELS, *config.models))
    return {"model": model}


def _needs_of(data: Mapping[str, Any]) -> list[str]:
    """What a model must be able to do, apart from what the parts of the messages say."""
    needs = ["tools"] if data.get("tools") or data.get("functions") else []
    form = data.get("response_format")
    if isinstance(form, dict) and form.get("type") in _JSON_FORMATS:
        needs.append("json")
    return needs


def _list_of(value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise bad_request(f"{FIELD}.needs: not a list of names")
    return value


def read_flag(data: Mapping[str, Any], name: str) -> bool:
    """A field that is true or false; false without it."""
    value = data.get(name)
    if not isinstance(value, bool | None):
        raise bad_request(f"{name}: neither true nor false")
    return bool(value)


def _read_choices(data: Mapping[str, Any]) -> int:
    value = data.get("n")
    if value is None:
        return 1
    if type(value) is not int or not 1 <= value <= _MOST_CHOICES:
        raise bad_request(f"n: not a whole number from 1 to {_MOST_CHOICES}")
    return value


def parse_request(fields: Mapping[str, Any]) -> Request:
    """The request that is decided. Raises HttpError naming the field of the client's body."""
    try:
        return Request.parse(fields)
    except RequestError as error:
        name, _, message = str(error).partition(": ")
        if name.partition("[")[0] in _ROUTER_FIELDS:
            raise bad_request(f"{FIELD}.{name}: {message}") from None
        raise bad_request(str(error)) from None
