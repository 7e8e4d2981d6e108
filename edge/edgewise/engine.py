"""Engines: ways to run the one routing core. Whichever runs it, the decisions are the same, field by field.

`CoreModuleEngine` is the fast one: it takes the core module out of the component and reads the decision where it stands
in linear memory. `ComponentEngine` goes through the typed component interface, as a host in another language would.
`PythonEngine` runs the core's source itself.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar

import wasmtime
from wasmtime import component

from edgewise.core.labels import NEEDS
from edgewise.core.layout import Action as ActionRecord
from edgewise.core.layout import Decision as DecisionRecord
from edgewise.core.layout import Event as EventRecord
from edgewise.core.layout import Memory, Reason, Scene
from edgewise.core.layout import Observation as ObservationRecord
from edgewise.core.layout import Request as RequestRecord
from edgewise.core.policy import POLICY_STATUSES
from edgewise.core.stitching import overlap
from edgewise.core.transcript import Message as MessageRecord
from edgewise.core.types import Record, Span, offset_of, records_at
from edgewise.decision import Decision
from edgewise.decision import Reason as DecisionReason
from edgewise.direct import direct
from edgewise.errors import EngineError
from edgewise.interpreted import InterpretedCore
from edgewise.money import PICODOLLARS_PER_DOLLAR
from edgewise.observation import Observation, pack_observation
from edgewise.request import Request, pack_request
from edgewise.session import Action, Event, pack_event

INTERFACE = "edgewise:router/routing@0.1.0"
COMPONENT = Path(__file__).parent / "artifacts" / "edgewise.wasm"

_FIRST_BUFFER = 64 * 1024
_CORE_MODULE_SECTION = 1


R = TypeVar("R", bound=Record)


class Engine(Protocol):
    """Something that runs the core: a backend's build under a runtime."""

    backend: str
    runtime: str

    def load_policy(self, blob: bytes) -> None:
        """Replace the policy. Raises EngineError when the core refuses it; the old one then stays."""

    def decide(self, request: Request) -> Decision:
        """Decide one request. Every status is returned, none raised."""

    def open(self, request: Request) -> tuple[Decision, Action]:
        """Decide one request and open a session for it; the action is the first call, or to fail."""

    def advance(self, event: Event) -> Action:
        """Take in what happened to a session; what to do next."""

    def overlap(self, shown: str, fresh: str, whole: bool) -> int:
        """How many bytes of `fresh` repeat the end of what was shown; -1 while that cannot be told."""

    def observe(self, observation: Observation) -> bool:
        """Take in how a request went; False where the policy does not know the model."""

    def snapshot(self) -> bytes:
        """All that was observed, for another engine with the same models, regions and tenants."""

    def restore(self, snapshot: bytes) -> bool:
        """Replace what was observed; False, and nothing changes, where the snapshot does not fit the policy."""


def component_bytes(path: Path | None = None) -> bytes:
    """The compiled component. Raises EngineError where it has not been built."""
    path = path or COMPONENT
    if not path.exists():
        raise EngineError(f"{path.name} has not been built: run `edgewise build` (or install a released wheel)")
    return path.read_bytes()


def model_version(component: bytes) -> str:
    """What names the core and its weights in every decision: the beginning of the component's SHA-256, in hex."""
    return hashlib.sha256(component).hexdigest()[:12]


def core_module_of(data: bytes) -> bytes:
    """The first core module inside a component: the routing core itself.

    A component is a preamble of 8 bytes and then sections: an id, a length in LEB128, and that many bytes.
    """
    position = 8
    while position < len(data):
        section, position = data[position], position + 1
        length, position = _read_leb128(data, position)
        if section == _CORE_MODULE_SECTION:
            return data[position : position + length]
        position += length
    raise EngineError("the component holds no core module; build it again with `edgewise build`")


def _read_leb128(data: bytes, position: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def _runtime_config() -> wasmtime.Config:
    """Settings that keep compiled code on disk between processes, where the platform has a place for it."""
    config = wasmtime.Config()
    try:
        config.cache = True
    except wasmtime.WasmtimeError:
        return wasmtime.Config()
    return config


def _check_status(status: str) -> None:
    if status != "ok":
        raise EngineError(f"the core refused the policy: {status.replace('_', ' ')}")


class CoreModuleEngine:
    """The aot build under wasmtime, as a plain core module: one call a decision, one copy in, one copy out."""

    backend = "aot"
    runtime = "wasmtime"

    def __init__(self, data: bytes | None = None) -> None:
        self.compiler = wasmtime.Engine(_runtime_config())
        self.store = wasmtime.Store(self.compiler)
        module = wasmtime.Module(self.compiler, core_module_of(data or component_bytes()))
        exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        self.route_function: Any = exports[f"{INTERFACE}#route"]
        self._open: Any = exports[f"{INTERFACE}#open"]
        self._advance = direct(self.store, exports[f"{INTERFACE}#advance"])
        self._overlap: Any = exports[f"{INTERFACE}#overlap"]
        self._load_policy: Any = exports[f"{INTERFACE}#load-policy"]
        self._observe: Any = exports[f"{INTERFACE}#observe"]
        self._snapshot: Any = exports[f"{INTERFACE}#snapshot"]
        self._restore: Any = exports[f"{INTERFACE}#restore"]
        self._free: Any = exports[f"cabi_post_{INTERFACE}#restore"]
        self._realloc: Any = exports["cabi_realloc"]
        memory = exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self._memory = memory
        self._buffer, self._capacity = 0, 0

    @property
    def memory_bytes(self) -> int:
        """The size of the linear memory."""
        return self._memory.data_len(self.store)

    def load_policy(self, blob: bytes) -> None:
        """Replace the policy. Raises EngineError when the core refuses it; the old one then stays."""
        self._reserve(len(blob))
        self._memory.write(self.store, blob, self._buffer)
        status = self._load_policy(self.store, self._buffer, len(blob))
        self._buffer, self._capacity = 0, 0  # loading a policy frees all that was allocated
        _check_status(POLICY_STATUSES[status])

    def decide(self, request: Request) -> Decision:
        """Decide one request. Every status is returned, none raised."""
        packed = self.place(request)
        return self.read(self.call(packed))

    def open(self, request: Request) -> tuple[Decision, Action]:
        """Decide one request and open a session for it; the action is the first call, or to fail."""
        address = self._open(self.store, self.place(request))
        return self.read(address), self._read_action(address + DecisionRecord.size)

    def advance(self, event: Event) -> Action:
        """Take in what happened to a session; what to do next."""
        packed = self._write(lambda base: pack_event(event, base))
        return self._read_action(self._advance(*EventRecord.from_bytes(packed).numbers()))

    def overlap(self, shown: str, fresh: str, whole: bool) -> int:
        """How many bytes of `fresh` repeat the end of what was shown; -1 while that cannot be told."""
        texts = shown.encode(), fresh.encode()
        self._write(lambda _: b"".join(texts))
        spans = (self._buffer, len(texts[0]), self._buffer + len(texts[0]), len(texts[1]))
        return int(self._overlap(self.store, *spans, whole))

    def observe(self, observation: Observation) -> bool:
        """Take in how a request went; False where the policy does not know the model."""
        packed = self._write(lambda base: pack_observation(observation, base))
        return bool(self._observe(self.store, *ObservationRecord.from_bytes(packed).numbers()))

    def snapshot(self) -> bytes:
        """All that was observed, for another engine with the same models, regions and tenants."""
        span = Span.from_bytes(self._bytes(self._snapshot(self.store), Span.size))
        return self._bytes(span.start, span.length)

    def restore(self, snapshot: bytes) -> bool:
        """Replace what was observed; False, and nothing changes, where the snapshot does not fit the policy."""
        self._reserve(len(snapshot))
        self._memory.write(self.store, snapshot, self._buffer)
        fitted = bool(self._restore(self.store, self._buffer, len(snapshot)))
        self._free(self.store, fitted)
        self._buffer, self._capacity = 0, 0
        return fitted

    def place(self, request: Request) -> int:
        """Write the request into linear memory; gives its address, for `call`."""
        self._write(lambda base: pack_request(request, base))
        return self._buffer

    def call(self, address: int) -> int:
        """Run the core on the request at `address`; gives the decision's address."""
        result = self.route_function(self.store, address)
        assert isinstance(result, int)
        return result

    def read(self, address: int) -> Decision:
        """The decision at `address`."""
        record = DecisionRecord.from_bytes(self._bytes(address, DecisionRecord.size))
        fallbacks = self._list(Span, record.fallbacks)
        reasons = self._list(Reason, record.reasons)
        return Decision.from_records(record, fallbacks, reasons, self._text)

    def _read_action(self, address: int) -> Action:
        record = ActionRecord.from_bytes(self._bytes(address, ActionRecord.size))
        observed = self._list(ObservationRecord, record.observed)
        return Action.from_records(record, observed[0] if observed else None, self._text)

    def _write(self, pack: Callable[[int], bytes]) -> bytes:
        """Write into the buffer what `pack` gives for its address."""
        packed = pack(self._buffer)
        if len(packed) > self._capacity:
            self._reserve(len(packed))
            packed = pack(self._buffer)
        self._memory.write(self.store, packed, self._buffer)
        return packed

    def scene(self, decision: int) -> Scene:
        """What the policy read of the request whose decision stands at an address: what calibration fits tables to."""
        start = decision + offset_of(Memory, "scene") - offset_of(Memory, "decision")
        return Scene.from_bytes(self._bytes(start, Scene.size))

    def _reserve(self, size: int) -> None:
        capacity = max(_FIRST_BUFFER, 1 << (size - 1).bit_length())
        self._buffer = self._realloc(self.store, self._buffer, self._capacity, 16, capacity)
        self._capacity = capacity

    def _bytes(self, start: int, length: int) -> bytes:
        return bytes(self._memory.read(self.store, start, start + length))

    def _text(self, span: Span) -> str:
        return self._bytes(span.start, span.length).decode()

    def _list(self, record: type[R], span: Span) -> list[R]:
        data = self._bytes(span.start, span.length * record.size)
        return [record.from_bytes(data, index * record.size) for index in range(span.length)]


class ComponentEngine:
    """A component under wasmtime through its typed interface, whichever backend built it."""

    runtime = "wasmtime-component"

    def __init__(self, data: bytes | None = None, backend: str = "aot") -> None:
        self.backend = backend
        engine = wasmtime.Engine(_runtime_config())
        self.store = wasmtime.Store(engine)
        instance = component.Linker(engine).instantiate(
            self.store, component.Component(engine, data or component_bytes())
        )
        self.route_function = self._export(instance, "route")
        self._open = self._export(instance, "open")
        self._advance = self._export(instance, "advance")
        self._overlap = self._export(instance, "overlap")
        self._load_policy = self._export(instance, "load-policy")
        self._observe = self._export(instance, "observe")
        self._snapshot = self._export(instance, "snapshot")
        self._restore = self._export(instance, "restore")

    def _export(self, instance: component.Instance, name: str) -> component.Func:
        interface = instance.get_export_index(self.store, INTERFACE)
        function = instance.get_func(self.store, instance.get_export_index(self.store, name, interface) or name)
        if function is None:
            raise EngineError(f"the component does not export {INTERFACE}#{name}; build it again with `edgewise build`")
        return function

    def load_policy(self, blob: bytes) -> None:
        """Replace the policy. Raises EngineError when the core refuses it; the old one then stays."""
        status = self._load_policy(self.store, blob)
        self._load_policy.post_return(self.store)
        _check_status(status.replace("-", "_"))

    def decide(self, request: Request) -> Decision:
        """Decide one request. Every status is returned, none raised."""
        result = self.route_function(self.store, _typed_request(request))
        self.route_function.post_return(self.store)
        return _typed_decision(result)

    def open(self, request: Request) -> tuple[Decision, Action]:
        """Decide one request and open a session for it; the action is the first call, or to fail."""
        opening = self._call(self._open, _typed_request(request))
        return _typed_decision(opening.decision), _typed_action(opening.action)

    def advance(self, event: Event) -> Action:
        """Take in what happened to a session; what to do next."""
        return _typed_action(self._call(self._advance, _typed_event(event)))

    def overlap(self, shown: str, fresh: str, whole: bool) -> int:
        """How many bytes of `fresh` repeat the end of what was shown; -1 while that cannot be told."""
        return int(self._call(self._overlap, shown, fresh, whole))

    def observe(self, observation: Observation) -> bool:
        """Take in how a request went; False where the policy does not know the model."""
        return bool(self._call(self._observe, _typed_observation(observation)))

    def snapshot(self) -> bytes:
        """All that was observed, for another engine with the same models, regions and tenants."""
        return bytes(self._call(self._snapshot))

    def restore(self, snapshot: bytes) -> bool:
        """Replace what was observed; False, and nothing changes, where the snapshot does not fit the policy."""
        return bool(self._call(self._restore, snapshot))

    def _call(self, function: component.Func, *arguments: Any) -> Any:
        result = function(self.store, *arguments)
        function.post_return(self.store)
        return result


def _typed(**fields: object) -> component.Record:
    record = component.Record()
    for name, value in fields.items():
        setattr(record, name.replace("_", "-"), value)
    return record


def _typed_request(request: Request) -> component.Record:
    return _typed(
        id=request.id,
        messages=[_typed(role=message.role, content=message.content) for message in request.messages],
        region=request.region,
        tenant=request.tenant,
        session=request.session,
        session_model=request.session_model,
        model=request.model,
        stream=request.stream,
        needs={need.replace("_", "-") for need in NEEDS if need in request.needs},
        tier=request.tier,
        objective=request.objective,
        max_output_tokens=request.max_tokens,
        latency_slo_ms=request.latency_slo_ms,
        cached_tokens=request.cached_tokens,
        budget=request.budget,
        at_ms=request.at_ms,
    )


def _typed_observation(observation: Observation) -> component.Record:
    return _typed(
        model=observation.model,
        region=observation.region,
        tenant=observation.tenant,
        outcome=observation.outcome.replace("_", "-"),
        ttft_ms=observation.ttft_ms,
        tokens_per_s=observation.tokens_per_s,
        retry_after_ms=observation.retry_after_ms,
        cost=observation.cost,
        at_ms=observation.at_ms,
    )


def _typed_event(event: Event) -> component.Record:
    fields: dict[str, Any] = asdict(event)
    words = {name: fields[name].replace("_", "-") for name in ("kind", "finish", "fault")}
    return _typed(**{**fields, **words, "logprobs": list(event.logprobs)})


def _typed_action(record: Any) -> Action:
    fields = {name.replace("-", "_"): value for name, value in vars(record).items()}
    for name in ("kind", "reason", "finish"):
        fields[name] = fields[name].replace("-", "_")
    observed = [{name.replace("-", "_"): value for name, value in vars(one).items()} for one in fields["observed"]]
    return Action(**{**fields, "observed": _typed_observed(observed[0]) if observed else None})


def _typed_observed(fields: dict[str, Any]) -> Observation:
    cost, outcome = fields.pop("cost"), fields.pop("outcome").replace("-", "_")
    return Observation.model_construct(**fields, outcome=outcome, cost_usd=cost / PICODOLLARS_PER_DOLLAR)


def _typed_decision(record: Any) -> Decision:
    fields = {name.replace("-", "_"): value for name, value in vars(record).items()}
    for name in ("status", "task", "cluster", "domain"):
        fields[name] = fields[name].replace("-", "_")
    fields["script"] = fields["script"].capitalize()
    fields["fallbacks"] = tuple(fields["fallbacks"])
    fields["task_scores"] = tuple(vars(fields["task_scores"]).values())
    fields["reasons"] = tuple(
        DecisionReason(reason.code.replace("-", "_"), reason.model, reason.value) for reason in fields["reasons"]
    )
    return Decision(**fields)


class PythonEngine:
    """The core's own source under CPython: slow, and the reference for every build."""

    backend = "python"
    runtime = "cpython"

    def __init__(self, weights: bytes) -> None:
        self._core = InterpretedCore(weights)

    def load_policy(self, blob: bytes) -> None:
        """Replace the policy. Raises EngineError when the core refuses it; the old one then stays."""
        _check_status(POLICY_STATUSES[self._core.load_policy(blob)])

    def decide(self, request: Request) -> Decision:
        """Decide one request. Every status is returned, none raised."""
        packed = bytearray(pack_request(request, 0))
        record = RequestRecord.from_bytes(packed)
        return self._decision(self._core.route(record, records_at(MessageRecord, packed, record.messages), packed))

    def open(self, request: Request) -> tuple[Decision, Action]:
        """Decide one request and open a session for it; the action is the first call, or to fail."""
        packed = bytearray(pack_request(request, 0))
        record = RequestRecord.from_bytes(packed)
        memory = self._core.open(record, records_at(MessageRecord, packed, record.messages), packed)
        return self._decision(memory), self._action(memory)

    def advance(self, event: Event) -> Action:
        """Take in what happened to a session; what to do next."""
        packed = bytearray(pack_event(event, 0))
        whole = memoryview(packed)[: len(packed) & ~3].cast("i")
        return self._action(self._core.advance(EventRecord.from_bytes(packed), packed, whole))

    def overlap(self, shown: str, fresh: str, whole: bool) -> int:
        """How many bytes of `fresh` repeat the end of what was shown; -1 while that cannot be told."""
        one, other = shown.encode(), fresh.encode()
        return overlap(bytearray(one + other), 0, len(one), len(one), len(other), whole)

    def observe(self, observation: Observation) -> bool:
        """Take in how a request went; False where the policy does not know the model."""
        packed = bytearray(pack_observation(observation, 0))
        return self._core.observe(ObservationRecord.from_bytes(packed), packed)

    def snapshot(self) -> bytes:
        """All that was observed, for another engine with the same models, regions and tenants."""
        return self._core.snapshot()

    def restore(self, snapshot: bytes) -> bool:
        """Replace what was observed; False, and nothing changes, where the snapshot does not fit the policy."""
        return self._core.restore(snapshot)

    def _decision(self, memory: Memory) -> Decision:
        fallbacks = memory.chain[1 : 1 + memory.decision.fallbacks.length]
        reasons = memory.reasons[: memory.decision.reasons.length]
        return Decision.from_records(memory.decision, fallbacks, reasons, self._core.text_of)

    def _action(self, memory: Memory) -> Action:
        observed = memory.observed if memory.action.observed.length else None
        return Action.from_records(memory.action, observed, self._core.text_of)
