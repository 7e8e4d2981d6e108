"""The exported canonical ABI: thin LLVM IR around the lowered core, and the static data it works on.

The core's records already have the ABI's layout. So an export only finds the lists' addresses and calls the core; the
result is a pointer to the decision where it stands. Specification: the component model's CanonicalABI.md.
"""

from dataclasses import dataclass

from edgewise.core.endpoints import Endpoint
from edgewise.core.layout import (
    MAX_ENDPOINTS,
    MAX_SESSIONS,
    Addresses,
    Event,
    Live,
    Memory,
    Observation,
    Request,
    Session,
    Weights,
)
from edgewise.core.policy import (
    MAX_POLICY_BYTES,
    POLICY_NOT_A_POLICY,
    POLICY_OK,
    POLICY_TOO_LARGE,
    Model,
    Policy,
    Tenant,
)
from edgewise.core.transcript import Message
from edgewise.core.types import Record, Scalar, Span, offset_of
from edgewise_build.lower import LoweredFunction

INTERFACE = "edgewise:router/routing@0.1.0"
ROUTE, OPEN, ADVANCE, OVERLAP = (f"{INTERFACE}#{name}" for name in ("route", "open", "advance", "overlap"))
LOAD_POLICY, OBSERVE = f"{INTERFACE}#load-policy", f"{INTERFACE}#observe"
SNAPSHOT, RESTORE = f"{INTERFACE}#snapshot", f"{INTERFACE}#restore"
POSTS = [f"cabi_post_{name}" for name in (ROUTE, OPEN, ADVANCE, OVERLAP, OBSERVE, SNAPSHOT, RESTORE)]
REALLOC = "cabi_realloc"
EXPORTS = [ROUTE, OPEN, ADVANCE, OVERLAP, LOAD_POLICY, OBSERVE, SNAPSHOT, RESTORE, *POSTS, REALLOC]

_ADDRESS_SPACE = 1 << 32

_REALLOC_IR = f"""
@__heap_base = external global i8
@heap = internal global i32 0

declare i32 @llvm.wasm.memory.size.i32(i32)
declare i32 @llvm.wasm.memory.grow.i32(i32, i32)
declare void @llvm.memcpy.p0.p0.i32(ptr, ptr, i32, i1)
declare void @llvm.memmove.p0.p0.i32(ptr, ptr, i32, i1)

define i32 @{REALLOC}(i32 %old, i32 %old_size, i32 %align, i32 %size) {{
  %stored = load i32, ptr @heap
  %unset = icmp eq i32 %stored, 0
  %base = ptrtoint ptr @__heap_base to i32
  %top = select i1 %unset, i32 %base, i32 %stored
  %old_end = add i32 %old, %old_size
  %is_last = icmp eq i32 %old_end, %top
  %mask = sub i32 0, %align
  %raised = add i32 %top, %align
  %ceiling = sub i32 %raised, 1
  %fresh = and i32 %ceiling, %mask
  %start = select i1 %is_last, i32 %old, i32 %fresh
  %start64 = zext i32 %start to i64
  %size64 = zext i32 %size to i64
  %end64 = add i64 %start64, %size64
  %pages = call i32 @llvm.wasm.memory.size.i32(i32 0)
  %pages64 = zext i32 %pages to i64
  %capacity = shl i64 %pages64, 16
  %fits = icmp ule i64 %end64, %capacity
  br i1 %fits, label %move, label %grow
grow:
  %missing = sub i64 %end64, %capacity
  %rounded = add i64 %missing, 65535
  %more64 = lshr i64 %rounded, 16
  %more = trunc i64 %more64 to i32
  %grown = call i32 @llvm.wasm.memory.grow.i32(i32 0, i32 %more)
  %failed = icmp eq i32 %grown, -1
  br i1 %failed, label %trap, label %move
trap:
  unreachable
move:
  %end = trunc i64 %end64 to i32
  store i32 %end, ptr @heap
  %same = icmp eq i32 %start, %old
  %nothing = icmp eq i32 %old_size, 0
  %stay = or i1 %same, %nothing
  br i1 %stay, label %done, label %copy
copy:
  %to = inttoptr i32 %start to ptr
  %from = inttoptr i32 %old to ptr
  call void @llvm.memcpy.p0.p0.i32(ptr %to, ptr %from, i32 %old_size, i1 false)
  br label %done
done:
  ret i32 %start
}}
"""


def _array(data: str, count: str, item_size: int) -> str:
    """An array as numba passes it: no owner, no parent, count, item size, data, shape, stride."""
    return f"ptr null, ptr null, i64 {count}, i64 {item_size}, ptr {data}, i64 {count}, i64 {item_size}"


def _call(function: LoweredFunction, arguments: list[str]) -> str:
    """A call of a lowered function: it returns through a pointer, and its exception slot is never written."""
    listed = ", ".join(["ptr %result", "ptr %exception", *arguments])
    return f"  call i32 @{function.symbol}({listed})"


def _declare(function: LoweredFunction) -> str:
    array = "ptr, ptr, i64, i64, ptr, i64, i64"
    kinds = {int: "i64", bool: "i8"}
    listed = [kinds.get(kind, "ptr" if _is_record(kind) else array) for kind in function.parameters]
    return f"declare i32 @{function.symbol}({', '.join(['ptr', 'ptr', *listed])})"


def _is_record(parameter: object) -> bool:
    return isinstance(parameter, type) and issubclass(parameter, Record)


def _escape(data: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in data)


def _list(name: str, base: str, offset: int) -> str:
    """IR that reads a list's address and length, which stand at `base + offset`, into %name.at and %name.count."""
    return f"""\
  %{name}.field = getelementptr i8, ptr {base}, i32 {offset}
  %{name}.at = load i32, ptr %{name}.field, align 1
  %{name}.next = getelementptr i8, ptr %{name}.field, i32 4
  %{name}.length = load i32, ptr %{name}.next, align 1
  %{name}.count = zext i32 %{name}.length to i64"""


def _store_address(field: str, target: str) -> str:
    offset = offset_of(Memory, "addresses") + offset_of(Addresses, field)
    return f"""\
  %{field}.slot = getelementptr i8, ptr @memory, i32 {offset}
  %{field}.address = ptrtoint ptr {target} to i32
  store i32 %{field}.address, ptr %{field}.slot"""


def _in_memory(name: str) -> str:
    return f"getelementptr (i8, ptr @memory, i32 {offset_of(Memory, name)})"


@dataclass(frozen=True)
class CoreFunctions:
    """The core's root functions, lowered, by their names in the core."""

    route: LoweredFunction
    open_session: LoweredFunction
    advance: LoweredFunction
    overlap: LoweredFunction
    check_policy: LoweredFunction
    adopt: LoweredFunction
    observe: LoweredFunction
    snapshot_bytes: LoweredFunction
    fits: LoweredFunction


_ENDPOINTS = _array(f"getelementptr (i8, ptr @memory, i32 {Memory.size})", str(MAX_ENDPOINTS), Endpoint.size)
_STRINGS = _array("@policy", str(MAX_POLICY_BYTES), 1)
_EVERYWHERE = _array("null", str(_ADDRESS_SPACE), 1)
_NUMBERS_EVERYWHERE = _array("null", str(_ADDRESS_SPACE // 4), 4)
_SESSIONS = _array("@sessions", str(MAX_SESSIONS), Session.size)


def _tables(prefix: str, base: str) -> str:
    """IR that finds the models and the tenants of the policy at `base`, for `_models` and `_tenants`."""
    return f"""\
{_list(f"{prefix}models", base, offset_of(Policy, "models"))}
  %{prefix}models.data = getelementptr i8, ptr {base}, i32 %{prefix}models.at
{_list(f"{prefix}tenants", base, offset_of(Policy, "tenants"))}
  %{prefix}tenants.data = getelementptr i8, ptr {base}, i32 %{prefix}tenants.at"""


def _models(prefix: str) -> str:
    return _array(f"%{prefix}models.data", f"%{prefix}models.count", Model.size)


def _tenants(prefix: str) -> str:
    return _array(f"%{prefix}tenants.data", f"%{prefix}tenants.count", Tenant.size)


_SLOTS = "  %result = alloca i64\n  %exception = alloca ptr"


def _store_addresses() -> str:
    places = {name: _in_memory(name) for name in ("chain", "reasons", "observed")}
    return "\n".join(_store_address(name, place) for name, place in {"policy": "@policy", **places}.items())


def _decide(export: str, route: LoweredFunction, open_session: LoweredFunction | None = None) -> str:
    """An export that reads a request where it stands, and whose result begins with the decision."""
    messages = _array("%messages.data", "%messages.count", Message.size)
    tables = ["ptr @policy", _models(""), _tenants(""), _ENDPOINTS, _STRINGS]
    call = _call(route, ["ptr @memory", "ptr @weights", *tables, "ptr %request", messages, _EVERYWHERE])
    if open_session is not None:
        call += "\n" + _call(open_session, ["ptr @memory", *tables, _SESSIONS, "ptr %request"])
    return f"""
define i32 @"{export}"(i32 %address) {{
{_SLOTS}
  %request = inttoptr i32 %address to ptr
{_store_addresses()}
{_list("messages", "%request", offset_of(Request, "messages"))}
  %messages.data = inttoptr i32 %messages.at to ptr
{_tables("", "@policy")}
{call}
  %decision = ptrtoint ptr {_in_memory("decision")} to i32
  ret i32 %decision
}}"""


def _advance(advance: LoweredFunction) -> str:
    parameters, stores = _take_record(Event, "event")
    tables = ["ptr @policy", _models(""), _tenants(""), _ENDPOINTS, _STRINGS, _SESSIONS]
    event = [f"ptr {_in_memory('event')}", _EVERYWHERE, _NUMBERS_EVERYWHERE]
    return f"""
define i32 @"{ADVANCE}"({parameters}) {{
{_SLOTS}
{stores}
{_store_addresses()}
{_tables("", "@policy")}
{_call(advance, ["ptr @memory", "ptr @weights", *tables, *event])}
  %action = ptrtoint ptr {_in_memory("action")} to i32
  ret i32 %action
}}"""


def _overlap(overlap: LoweredFunction) -> str:
    names = ("shown", "shown_length", "fresh", "fresh_length")
    widened = "\n".join(f"  %{name}64 = zext i32 %{name} to i64" for name in names)
    call = _call(overlap, [_EVERYWHERE, *(f"i64 %{name}64" for name in names), "i8 %whole8"])
    return f"""
define i32 @"{OVERLAP}"({", ".join(f"i32 %{name}" for name in names)}, i32 %whole) {{
{_SLOTS}
{widened}
  %whole8 = trunc i32 %whole to i8
{call}
  %bytes64 = load i64, ptr %result
  %bytes = trunc i64 %bytes64 to i32
  ret i32 %bytes
}}"""


def _load_policy(check_policy: LoweredFunction, adopt: LoweredFunction) -> str:
    strings = _array("%policy", "%size64", 1)
    new = ["ptr %policy", _models("new."), _tenants("new."), strings]
    check = _call(check_policy, [*new, "i64 %size64"])
    old = ["ptr @policy", _models("old."), _tenants("old."), _STRINGS]
    keep = _call(adopt, [*old, *new, _ENDPOINTS, "ptr @memory"])
    return f"""
define i32 @"{LOAD_POLICY}"(i32 %address, i32 %size) {{
{_SLOTS}
  %policy = inttoptr i32 %address to ptr
  store i32 0, ptr @heap
  %is_short = icmp ult i32 %size, {Policy.size}
  br i1 %is_short, label %short, label %measure
short:
  ret i32 {POLICY_NOT_A_POLICY}
measure:
  %is_long = icmp ugt i32 %size, {MAX_POLICY_BYTES}
  br i1 %is_long, label %long, label %check
long:
  ret i32 {POLICY_TOO_LARGE}
check:
  %size64 = zext i32 %size to i64
{_tables("new.", "%policy")}
{check}
  %status64 = load i64, ptr %result
  %status = trunc i64 %status64 to i32
  %is_ok = icmp eq i32 %status, {POLICY_OK}
  br i1 %is_ok, label %keep, label %done
keep:
{_tables("old.", "@policy")}
{keep}
  call void @llvm.memcpy.p0.p0.i32(ptr @policy, ptr %policy, i32 %size, i1 false)
  br label %done
done:
  ret i32 %status
}}"""


def _observe(observe: LoweredFunction) -> str:
    parameters, stores = _take_record(Observation, "observation")
    policy = ["ptr @policy", _models(""), _tenants(""), _ENDPOINTS, _STRINGS]
    call = _call(observe, [f"ptr {_in_memory('observation')}", *policy, _EVERYWHERE, "ptr @memory"])
    return f"""
define i32 @"{OBSERVE}"({parameters}) {{
{_SLOTS}
{stores}
{_tables("", "@policy")}
{call}
{_return_bool()}
}}"""


def _take_record(record: type[Record], place: str) -> tuple[str, str]:
    """A record of so few fields arrives as parameters, one for each of its numbers: IR that puts them back in memory.

    Gives the parameters and the stores.
    """
    slots: list[tuple[str, int, str]] = []
    for field in record.fields:
        if field.element is Span:
            slots += [("i32", field.offset, "i32"), ("i32", field.offset + 4, "i32")]
        else:
            assert isinstance(field.element, Scalar)
            slots.append(("i64" if field.size == 8 else "i32", field.offset, f"i{8 * field.size}"))
    parameters = ", ".join(f"{kind} %p{index}" for index, (kind, _, _) in enumerate(slots))
    base = offset_of(Memory, place)
    stores = [_store_parameter(index, kind, base + at, width) for index, (kind, at, width) in enumerate(slots)]
    return parameters, "\n".join(stores)


def _store_parameter(index: int, kind: str, offset: int, width: str) -> str:
    value = f"%p{index}" if kind == width else f"%v{index}"
    narrow = "" if kind == width else f"  {value} = trunc {kind} %p{index} to {width}\n"
    return f"{narrow}  store {width} {value}, ptr getelementptr (i8, ptr @memory, i32 {offset})"


def _return_bool() -> str:
    """A lowered function that gives a bool has stored one byte."""
    return (
        "  %bool = load i8, ptr %result\n  %set = icmp ne i8 %bool, 0\n  %flag = zext i1 %set to i32\n  ret i32 %flag"
    )


def _snapshot(snapshot_bytes: LoweredFunction) -> str:
    """The table is its own snapshot: where it stands, and its size."""
    slot = offset_of(Memory, "snapshot")
    return f"""
define i32 @"{SNAPSHOT}"() {{
{_SLOTS}
{_call(snapshot_bytes, [f"ptr {_in_memory('live')}"])}
  %size64 = load i64, ptr %result
  %size = trunc i64 %size64 to i32
  %live = ptrtoint ptr {_in_memory("live")} to i32
  store i32 %live, ptr getelementptr (i8, ptr @memory, i32 {slot + offset_of(Span, "start")})
  store i32 %size, ptr getelementptr (i8, ptr @memory, i32 {slot + offset_of(Span, "length")})
  %span = ptrtoint ptr {_in_memory("snapshot")} to i32
  ret i32 %span
}}"""


def _restore(fits: LoweredFunction) -> str:
    endpoints = _array("%endpoints", str(MAX_ENDPOINTS), Endpoint.size)
    return f"""
define i32 @"{RESTORE}"(i32 %address, i32 %size) {{
{_SLOTS}
  %snapshot = inttoptr i32 %address to ptr
  %is_short = icmp ult i32 %size, {Live.size}
  br i1 %is_short, label %refuse, label %check
refuse:
  ret i32 0
check:
  %endpoints = getelementptr i8, ptr %snapshot, i32 {Live.size}
  %size64 = zext i32 %size to i64
{_call(fits, ["ptr %snapshot", endpoints, "i64 %size64", f"ptr {_in_memory('live')}"])}
  %bool = load i8, ptr %result
  %fits = icmp ne i8 %bool, 0
  br i1 %fits, label %copy, label %refuse
copy:
  call void @llvm.memmove.p0.p0.i32(ptr {_in_memory("live")}, ptr %snapshot, i32 %size, i1 false)
  ret i32 1
}}"""


def _post(name: str) -> str:
    """What frees all that was allocated for a call, once the host has read the result."""
    return f'define void @"{name}"(i32 %result) {{\n  store i32 0, ptr @heap\n  ret void\n}}'


def shim(core: CoreFunctions, weights: bytes) -> str:
    """The IR module that defines the exports, and the static data around the lowered root functions."""
    if len(weights) != Weights.size:
        raise ValueError(f"the weights take {Weights.size} bytes, these are {len(weights)}")
    parts = [
        f"@memory = internal global [{Memory.size + MAX_ENDPOINTS * Endpoint.size} x i8] zeroinitializer, align 16",
        f"@sessions = internal global [{MAX_SESSIONS * Session.size} x i8] zeroinitializer, align 16",
        f"@policy = internal global [{MAX_POLICY_BYTES} x i8] zeroinitializer, align 16",
        # `externally_initialized` keeps LLVM from computing with the weights: the code is the same for all of them.
        f'@weights = internal externally_initialized constant [{len(weights)} x i8] c"{_escape(weights)}", align 16',
        *map(_declare, vars(core).values()),
        _REALLOC_IR,
        _decide(ROUTE, core.route),
        _decide(OPEN, core.route, core.open_session),
        _advance(core.advance),
        _overlap(core.overlap),
        _load_policy(core.check_policy, core.adopt),
        _observe(core.observe),
        _snapshot(core.snapshot_bytes),
        _restore(core.fits),
        *map(_post, POSTS),
    ]
    return "\n".join(parts)
