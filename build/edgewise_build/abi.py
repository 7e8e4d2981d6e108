"""The exported canonical ABI: thin LLVM IR around the lowered core, and the static data it works on.

The core's records already have the ABI's layout. So an export only finds the lists' addresses and calls the core; the
result is a pointer to the decision where it stands. Specification: the component model's CanonicalABI.md.
"""

from edgewise.core.layout import Addresses, Memory, Request, Weights
from edgewise.core.policy import MAX_POLICY_BYTES, POLICY_NOT_A_POLICY, POLICY_OK, POLICY_TOO_LARGE, Model, Policy
from edgewise.core.transcript import Message
from edgewise.core.types import Record, offset_of
from edgewise_build.lower import LoweredFunction

INTERFACE = "edgewise:router/routing@0.1.0"
ROUTE = f"{INTERFACE}#route"
POST_ROUTE = f"cabi_post_{ROUTE}"
LOAD_POLICY = f"{INTERFACE}#load-policy"
REALLOC = "cabi_realloc"
EXPORTS = [ROUTE, POST_ROUTE, LOAD_POLICY, REALLOC]

_ADDRESS_SPACE = 1 << 32

_REALLOC_IR = f"""
@__heap_base = external global i8
@heap = internal global i32 0

declare i32 @llvm.wasm.memory.size.i32(i32)
declare i32 @llvm.wasm.memory.grow.i32(i32, i32)
declare void @llvm.memcpy.p0.p0.i32(ptr, ptr, i32, i1)

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
    kinds = [
        "i64" if parameter is int else "ptr" if _is_record(parameter) else array for parameter in function.parameters
    ]
    return f"declare i32 @{function.symbol}({', '.join(['ptr', 'ptr', *kinds])})"


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


def _route(route: LoweredFunction) -> str:
    call = _call(
        route,
        [
            "ptr @memory",
            "ptr @weights",
            "ptr @policy",
            _array("%models.data", "%models.count", Model.size),
            _array("@policy", str(MAX_POLICY_BYTES), 1),
            "ptr %request",
            _array("%messages.data", "%messages.count", Message.size),
            _array("null", str(_ADDRESS_SPACE), 1),
        ],
    )
    return f"""
define i32 @"{ROUTE}"(i32 %address) {{
  %result = alloca i64
  %exception = alloca ptr
  %request = inttoptr i32 %address to ptr
{_store_address("policy", "@policy")}
{_store_address("chain", _in_memory("chain"))}
{_store_address("reasons", _in_memory("reasons"))}
{_list("messages", "%request", offset_of(Request, "messages"))}
  %messages.data = inttoptr i32 %messages.at to ptr
{_list("models", "@policy", offset_of(Policy, "models"))}
  %models.data = getelementptr i8, ptr @policy, i32 %models.at
{call}
  %decision = ptrtoint ptr {_in_memory("decision")} to i32
  ret i32 %decision
}}"""


def _load_policy(check_policy: LoweredFunction) -> str:
    models = _array("%models.data", "%models.count", Model.size)
    return f"""
define i32 @"{LOAD_POLICY}"(i32 %address, i32 %size) {{
  %result = alloca i64
  %exception = alloca ptr
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
{_list("models", "%policy", offset_of(Policy, "models"))}
  %models.data = getelementptr i8, ptr %policy, i32 %models.at
{_call(check_policy, ["ptr %policy", models, "i64 %size64"])}
  %status64 = load i64, ptr %result
  %status = trunc i64 %status64 to i32
  %is_ok = icmp eq i32 %status, {POLICY_OK}
  br i1 %is_ok, label %copy, label %done
copy:
  call void @llvm.memcpy.p0.p0.i32(ptr @policy, ptr %policy, i32 %size, i1 false)
  br label %done
done:
  ret i32 %status
}}"""


def shim(route: LoweredFunction, check_policy: LoweredFunction, weights: bytes) -> str:
    """The IR module that defines the exports, and the static data around the two lowered root functions."""
    if len(weights) != Weights.size:
        raise ValueError(f"the weights take {Weights.size} bytes, these are {len(weights)}")
    parts = [
        f"@memory = internal global [{Memory.size} x i8] zeroinitializer, align 16",
        f"@policy = internal global [{MAX_POLICY_BYTES} x i8] zeroinitializer, align 16",
        f'@weights = internal constant [{len(weights)} x i8] c"{_escape(weights)}", align 16',
        _declare(route),
        _declare(check_policy),
        _REALLOC_IR,
        _route(route),
        _load_policy(check_policy),
        f'define void @"{POST_ROUTE}"(i32 %result) {{\n  store i32 0, ptr @heap\n  ret void\n}}',
    ]
    return "\n".join(parts)
