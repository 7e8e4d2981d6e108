"""The types of the core: scalars, buffers and records, and their one memory layout.

A record's annotated fields are its memory layout, on every build: C order, natural alignment, little endian, which is
also the layout of the component model's canonical ABI. CPython sees a small object; the ahead-of-time build maps the
same declaration to a struct in linear memory.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Protocol, Self, TypeVar, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Scalar:
    """An integer type in memory: its name and its code in the `struct` module."""

    name: str
    code: str

    @cached_property
    def size(self) -> int:
        """The size in bytes, which is also the alignment."""
        return struct.calcsize(f"={self.code}")


class Buffer(Protocol):
    """A run of integers of one width, indexed from zero: bytes, bytearray, memoryview, or linear memory."""

    def __getitem__(self, index: int, /) -> int: ...
    def __iter__(self) -> Iterator[int]: ...
    def __len__(self) -> int: ...
    def __setitem__(self, index: int, value: int, /) -> None: ...


_U8, _I8 = Scalar("uint8", "B"), Scalar("int8", "b")
_U16, _I16 = Scalar("uint16", "H"), Scalar("int16", "h")
_U32, _I32 = Scalar("uint32", "I"), Scalar("int32", "i")
_I64 = Scalar("int64", "q")

u8 = Annotated[int, _U8]
i8 = Annotated[int, _I8]
u16 = Annotated[int, _U16]
i16 = Annotated[int, _I16]
u32 = Annotated[int, _U32]
i32 = Annotated[int, _I32]
i64 = Annotated[int, _I64]

U8 = Annotated[Buffer, _U8]
I8 = Annotated[Buffer, _I8]
U16 = Annotated[Buffer, _U16]
I16 = Annotated[Buffer, _I16]
U32 = Annotated[Buffer, _U32]
I32 = Annotated[Buffer, _I32]
I64 = Annotated[Buffer, _I64]

R = TypeVar("R")
Records = Sequence[R]
"""A run of records: `endpoints: Records[Endpoint]`; as a field, `Annotated[Records[Endpoint], 64]`."""


@dataclass(frozen=True)
class Field:
    """One field of a record: its element (a scalar or a record), how many of it (None: not an array), and where."""

    name: str
    element: "Scalar | type[Record]"
    count: int | None
    offset: int

    @cached_property
    def size(self) -> int:
        """The size in bytes, all elements together."""
        return self.element.size * (1 if self.count is None else self.count)


def element_of(annotation: Any) -> "tuple[Scalar | type[Record] | None, int | None]":
    """What an annotation stands for: its element, and its length where it is a fixed array.

    The element is None for a plain `int` or `bool`.
    """
    length: int | None = None
    if get_origin(annotation) is Annotated:
        base, *metadata = get_args(annotation)
        length = next((item for item in metadata if isinstance(item, int)), None)
        scalar = next((item for item in metadata if isinstance(item, Scalar)), None)
        if scalar is not None:
            return scalar, length
        annotation = base
    if get_origin(annotation) is Sequence:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return annotation, length
    return None, length


class Record:
    """Base of every record. A new record holds zeros; arrays of scalars are typed views of its own bytes."""

    fields: ClassVar[tuple[Field, ...]] = ()
    size: ClassVar[int] = 0
    alignment: ClassVar[int] = 1
    _packed: ClassVar[struct.Struct | None] = None

    def __init_subclass__(cls) -> None:
        """Lay the annotated fields out in order, each at its natural alignment."""
        fields, offset, alignment = [], 0, 1
        for name, annotation in get_type_hints(cls, include_extras=True).items():
            if get_origin(annotation) is ClassVar:
                continue
            element, count = element_of(annotation)
            if element is None:
                raise TypeError(f"{cls.__name__}.{name}: write a width such as i32, a record, or Annotated[U8, length]")
            step = element.size if isinstance(element, Scalar) else element.alignment
            offset = -(-offset // step) * step
            fields.append(Field(name, element, count, offset))
            offset, alignment = offset + fields[-1].size, max(alignment, step)
        cls.fields, cls.alignment, cls.size = tuple(fields), alignment, -(-offset // alignment) * alignment
        cls._packed = _struct_of(cls)

    def __init__(self) -> None:
        self._load(memoryview(bytearray(self.size)))

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, offset: int = 0) -> Self:
        """The record whose bytes stand at `offset`. Arrays of scalars stay views of `data`; the rest is copied.

        Raises ValueError when `data` ends inside the record.
        """
        if len(data) - offset < cls.size:
            raise ValueError(f"{cls.__name__} takes {cls.size} bytes, {max(0, len(data) - offset)} are left")
        record = cls.__new__(cls)
        record._load(memoryview(data)[offset : offset + cls.size])
        return record

    def _load(self, view: memoryview) -> None:
        if self._packed is not None:
            self._take(iter(self._packed.unpack_from(view)))
            return
        for field in self.fields:
            part = view[field.offset : field.offset + field.size]
            setattr(self, field.name, _load_field(field, part))

    def _take(self, numbers: Iterator[int]) -> None:
        """Take the values of all scalars in order; for records without arrays."""
        for field in self.fields:
            if isinstance(field.element, Scalar):
                setattr(self, field.name, next(numbers))
            else:
                record = field.element.__new__(field.element)
                record._take(numbers)
                setattr(self, field.name, record)

    def to_bytes(self) -> bytes:
        """The record's bytes. Raises struct.error when a value does not fit its width."""
        if self._packed is not None:
            return self._packed.pack(*self.numbers())
        data = bytearray(self.size)
        self.write_to(memoryview(data))
        return bytes(data)

    def numbers(self) -> list[int]:
        """The values of all scalars in order, those of records inside it included; not those of arrays."""
        values: list[int] = []
        for field in self.fields:
            value = getattr(self, field.name)
            if field.count is None:
                values += value.numbers() if isinstance(value, Record) else [value]
        return values

    def write_to(self, view: memoryview) -> None:
        """Write the record's bytes at the start of `view`, a writable view of bytes."""
        for field in self.fields:
            value = getattr(self, field.name)
            if isinstance(field.element, Scalar):
                values = (value,) if field.count is None else value
                struct.pack_into(f"<{len(values)}{field.element.code}", view, field.offset, *values)
            else:
                records = (value,) if field.count is None else value
                for index, record in enumerate(records):
                    record.write_to(view[field.offset + index * field.element.size :])


def _struct_of(record: type[Record]) -> struct.Struct | None:
    """All of a record at once, for the `struct` module; None where there are arrays in it."""
    code, end = "<", 0
    for field in record.fields:
        if isinstance(field.element, Scalar):
            inner = field.element.code
        elif field.element._packed is not None:
            inner = field.element._packed.format[1:]
        else:
            return None
        if field.count is not None:
            return None
        code += f"{field.offset - end}x{inner}"
        end = field.offset + field.size
    return struct.Struct(f"{code}{record.size - end}x")


def _load_field(field: Field, part: memoryview) -> Any:
    element = field.element
    if isinstance(element, Scalar):
        typed = part.cast(element.code)  # type: ignore[call-overload]
        return typed[0] if field.count is None else typed
    if field.count is None:
        return element.from_bytes(part)
    return [element.from_bytes(part, index * element.size) for index in range(field.count)]


RecordT = TypeVar("RecordT", bound=Record)


def offset_of(record: type[Record], name: str) -> int:
    """Where the named field begins in the record, in bytes."""
    return next(field.offset for field in record.fields if field.name == name)


class Span(Record):
    """A run of bytes: where it starts in the buffer at hand, and its length. As a field it is the ABI's `string`."""

    start: i32
    length: i32


def records_at(kind: type[RecordT], data: bytes | bytearray | memoryview, span: Span) -> list[RecordT]:
    """The records of a list: as many as the span counts, as far as they lie within the data."""
    room = (len(data) - span.start) // kind.size if 0 <= span.start <= len(data) else 0
    return [kind.from_bytes(data, span.start + index * kind.size) for index in range(min(span.length, room))]
