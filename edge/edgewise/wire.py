"""Requests on the wire: the shorthands of their JSON, and the bytes that the core reads.

Needs nothing but the core, so the builds that bundle an interpreter read requests by the same rules as the SDK.
"""

import struct
from typing import TYPE_CHECKING, Any

from edgewise.core.labels import NEEDS, OBJECTIVES, ROLES, TIERS
from edgewise.core.layout import Request as RequestRecord
from edgewise.core.transcript import Message as MessageRecord
from edgewise.core.types import Span
from edgewise.errors import RequestError

if TYPE_CHECKING:
    from edgewise.request import Request

MAX_REQUEST_BYTES = 32 * 1024 * 1024

_MESSAGE = struct.Struct("<BxxxII")
assert _MESSAGE.size == MessageRecord.size


def read_shorthands(data: Any) -> Any:
    """Turn `text` into a message, and parts of content into text and needs. Raises ValueError for what is no object."""
    if not isinstance(data, dict):
        raise ValueError('write a request as a JSON object such as {"text": "..."}')
    fields = {key: value for key, value in data.items() if value is not None}
    if "text" in fields:
        if "messages" in fields:
            raise ValueError("give either text or messages, not both")
        fields["messages"] = [{"role": "user", "content": fields.pop("text")}]
    if isinstance(fields.get("messages"), (list, tuple)):
        needs: set[str] = set()
        fields["messages"] = [message for one in fields["messages"] for message in _read_parts(one, needs)]
        given = fields.get("needs", ())
        if needs and isinstance(given, (list, tuple, set, frozenset)):
            fields["needs"] = [*given, *needs]
    return fields


def _read_parts(message: Any, needs: set[str]) -> list[Any]:
    """A message whose content comes in parts, as messages of plain text: tool results become turns of the tool."""
    if not isinstance(message, dict):
        return [message]
    content = message.get("content")
    role = "tool" if message.get("role") == "function" else message.get("role")
    if content is None:
        return [{"role": role, "content": ""}]
    if not isinstance(content, list):
        return [{"role": role, "content": content}]
    texts: list[str] = []
    results: list[str] = []
    for part in content:
        kind = str(part.get("type")) if isinstance(part, dict) else ""
        if kind == "tool_result":
            results.append(_text_of(part.get("content")))
        elif "image" in kind:
            needs.add("vision")
        elif "audio" in kind:
            needs.add("audio")
        else:
            texts.append(_text_of(part))
    turns = [{"role": "tool", "content": result} for result in results]
    return [*turns, {"role": role, "content": "\n".join(texts)}]


def _text_of(part: Any) -> str:
    if isinstance(part, list):
        return "\n".join(_text_of(one) for one in part)
    if isinstance(part, dict):
        part = part.get("text", "")
    return part if isinstance(part, str) else ""


def pack_request(request: "Request", base: int) -> bytes:
    """The request as the core reads it at address `base`: the record, its messages, then all text.

    Raises RequestError when it is larger than MAX_REQUEST_BYTES.
    """
    contents = [message.content.encode() for message in request.messages]
    named = (request.id, request.region, request.tenant, request.session, request.session_model, request.model)
    strings = [text.encode() for text in named]
    first_message = RequestRecord.size
    first_string = first_message + len(contents) * MessageRecord.size
    first_content = first_string + sum(map(len, strings))
    total = first_content + sum(map(len, contents))
    if total > MAX_REQUEST_BYTES:
        raise RequestError(f"messages: {total} bytes are more than the {MAX_REQUEST_BYTES} that a request may have")
    record = RequestRecord()
    _point(record.messages, base + first_message, len(contents))
    position = base + first_string
    spans = (record.id, record.region, record.tenant, record.session, record.session_model, record.model)
    for span, text in zip(spans, strings, strict=True):
        _point(span, position, len(text))
        position += len(text)
    record.needs = sum(1 << NEEDS.index(need) for need in request.needs)
    record.tier = TIERS.index(request.tier)
    record.objective = OBJECTIVES.index(request.objective)
    record.stream = request.stream
    record.max_output_tokens = request.max_tokens
    record.latency_slo_ms = request.latency_slo_ms
    record.cached_tokens = request.cached_tokens
    record.budget = request.budget
    record.at_ms = request.at_ms
    rows = []
    for message, content in zip(request.messages, contents, strict=True):
        rows.append(_MESSAGE.pack(ROLES.index(message.role), position, len(content)))
        position += len(content)
    return b"".join([record.to_bytes(), *rows, *strings, *contents])


def _point(span: Span, start: int, length: int) -> None:
    span.start, span.length = start, length
