"""The core's records and buffers with every access checked: what compiled code does wrong in silence raises here."""

from typing import Any

from edgewise.core.endpoints import Endpoint
from edgewise.core.labels import STATUSES
from edgewise.core.layout import Action, Memory, Request, Session, Weights
from edgewise.core.layout import Event as EventRecord
from edgewise.core.live import adopt
from edgewise.core.policy import endpoint_count
from edgewise.core.routing import route
from edgewise.core.session import advance, open_session
from edgewise.core.transcript import Message
from edgewise.core.types import Record, Scalar, element_of, i32, u8
from edgewise.packing import unpack_policy
from edgewise.session import Event, pack_event

LIMITS = {
    "uint8": (0, 2**8 - 1),
    "int8": (-(2**7), 2**7 - 1),
    "uint16": (0, 2**16 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint32": (0, 2**32 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
}
_WIDE = 1 << 63


class CheckedInt(int):
    """An integer that raises OverflowError when a result would not fit 64 bits; every result is checked in turn."""


def _checked(name: str) -> Any:
    plain = getattr(int, name)

    def operation(self: int, *others: int) -> Any:
        if "shift" in name and not 0 <= (others[0] if "__r" not in name[:3] or name == "__rshift__" else self) < 64:
            raise OverflowError(f"{name} by {others}")
        result = plain(self, *others)
        if result is NotImplemented:
            return result
        if not -_WIDE <= result < _WIDE:
            raise OverflowError(f"{self} {name} {others} leaves 64 bits")
        return CheckedInt(result)

    return operation


for _name in ("add", "sub", "mul", "floordiv", "mod", "and", "or", "xor", "lshift", "rshift"):
    for _form in (f"__{_name}__", f"__r{_name}__"):
        setattr(CheckedInt, _form, _checked(_form))
for _name in ("__neg__", "__abs__", "__invert__"):
    setattr(CheckedInt, _name, _checked(_name))


class CheckedBuffer:
    """A buffer that raises on an index outside, and on a value that its width does not hold."""

    def __init__(self, data: Any, name: str, scalar: Scalar) -> None:
        self.data, self.name = data, name
        self.limits = LIMITS[scalar.name]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> CheckedInt:
        self._check_index(index)
        return CheckedInt(self.data[index])

    def __setitem__(self, index: int, value: int) -> None:
        self._check_index(index)
        low, high = self.limits
        if not low <= value <= high:
            raise OverflowError(f"{self.name}[{index}] = {value}")
        self.data[index] = int(value)

    def __iter__(self) -> Any:
        return iter(self.data)

    def _check_index(self, index: int) -> None:
        if not 0 <= index < len(self.data):
            raise IndexError(f"{self.name}[{index}], of {len(self.data)}")


class CheckedList(list):  # type: ignore[type-arg]
    """An array of records, which has no negative indexes."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int) and not 0 <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        return super().__getitem__(index)


_CLASSES: dict[type[Record], type[Record]] = {}


def _class_of(kind: type[Record]) -> type[Record]:
    if kind not in _CLASSES:
        limits = {
            field.name: LIMITS[field.element.name]
            for field in kind.fields
            if isinstance(field.element, Scalar) and field.count is None
        }

        def assign(self: Record, name: str, value: Any) -> None:
            if name in limits:
                low, high = limits[name]
                if not low <= value <= high:
                    raise OverflowError(f"{kind.__name__}.{name} = {value}")
                value = CheckedInt(value)
            elif name not in self.__dict__:
                raise AttributeError(f"{kind.__name__} has no {name}")
            else:
                raise AttributeError(f"{kind.__name__}.{name} is no number: records and buffers are not assigned")
            self.__dict__[name] = value

        _CLASSES[kind] = type(f"Checked{kind.__name__}", (kind,), {"__setattr__": assign, "__annotations__": {}})
    return _CLASSES[kind]


def checked(record: Any) -> Any:
    """The record with all its records, arrays and numbers checked from now on; changed in place."""
    kind = type(record)
    for field in kind.fields:
        value = record.__dict__[field.name]
        if isinstance(field.element, Scalar):
            if field.count is None:
                value = CheckedInt(value)
            else:
                value = CheckedBuffer(value, f"{kind.__name__}.{field.name}", field.element)
        else:
            value = checked(value) if field.count is None else CheckedList(map(checked, value))
        record.__dict__[field.name] = value
    record.__class__ = _class_of(kind)
    return record


class CheckedCore:
    """The core's source on checked records, with room for four sessions."""

    def __init__(self, weights: bytes, blob: bytes) -> None:
        self.memory = checked(Memory())
        self.weights = checked(Weights.from_bytes(weights))
        policy, models, tenants = unpack_policy(bytearray(blob))
        self.policy, self.models = checked(policy), CheckedList(map(checked, models))
        self.tenants = CheckedList(map(checked, tenants))
        self.endpoints = CheckedList(checked(Endpoint()) for _ in range(endpoint_count(policy)))
        self.strings = CheckedBuffer(blob, "strings", _U8)
        self.sessions = CheckedList(checked(Session()) for _ in range(4))
        tables = (self.policy, self.models, self.tenants, self.strings)
        adopt(*tables, *tables, self.endpoints, self.memory)

    @property
    def _tables(self) -> tuple[Any, ...]:
        return (self.policy, self.models, self.tenants, self.endpoints, self.strings)

    def decide(self, packed: bytes, opens: bool = False) -> str:
        """Decide a packed request, and perhaps open a session for it; gives the decision's status."""
        request = Request.from_bytes(packed)
        messages = CheckedList(
            checked(Message.from_bytes(packed, request.messages.start + index * Message.size))
            for index in range(request.messages.length)
        )
        text = CheckedBuffer(bytearray(packed), "text", _U8)
        checked(request)
        route(self.memory, self.weights, *self._tables, request, messages, text)
        if opens:
            open_session(self.memory, *self._tables, self.sessions, request)
        return STATUSES[self.memory.decision.status]

    def advance(self, event: Event) -> Action:
        """Take in an event; the action stands in the memory."""
        packed = bytearray(pack_event(event, 0))
        whole = memoryview(packed)[: len(packed) & ~3].cast("i")
        text, numbers = CheckedBuffer(packed, "text", _U8), CheckedBuffer(whole, "numbers", _I32)
        record = checked(EventRecord.from_bytes(packed))
        advance(self.memory, self.weights, *self._tables, self.sessions, record, text, numbers)
        action: Action = self.memory.action
        return action


_U8, _I32 = element_of(u8)[0], element_of(i32)[0]
