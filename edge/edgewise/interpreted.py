"""The routing core run by a Python interpreter: its source, its weights, its policy and its working memory together.

For CPython on the host, and for the WebAssembly builds that bundle an interpreter. Needs nothing but the core.
"""

from collections.abc import Sequence
from typing import Any

from edgewise.core.layout import Memory, Request, Weights
from edgewise.core.policy import (
    MAX_POLICY_BYTES,
    POLICY_NOT_A_POLICY,
    POLICY_OK,
    POLICY_TOO_LARGE,
    Model,
    Policy,
    check_policy,
)
from edgewise.core.routing import route
from edgewise.core.transcript import Message
from edgewise.core.types import Record, Span


class InterpretedCore:
    """The core with its state. `weights`: the packed Weights record."""

    def __init__(self, weights: bytes) -> None:
        self.weights = Weights.from_bytes(weights)
        self.memory = Memory()
        self.policy = Policy()
        self.models: Sequence[Model] = ()
        self._blob = b""

    def load_policy(self, blob: bytes) -> int:
        """Replace the policy unless it cannot be used; gives an index into POLICY_STATUSES."""
        if len(blob) < Policy.size:
            return POLICY_NOT_A_POLICY
        if len(blob) > MAX_POLICY_BYTES:
            return POLICY_TOO_LARGE
        policy = Policy.from_bytes(blob)
        span = policy.models
        room = (len(blob) - span.start) // Model.size if 0 <= span.start <= len(blob) else 0
        models = [Model.from_bytes(blob, span.start + index * Model.size) for index in range(min(span.length, room))]
        status = check_policy(policy, models, len(blob))
        if status == POLICY_OK:
            self._blob, self.policy, self.models = bytes(blob), policy, models
        return status

    def unload_policy(self) -> None:
        """Forget the policy: until the next one is loaded, every decision has the status `no_policy`."""
        self._blob, self.policy, self.models = b"", Policy(), ()

    def route(self, request: Request, messages: Sequence[Message], text: Any) -> Memory:
        """Decide one request whose spans point into `text`; the decision and its lists stand in the memory."""
        strings: Any = self._blob
        route(self.memory, self.weights, self.policy, self.models, strings, request, messages, text)
        return self.memory

    def text_of(self, span: Span) -> str:
        """The name that a span of the decision stands for."""
        return self._blob[span.start : span.start + span.length].decode()


def without_views(record: Record) -> None:
    """Turn a record's arrays of numbers into lists and bytearrays, which an interpreter reads faster than views."""
    for field in record.fields:
        value = getattr(record, field.name)
        if isinstance(value, memoryview):
            setattr(record, field.name, bytearray(value) if value.format == "B" else value.tolist())
        elif isinstance(value, Record):
            without_views(value)
        elif isinstance(value, list):
            for element in value:
                without_views(element)
