"""The live table: whose record is whose, what hosts report into it, and what becomes of it under another policy.

The table's bytes, its head and the endpoints that the policy has, are its snapshot.
"""

from edgewise.core.endpoints import MAX_TIME, OUTCOMES, Endpoint, is_sane, observe_endpoint
from edgewise.core.layout import MAX_ENDPOINTS, MAX_MODELS, MAX_TENANTS, Live, Memory, Observation
from edgewise.core.policy import (
    NO_MODEL,
    POLICY_MAGIC,
    Model,
    Policy,
    Tenant,
    endpoint_count,
    find_model,
    find_region,
    find_tenant,
    prior_of,
)
from edgewise.core.selection import DAY_MS, tenant_of
from edgewise.core.types import U8, Records, Span

LIVE_MAGIC = 0x45564C45
LIVE_VERSION = 1
LIVE_BYTES = Live.size
ENDPOINT_BYTES = Endpoint.size

_OUTCOME_COUNT = len(OUTCOMES)
_MAX_SPENT = 1 << 61


def observe(
    observation: Observation,
    policy: Policy,
    models: Records[Model],
    tenants: Records[Tenant],
    endpoints: Records[Endpoint],
    strings: U8,
    text: U8,
    memory: Memory,
) -> bool:
    """Take in how a request went, for its region and for requests without one; False where the model is unknown.

    Also adds its cost to what the tenant has spent that day.
    """
    if policy.magic != POLICY_MAGIC or observation.outcome >= _OUTCOME_COUNT:
        return False
    model = find_model(observation.model, models, strings, text)
    if model == NO_MODEL:
        return False
    region = find_region(observation.region, policy, strings, text)
    tenant = tenant_of(observation.tenant, policy, tenants, strings, text)
    take_in(observation, model, region, tenant, policy, models, endpoints, strings, memory)
    return True


def take_in(
    observation: Observation,
    model: int,
    region: int,
    tenant: int,
    policy: Policy,
    models: Records[Model],
    endpoints: Records[Endpoint],
    strings: U8,
    memory: Memory,
) -> None:
    """Take in an observation of a model, by its index; `region` and `tenant`: -1 where there is none."""
    live = memory.live
    live.latest_at = max(live.latest_at, min(max(observation.at_ms, 0), MAX_TIME))
    _take(observation, policy, models, endpoints, strings, 0, model)
    if region >= 0:
        _take(observation, policy, models, endpoints, strings, region + 1, model)
    if tenant >= 0 and observation.cost > 0:
        _spend(live, tenant, observation.cost, min(max(observation.at_ms, 0), MAX_TIME) // DAY_MS)


def _take(
    observation: Observation,
    policy: Policy,
    models: Records[Model],
    endpoints: Records[Endpoint],
    strings: U8,
    row: int,
    model: int,
) -> None:
    at = row * min(len(models), MAX_MODELS) + model
    observe_endpoint(
        endpoints[at],
        observation.outcome,
        observation.ttft_ms,
        observation.tokens_per_s,
        observation.retry_after_ms,
        observation.at_ms,
        prior_of(policy, models[model], at, strings),
        policy.rules,
    )


def _spend(live: Live, tenant: int, cost: int, day: int) -> None:
    """What is reported late, for a day before, counts no more."""
    spending = live.spending[tenant]
    if day > spending.day:
        spending.day = day
        spending.spent = 0
    if day == spending.day:
        spending.spent = min(_MAX_SPENT, spending.spent + min(cost, _MAX_SPENT))


def adopt(
    old_policy: Policy,
    old_models: Records[Model],
    old_tenants: Records[Tenant],
    old_strings: U8,
    policy: Policy,
    models: Records[Model],
    tenants: Records[Tenant],
    strings: U8,
    endpoints: Records[Endpoint],
    memory: Memory,
) -> None:
    """Make the live table fit a policy that is about to replace the old one; what both know by name is kept.

    Sessions that were opened under the old policy end.
    """
    layout = _layout(policy, models, tenants, strings)
    live = memory.live
    if live.magic == LIVE_MAGIC and live.layout != layout:
        _carry_spending(old_tenants, old_strings, tenants, strings, memory)
        _carry_endpoints(old_policy, old_models, old_strings, policy, models, strings, endpoints, memory)
    live.magic = LIVE_MAGIC
    live.version = LIVE_VERSION
    live.layout = layout
    live.endpoint_count = endpoint_count(policy)
    memory.generation = (memory.generation + 1) & 0xFFFFFFFF


def _layout(policy: Policy, models: Records[Model], tenants: Records[Tenant], strings: U8) -> int:
    """A hash of all names in their order, and of how many there are of each kind."""
    value = _mix(_mix(_mix(0, len(models)), policy.region_count), len(tenants))
    for index in range(len(models)):
        value = _mix_name(value, models[index].name, strings)
    for index in range(policy.region_count):
        value = _mix_name(value, policy.regions[index], strings)
    for index in range(len(tenants)):
        value = _mix_name(value, tenants[index].name, strings)
    return value


def _mix(value: int, number: int) -> int:
    return (value ^ number) * 16_777_619 & 0xFFFFFFFF


def _mix_name(value: int, name: Span, strings: U8) -> int:
    mixed = _mix(value, name.length)
    for index in range(name.start, name.start + name.length):
        mixed = _mix(mixed, strings[index])
    return mixed


def _carry_spending(
    old_tenants: Records[Tenant], old_strings: U8, tenants: Records[Tenant], strings: U8, memory: Memory
) -> None:
    for index in range(MAX_TENANTS):
        memory.spending_before[index].day = memory.live.spending[index].day
        memory.spending_before[index].spent = memory.live.spending[index].spent
        memory.live.spending[index].day = 0
        memory.live.spending[index].spent = 0
    for index in range(min(len(tenants), MAX_TENANTS)):
        before = find_tenant(tenants[index].name, old_tenants, old_strings, strings)
        if before >= 0:
            memory.live.spending[index].day = memory.spending_before[before].day
            memory.live.spending[index].spent = memory.spending_before[before].spent


def _carry_endpoints(
    old_policy: Policy,
    old_models: Records[Model],
    old_strings: U8,
    policy: Policy,
    models: Records[Model],
    strings: U8,
    endpoints: Records[Endpoint],
    memory: Memory,
) -> None:
    """Move the records in place.

    Both policies sort their names, so no two records change their order: those that move down go first, from below,
    then those that move up, from above, and none is overwritten before it has moved.
    """
    count = min(len(models), MAX_MODELS)
    for index in range(count):
        memory.origins[index] = find_model(models[index].name, old_models, old_strings, strings)
    total = min(endpoint_count(policy), MAX_ENDPOINTS)
    rows = policy.region_count + 1
    for row in range(rows):
        _move_row(old_policy, old_models, old_strings, policy, strings, endpoints, row, count, 0, memory)
    for back in range(rows):
        _move_row(old_policy, old_models, old_strings, policy, strings, endpoints, rows - 1 - back, count, 1, memory)
    for row in range(rows):
        before = _row_before(old_policy, old_strings, policy, strings, row)
        for index in range(count):
            if before < 0 or memory.origins[index] < 0:
                _clear(endpoints[row * count + index])
    for index in range(total, min(len(endpoints), MAX_ENDPOINTS)):
        _clear(endpoints[index])


def _row_before(old_policy: Policy, old_strings: U8, policy: Policy, strings: U8, row: int) -> int:
    """Which row of the old table a row was; -1 where it is new."""
    if row == 0:
        return 0
    region = find_region(policy.regions[row - 1], old_policy, old_strings, strings)
    return region + 1 if region >= 0 else -1


def _move_row(
    old_policy: Policy,
    old_models: Records[Model],
    old_strings: U8,
    policy: Policy,
    strings: U8,
    endpoints: Records[Endpoint],
    row: int,
    count: int,
    upward: int,
    memory: Memory,
) -> None:
    before = _row_before(old_policy, old_strings, policy, strings, row)
    if before < 0:
        return
    for step in range(count):
        index = count - 1 - step if upward == 1 else step
        origin = before * min(len(old_models), MAX_MODELS) + memory.origins[index]
        target = row * count + index
        if memory.origins[index] >= 0 and ((upward == 1 and target > origin) or (upward == 0 and target < origin)):
            _copy(endpoints[origin], endpoints[target])


def _copy(source: Endpoint, target: Endpoint) -> None:
    target.last_at = source.last_at
    target.blocked_until = source.blocked_until
    target.shifted_at = source.shifted_at
    target.ttft = source.ttft
    target.p95_ms = source.p95_ms
    target.tokens_per_s = source.tokens_per_s
    target.error_rate = source.error_rate
    target.failures = source.failures
    target.samples = source.samples
    target.circuit = source.circuit
    target.shifted = source.shifted
    for bucket in range(len(source.histogram)):
        target.histogram[bucket] = source.histogram[bucket]


def _clear(target: Endpoint) -> None:
    target.last_at = 0
    target.blocked_until = 0
    target.shifted_at = 0
    target.ttft = 0
    target.p95_ms = 0
    target.tokens_per_s = 0
    target.error_rate = 0
    target.failures = 0
    target.samples = 0
    target.circuit = 0
    target.shifted = 0
    for bucket in range(len(target.histogram)):
        target.histogram[bucket] = 0


def snapshot_bytes(live: Live) -> int:
    """The size of the table's snapshot; 0 before a policy was loaded."""
    return LIVE_BYTES + live.endpoint_count * ENDPOINT_BYTES if live.magic == LIVE_MAGIC else 0


def fits(snapshot: Live, endpoints: Records[Endpoint], size: int, live: Live) -> bool:
    """Whether a snapshot of `size` bytes can replace the table: made for the same names, and holding sane values."""
    if live.magic != LIVE_MAGIC or size != snapshot_bytes(live) or snapshot.magic != LIVE_MAGIC:
        return False
    if snapshot.version != LIVE_VERSION or snapshot.layout != live.layout:
        return False
    if snapshot.endpoint_count != live.endpoint_count or not 0 <= snapshot.latest_at <= MAX_TIME:
        return False
    for index in range(MAX_TENANTS):
        spending = snapshot.spending[index]
        if not (0 <= spending.spent <= _MAX_SPENT and 0 <= spending.day <= MAX_TIME):
            return False
    for index in range(live.endpoint_count):
        if not is_sane(endpoints[index]):
            return False
    return True
