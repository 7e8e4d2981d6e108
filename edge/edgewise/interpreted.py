"""The routing core run by a Python interpreter: its source, its weights, its policy and its working memory together.

For CPython on the host, and for the WebAssembly builds that bundle an interpreter. Needs nothing but the core.
"""

from collections.abc import Sequence
from typing import Any

from edgewise.core.endpoints import Endpoint
from edgewise.core.layout import MAX_SESSIONS, Event, Live, Memory, Observation, Request, Session, Weights
from edgewise.core.live import adopt, fits, observe, snapshot_bytes
from edgewise.core.policy import (
    MAX_POLICY_BYTES,
    POLICY_NOT_A_POLICY,
    POLICY_OK,
    POLICY_TOO_LARGE,
    Model,
    Policy,
    Tenant,
    check_policy,
    endpoint_count,
)
from edgewise.core.routing import route
from edgewise.core.session import advance, open_session
from edgewise.core.transcript import Message
from edgewise.core.types import Record, Span, records_at


class Sessions(Sequence[Session]):
    """The pool of sessions; a record is made when it is first looked at."""

    def __init__(self) -> None:
        self._records: dict[int, Session] = {}

    def __len__(self) -> int:
        return MAX_SESSIONS

    def __getitem__(self, index: Any) -> Any:
        if index not in self._records:
            if not 0 <= index < MAX_SESSIONS:
                raise IndexError(f"session {index} of {MAX_SESSIONS}")
            self._records[index] = Session()
        return self._records[index]


class Endpoints(Sequence[Endpoint]):
    """The endpoints of the live table; a record is made when it is first looked at."""

    def __init__(self) -> None:
        self.size = 0
        self._records: dict[int, Endpoint] = {}

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: Any) -> Any:
        record = self._records.get(index)
        if record is None:
            if not 0 <= index < self.size:
                raise IndexError(f"endpoint {index} of {self.size}")
            record = self._records[index] = Endpoint()
        return record

    def resize(self, count: int) -> None:
        """Have so many records; those above are forgotten."""
        self.size = count
        self._records = {index: record for index, record in self._records.items() if index < count}

    def read(self, data: bytearray, start: int) -> None:
        """Take the records that stand in the data from `start` on."""
        self.size = (len(data) - start) // Endpoint.size
        nothing = bytes(Endpoint.size)
        for index in range(self.size):
            at = start + index * Endpoint.size
            if data[at : at + Endpoint.size] != nothing:
                self._records[index] = Endpoint.from_bytes(data, at)

    def to_bytes(self) -> bytes:
        """All records, one after the other."""
        nothing = bytes(Endpoint.size)
        known = self._records
        return b"".join(known[index].to_bytes() if index in known else nothing for index in range(self.size))


class InterpretedCore:
    """The core with its state. `weights`: the packed Weights record."""

    def __init__(self, weights: bytes) -> None:
        self.weights = Weights.from_bytes(weights)
        self.memory = Memory()
        self.policy = Policy()
        self.models: Sequence[Model] = ()
        self.tenants: Sequence[Tenant] = ()
        self.endpoints = Endpoints()
        self.sessions = Sessions()
        self._blob = b""

    def load_policy(self, blob: bytes) -> int:
        """Replace the policy unless it cannot be used; gives an index into POLICY_STATUSES."""
        if len(blob) < Policy.size:
            return POLICY_NOT_A_POLICY
        if len(blob) > MAX_POLICY_BYTES:
            return POLICY_TOO_LARGE
        policy: Policy = Policy.from_bytes(blob)
        strings: Any = blob
        models, tenants = records_at(Model, blob, policy.models), records_at(Tenant, blob, policy.tenants)
        status = check_policy(policy, models, tenants, strings, len(blob))
        if status == POLICY_OK:
            count = endpoint_count(policy)
            self.endpoints.resize(max(count, self.endpoints.size))
            old = (self.policy, self.models, self.tenants, self.strings)
            adopt(*old, policy, models, tenants, strings, self.endpoints, self.memory)
            self.endpoints.resize(count)
            self._blob, self.policy, self.models, self.tenants = bytes(blob), policy, models, tenants
        return status

    def unload_policy(self) -> None:
        """Forget the policy: until the next one is loaded, every decision has the status `no_policy`."""
        self._blob, self.policy, self.models, self.tenants = b"", Policy(), (), ()

    @property
    def strings(self) -> Any:
        """The policy blob, in which the names of models and regions stand; the core only reads it."""
        return self._blob

    def route(self, request: Request, messages: Sequence[Message], text: Any) -> Memory:
        """Decide one request whose spans point into `text`; the decision and its lists stand in the memory."""
        tables = (self.policy, self.models, self.tenants, self.endpoints, self.strings)
        route(self.memory, self.weights, *tables, request, messages, text)
        return self.memory

    def open(self, request: Request, messages: Sequence[Message], text: Any) -> Memory:
        """Decide one request and open a session for it: the decision and the first action stand in the memory."""
        self.route(request, messages, text)
        tables = (self.policy, self.models, self.tenants, self.endpoints, self.strings, self.sessions)
        open_session(self.memory, *tables, request)
        return self.memory

    def advance(self, event: Event, text: Any, logprobs: Any) -> Memory:
        """Take in an event whose spans point into `text` and, in bytes, `logprobs`; the action is in the memory."""
        tables = (self.policy, self.models, self.tenants, self.endpoints, self.strings, self.sessions)
        advance(self.memory, self.weights, *tables, event, text, logprobs)
        return self.memory

    def observe(self, observation: Observation, text: Any) -> bool:
        """Take in how a request went; the observation's spans point into `text`."""
        tables = (self.policy, self.models, self.tenants, self.endpoints, self.strings)
        return observe(observation, *tables, text, self.memory)

    def snapshot(self) -> bytes:
        """The live table's bytes; none before a policy was loaded."""
        if snapshot_bytes(self.memory.live) == 0:
            return b""
        return self.memory.live.to_bytes() + self.endpoints.to_bytes()

    def restore(self, snapshot: bytes) -> bool:
        """Replace the live table; False, and nothing changes, where the snapshot does not fit the policy."""
        if len(snapshot) < Live.size:
            return False
        data = bytearray(snapshot)
        live, endpoints = Live.from_bytes(data), Endpoints()
        endpoints.read(data, Live.size)
        if not fits(live, endpoints, len(data), self.memory.live):
            return False
        self.memory.live, self.endpoints = live, endpoints
        return True

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
