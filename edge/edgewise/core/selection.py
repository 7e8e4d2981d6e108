"""The selection: which models can answer at all, which of them is worth most, and who comes next if it fails.

A model's worth for a request is an amount of money: the expected quality of its answer times what a right answer is
worth, less the expected price of the answer, less what the wait for the first token costs. The four objectives are four
sets of those two prices. Instead, a target quality asks for the cheapest model that is good enough, a target saving for
the best one that is cheap enough. What cannot serve the request is dropped first, and says why.
"""

from edgewise.core.endpoints import (
    AVAILABLE,
    CIRCUIT_HALF_OPEN,
    COOLING_DOWN,
    MAX_TIME,
    Endpoint,
    draw,
    expected_ttft,
    expected_wait,
    hash_bytes,
    health,
    is_slow,
)
from edgewise.core.labels import (
    NEED_GUARDED,
    NEED_LIVE_RETRIEVAL,
    NEED_PRIVATE,
    REASON_ABSTAINED,
    REASON_BEST_VALUE,
    REASON_BUDGET,
    REASON_CIRCUIT_HALF_OPEN,
    REASON_CIRCUIT_OPEN,
    REASON_CLUSTER_CHAIN,
    REASON_CONTEXT,
    REASON_COOLING_DOWN,
    REASON_DIFFICULTY_CAPPED,
    REASON_GUARDED,
    REASON_LANGUAGE,
    REASON_LATENCY,
    REASON_LIVE_RETRIEVAL,
    REASON_NAMED_MODEL,
    REASON_NEEDS,
    REASON_OUTPUT_LIMIT,
    REASON_PRIVATE,
    REASON_RESIDENCY,
    REASON_SESSION,
    REASON_SHIFT,
    REASON_TARGET_QUALITY,
    REASON_TARGET_SAVING,
    REASON_TENANT_BUDGET,
    REASON_TENANT_MODELS,
    REASON_TIME_SENSITIVE,
    REASON_UNKNOWN_MODEL,
    REASON_UNKNOWN_REGION,
    SCORE_ONE,
    STATUS_NO_FEASIBLE_MODEL,
    STATUS_OK,
    TIER_COUNT,
)
from edgewise.core.layout import MAX_FALLBACKS, MAX_MODELS, MAX_REASONS, Memory, Request
from edgewise.core.policy import (
    CHAIN_LENGTH,
    NO_MODEL,
    Model,
    Policy,
    Tenant,
    cost_of,
    find_model,
    find_region,
    find_tenant,
    prior_of,
)
from edgewise.core.quality import expected_quality, read_quality_signals
from edgewise.core.spans import clear_span, set_name
from edgewise.core.types import U8, Records, Span

INFEASIBLE = -(1 << 62)
"""The utility of a model that cannot serve the request."""
DAY_MS = 86_400_000

_MAX_DROP_REASONS = MAX_REASONS - 8
"""The rest is kept for why a model was chosen."""
_BELOW_TARGET = 1 << 61
_QUALITY_STEP = 1 << 40
_NO_LIMIT = -1
NO_NAME = -1
UNKNOWN_NAME = -2
_PROBE_SALT = 0x50524F42


def choose(
    request: Request,
    policy: Policy,
    models: Records[Model],
    tenants: Records[Tenant],
    endpoints: Records[Endpoint],
    strings: U8,
    text: U8,
    memory: Memory,
) -> None:
    """Choose the model and its fallbacks for a request whose signals stand in `memory.decision`.

    `strings`: the policy blob, `text`: the buffer of the request's spans. Fills the decision's status, model,
    fallbacks, runner-up, margin, cost, time to first token and reasons.
    """
    set_scene(request, policy, models, tenants, strings, text, memory)
    score_models(request, policy, models, tenants, endpoints, strings, memory)
    settle(policy, models, endpoints, strings, memory)


def set_scene(
    request: Request,
    policy: Policy,
    models: Records[Model],
    tenants: Records[Tenant],
    strings: U8,
    text: U8,
    memory: Memory,
) -> None:
    """Work out what the worth of every model depends on, and note what the request's signals bring about."""
    scene = memory.scene
    decision = memory.decision
    scene.now = min(max(request.at_ms, 0), MAX_TIME) if request.at_ms != 0 else memory.live.latest_at
    scene.region = find_region(request.region, policy, strings, text)
    scene.unknown_region = 1 if scene.region < 0 and request.region.length > 0 and policy.strict_regions != 0 else 0
    scene.row = (scene.region + 1) * min(len(models), MAX_MODELS)
    scene.session_model = find_model(request.session_model, models, strings, text)
    scene.named = _named_model(request, models, strings, text)
    scene.cached_tokens = min(request.cached_tokens, decision.input_tokens)
    scene.needs = request.needs | (_needs_of_signals(policy, memory) if scene.named == NO_NAME else 0)
    scene.request_hash = _hash_request(request, text, memory)
    _set_objective(request, policy, memory)
    _set_tenant(request, policy, tenants, strings, text, memory)
    read_quality_signals(policy, memory)
    if decision.recency >= policy.time_sensitive_from:
        note(REASON_TIME_SENSITIVE, decision.recency, memory)
    if decision.difficulty > policy.difficulty_cap:
        note(REASON_DIFFICULTY_CAPPED, policy.difficulty_cap, memory)
    if scene.named == UNKNOWN_NAME:
        note(REASON_UNKNOWN_MODEL, 0, memory)
    if scene.unknown_region == 1:
        note(REASON_UNKNOWN_REGION, 0, memory)


def _named_model(request: Request, models: Records[Model], strings: U8, text: U8) -> int:
    if request.model.length == 0:
        return NO_NAME
    named = find_model(request.model, models, strings, text)
    return named if named != NO_MODEL else UNKNOWN_NAME


def _needs_of_signals(policy: Policy, memory: Memory) -> int:
    decision = memory.decision
    needs = 0
    if decision.recency >= policy.time_sensitive_from:
        needs |= NEED_LIVE_RETRIEVAL
    if 0 < policy.harm_from <= decision.harm or 0 < policy.jailbreak_from <= decision.jailbreak:
        needs |= NEED_GUARDED
    if 0 < policy.pii_from <= decision.pii:
        needs |= NEED_PRIVATE
    return needs


def _hash_request(request: Request, text: U8, memory: Memory) -> int:
    """By its id; a request without one by its ask and its time."""
    if request.id.length > 0:
        return hash_bytes(text, request.id.start, request.id.length)
    return hash_bytes(memory.ask.text, 0, memory.ask.length) ^ memory.scene.now & 0xFFFFFFFF


def _set_objective(request: Request, policy: Policy, memory: Memory) -> None:
    """The request's own objective; else its tier's; else the policy's, which may be a target."""
    scene = memory.scene
    by_tier = policy.tier_objectives[request.tier] if request.tier < TIER_COUNT else 0
    own = request.objective if request.objective > 0 else by_tier
    scene.objective = own if own > 0 else policy.default_objective
    scene.target = policy.target_quality if own == 0 else 0
    scene.saving = policy.target_saving if own == 0 else 0


def _set_tenant(
    request: Request, policy: Policy, tenants: Records[Tenant], strings: U8, text: U8, memory: Memory
) -> None:
    scene = memory.scene
    scene.tenant = tenant_of(request.tenant, policy, tenants, strings, text)
    scene.tenant_left = _NO_LIMIT
    if scene.tenant >= 0 and tenants[scene.tenant].daily_budget > 0:
        spending = memory.live.spending[scene.tenant]
        spent = spending.spent if spending.day == scene.now // DAY_MS else 0
        scene.tenant_left = max(0, tenants[scene.tenant].daily_budget - spent)


def tenant_of(name: Span, policy: Policy, tenants: Records[Tenant], strings: U8, text: U8) -> int:
    """The index of the tenant whose rules hold for a name, or -1 where none do."""
    known = find_tenant(name, tenants, strings, text)
    if known >= 0:
        return known
    return policy.default_tenant if 0 <= policy.default_tenant < len(tenants) else -1


def note(code: int, value: int, memory: Memory) -> None:
    """Add a reason about the request as a whole."""
    if memory.reason_count < MAX_REASONS:
        reason = memory.reasons[memory.reason_count]
        reason.code = code
        clear_span(reason.model)
        reason.value = value
        memory.reason_count += 1


def note_model(code: int, model: Model, value: int, memory: Memory) -> None:
    """Add a reason about one model."""
    if memory.reason_count < MAX_REASONS:
        reason = memory.reasons[memory.reason_count]
        set_name(reason.model, model.name, memory)
        reason.code = code
        reason.value = value
        memory.reason_count += 1


def score_models(
    request: Request,
    policy: Policy,
    models: Records[Model],
    tenants: Records[Tenant],
    endpoints: Records[Endpoint],
    strings: U8,
    memory: Memory,
) -> None:
    """Write what each model is worth for the request to `memory.utilities`; INFEASIBLE where it cannot serve it.

    What chooses later goes by these numbers alone.
    """
    for index in range(min(len(models), MAX_MODELS)):
        memory.utilities[index] = _utility(request, policy, models, tenants, endpoints, strings, index, memory)
    if memory.scene.target > 0:
        _aim_at_quality(models, memory)
    elif memory.scene.saving > 0:
        _aim_at_saving(models, memory)


def _utility(
    request: Request,
    policy: Policy,
    models: Records[Model],
    tenants: Records[Tenant],
    endpoints: Records[Endpoint],
    strings: U8,
    index: int,
    memory: Memory,
) -> int:
    scene = memory.scene
    model = models[index]
    if scene.named != NO_NAME and scene.named != index:
        memory.decision.dropped += 1
        return INFEASIBLE
    if _is_unable(request, model, memory) or _is_forbidden(policy, model, tenants, index, memory):
        return INFEASIBLE
    cost = expected_cost(model, index, memory)
    if _is_too_dear(request, model, cost, memory):
        return INFEASIBLE
    endpoint = endpoints[scene.row + index]
    ttft = ttft_to_expect(policy, model, endpoint, strings, index, memory)
    if scene.named == NO_NAME and _is_too_slow(request, policy, model, endpoint, ttft, strings, memory):
        return INFEASIBLE
    memory.qualities[index] = expected_quality(model, memory)
    if scene.target > 0 or scene.saving > 0:
        return -cost
    worth = memory.qualities[index] * (policy.answer_value[scene.objective] // SCORE_ONE)
    return worth - cost - policy.wait_price[scene.objective] * expected_wait(endpoint, ttft, scene.now, policy.rules)


def _drop(code: int, model: Model, value: int, memory: Memory) -> bool:
    memory.decision.dropped += 1
    if memory.reason_count < _MAX_DROP_REASONS:
        note_model(code, model, value, memory)
    return True


def _is_unable(request: Request, model: Model, memory: Memory) -> bool:
    """Whether the model cannot do what is asked: its size, its abilities, its languages."""
    decision = memory.decision
    if decision.input_tokens + decision.output_tokens > model.context:
        return _drop(REASON_CONTEXT, model, model.context, memory)
    if request.max_output_tokens > model.max_output:
        return _drop(REASON_OUTPUT_LIMIT, model, model.max_output, memory)
    missing = memory.scene.needs & ~model.abilities
    if missing & request.needs != 0:
        return _drop(REASON_NEEDS, model, missing & request.needs, memory)
    if missing & NEED_LIVE_RETRIEVAL != 0:
        return _drop(REASON_LIVE_RETRIEVAL, model, decision.recency, memory)
    if missing & NEED_GUARDED != 0:
        return _drop(REASON_GUARDED, model, max(decision.harm, decision.jailbreak), memory)
    if missing & NEED_PRIVATE != 0:
        return _drop(REASON_PRIVATE, model, decision.pii, memory)
    known = memory.scene.language < 0 or model.languages[memory.scene.language] > 0
    if memory.scene.named == NO_NAME and not known:
        return _drop(REASON_LANGUAGE, model, memory.scene.language, memory)
    return False


def _is_forbidden(policy: Policy, model: Model, tenants: Records[Tenant], index: int, memory: Memory) -> bool:
    """Whether the request may not go to the model: residency, the tenant's list."""
    region = memory.scene.region
    if memory.scene.unknown_region == 1:
        return _drop(REASON_RESIDENCY, model, region, memory)
    if region >= 0 and policy.strict_regions >> region & 1 == 1 and model.regions >> region & 1 == 0:
        return _drop(REASON_RESIDENCY, model, region, memory)
    if memory.scene.tenant >= 0:
        tenant = tenants[memory.scene.tenant]
        if tenant.restricted != 0 and tenant.models[index >> 3] >> (index & 7) & 1 == 0:
            return _drop(REASON_TENANT_MODELS, model, memory.scene.tenant, memory)
    return False


def _is_too_dear(request: Request, model: Model, cost: int, memory: Memory) -> bool:
    if request.budget > 0 and cost > request.budget:
        return _drop(REASON_BUDGET, model, cost, memory)
    left = memory.scene.tenant_left
    if left != _NO_LIMIT and cost > left:
        return _drop(REASON_TENANT_BUDGET, model, left, memory)
    return False


def _is_too_slow(
    request: Request, policy: Policy, model: Model, endpoint: Endpoint, ttft: int, strings: U8, memory: Memory
) -> bool:
    """Whether the endpoint does not answer now, or not in time."""
    if _is_down(policy, model, endpoint, strings, memory):
        return True
    if request.latency_slo_ms > 0 and ttft > request.latency_slo_ms:
        return _drop(REASON_LATENCY, model, ttft, memory)
    return False


def _is_down(policy: Policy, model: Model, endpoint: Endpoint, strings: U8, memory: Memory) -> bool:
    """Whether the endpoint takes no requests now. A half-open circuit lets a small share of them pass."""
    state = health(endpoint, memory.scene.now)
    if state == AVAILABLE:
        return False
    if state == COOLING_DOWN:
        return _drop(REASON_COOLING_DOWN, model, endpoint.blocked_until - memory.scene.now, memory)
    if state == CIRCUIT_HALF_OPEN:
        if _draw(model, _PROBE_SALT, strings, memory) < policy.rules.probe_share:
            return False
        return _drop(REASON_CIRCUIT_HALF_OPEN, model, endpoint.failures, memory)
    return _drop(REASON_CIRCUIT_OPEN, model, endpoint.failures, memory)


def _draw(model: Model, salt: int, strings: U8, memory: Memory) -> int:
    """A number from 0 to SCORE_ONE - 1 that the request and the model decide."""
    return draw(memory.scene.request_hash, hash_bytes(strings, model.name.start, model.name.length) ^ salt)


def expected_cost(model: Model, index: int, memory: Memory) -> int:
    """The price of the answer in picodollars; the model of the session takes what it has in its cache for less."""
    cost = cost_of(model, memory.decision.input_tokens, memory.decision.output_tokens)
    return cost - _cache_saving(model, memory) if index == memory.scene.session_model else cost


def ttft_to_expect(policy: Policy, model: Model, endpoint: Endpoint, strings: U8, index: int, memory: Memory) -> int:
    """The time to the first token to expect of a model, by its index, where the request comes from; in ms."""
    prior = prior_of(policy, model, memory.scene.row + index, strings)
    return expected_ttft(endpoint, prior, memory.scene.now, policy.rules)


def _cache_saving(model: Model, memory: Memory) -> int:
    return (model.price_in - model.price_cached_in) * memory.scene.cached_tokens


def _aim_at_quality(models: Records[Model], memory: Memory) -> None:
    """With a target quality: of the models that reach it the cheapest first, then the others, the best first."""
    best = 0
    for index in range(min(len(models), MAX_MODELS)):
        if memory.utilities[index] != INFEASIBLE:
            best = max(best, memory.qualities[index])
    for index in range(min(len(models), MAX_MODELS)):
        enough = memory.qualities[index] * SCORE_ONE >= best * memory.scene.target
        if memory.utilities[index] != INFEASIBLE and not enough:
            memory.utilities[index] = memory.qualities[index] * _QUALITY_STEP - _BELOW_TARGET


def _aim_at_saving(models: Records[Model], memory: Memory) -> None:
    """With a target saving: of the models that cost so much less than the best the best first, then the cheapest."""
    best = NO_MODEL
    for index in range(min(len(models), MAX_MODELS)):
        if memory.utilities[index] != INFEASIBLE and (best == NO_MODEL or _is_better(index, best, memory)):
            best = index
    if best == NO_MODEL:
        return
    most = -memory.utilities[best] // SCORE_ONE * (SCORE_ONE - memory.scene.saving)
    for index in range(min(len(models), MAX_MODELS)):
        cost = -memory.utilities[index]
        if memory.utilities[index] == INFEASIBLE:
            continue
        if cost <= most:
            memory.utilities[index] = memory.qualities[index] * _QUALITY_STEP - min(cost, _QUALITY_STEP - 1)
        else:
            memory.utilities[index] = -cost - _BELOW_TARGET


def _is_better(index: int, other: int, memory: Memory) -> bool:
    """Whether more is expected of a model than of another; of equals the cheaper is the better one."""
    if memory.qualities[index] != memory.qualities[other]:
        return memory.qualities[index] > memory.qualities[other]
    return memory.utilities[index] > memory.utilities[other]


def settle(policy: Policy, models: Records[Model], endpoints: Records[Endpoint], strings: U8, memory: Memory) -> None:
    """Choose by `memory.utilities`, and build the chain."""
    count = min(len(models), MAX_MODELS)
    best = _best(models, count, 0, memory)
    if best == NO_MODEL:
        memory.decision.status = STATUS_NO_FEASIBLE_MODEL
        return
    chosen = _stay(models, _prefer(policy, count, best, memory), memory)
    _note_choice(policy, models, count, chosen, memory)
    chosen = _shift_away(policy, models, endpoints, strings, chosen, memory)
    _build_chain(policy, models, count, chosen, memory)
    _describe(policy, models, endpoints, strings, chosen, memory)


def _best(models: Records[Model], count: int, chain_length: int, memory: Memory) -> int:
    """The best feasible model outside the first `chain_length` of the chain, a new provider's before all others.

    Of equals the first wins: a policy lists its models by name, so their order in the file decides nothing. Most models
    are passed over at a glance, as they are worth less than one that was met before.
    """
    best = NO_MODEL
    best_worth = INFEASIBLE
    best_new = NO_MODEL
    best_new_worth = INFEASIBLE
    for index in range(count):
        worth = memory.utilities[index]
        if (worth <= best_worth and worth <= best_new_worth) or _is_in_chain(index, chain_length, memory):
            continue
        if worth > best_worth:
            best = index
            best_worth = worth
        if worth > best_new_worth and not _has_provider(models, models[index].provider, chain_length, memory):
            best_new = index
            best_new_worth = worth
    return best_new if best_new != NO_MODEL else best


def _is_in_chain(index: int, chain_length: int, memory: Memory) -> bool:
    for place in range(chain_length):
        if memory.chain_models[place] == index:
            return True
    return False


def _has_provider(models: Records[Model], provider: int, chain_length: int, memory: Memory) -> bool:
    for place in range(chain_length):
        if models[memory.chain_models[place]].provider == provider:
            return True
    return False


def _prefer(policy: Policy, count: int, best: int, memory: Memory) -> int:
    """The model that the configuration puts before the best one: the default when unsure, else the cluster's first."""
    default = policy.default_model
    if memory.decision.abstained and 0 <= default < count and memory.utilities[default] != INFEASIBLE:
        return default
    preferred = _next_of_cluster(policy, count, 0, memory)
    return preferred if preferred != NO_MODEL and not memory.decision.abstained else best


def _stay(models: Records[Model], preferred: int, memory: Memory) -> int:
    """The model of the session, where its prompt cache is worth more than the switch."""
    session = memory.scene.session_model
    if session == NO_MODEL or memory.utilities[session] == INFEASIBLE or _cache_saving(models[session], memory) <= 0:
        return preferred
    return session if memory.utilities[session] > memory.utilities[preferred] else preferred


def _note_choice(policy: Policy, models: Records[Model], count: int, chosen: int, memory: Memory) -> None:
    decision = memory.decision
    saving = _cache_saving(models[chosen], memory)
    if memory.scene.named == chosen:
        note_model(REASON_NAMED_MODEL, models[chosen], 0, memory)
    elif chosen == memory.scene.session_model and saving > 0:
        note_model(REASON_SESSION, models[chosen], saving, memory)
    elif decision.abstained and chosen == policy.default_model:
        note_model(REASON_ABSTAINED, models[chosen], decision.confidence, memory)
    elif not decision.abstained and chosen == _next_of_cluster(policy, count, 0, memory):
        note_model(REASON_CLUSTER_CHAIN, models[chosen], decision.cluster, memory)
    elif memory.scene.target > 0:
        note_model(REASON_TARGET_QUALITY, models[chosen], memory.qualities[chosen], memory)
    elif memory.scene.saving > 0:
        note_model(REASON_TARGET_SAVING, models[chosen], memory.qualities[chosen], memory)
    else:
        note_model(REASON_BEST_VALUE, models[chosen], memory.utilities[chosen], memory)


def _next_of_cluster(policy: Policy, count: int, chain_length: int, memory: Memory) -> int:
    """The first feasible model of the cluster's own chain that is not in the chain yet."""
    for place in range(CHAIN_LENGTH):
        index = policy.clusters[memory.decision.cluster].models[place]
        feasible = 0 <= index < count and memory.utilities[index] != INFEASIBLE
        if feasible and not _is_in_chain(index, chain_length, memory):
            return index
    return NO_MODEL


def _shift_away(
    policy: Policy, models: Records[Model], endpoints: Records[Endpoint], strings: U8, chosen: int, memory: Memory
) -> int:
    """Who takes the request where the chosen model's endpoint is slow, and the request is in the share that moves."""
    if not _is_shifted(policy, models, endpoints, strings, chosen, memory):
        return chosen
    target = models[chosen].shift_to
    if not 0 <= target < min(len(models), MAX_MODELS) or memory.utilities[target] == INFEASIBLE:
        target = _best_unshifted(policy, models, endpoints, strings, chosen, memory)
    if target == NO_MODEL:
        return chosen
    note_model(REASON_SHIFT, models[chosen], endpoints[memory.scene.row + chosen].p95_ms, memory)
    return target


def _is_shifted(
    policy: Policy, models: Records[Model], endpoints: Records[Endpoint], strings: U8, index: int, memory: Memory
) -> bool:
    if not is_slow(endpoints[memory.scene.row + index], memory.scene.now, policy.rules):
        return False
    return _draw(models[index], 0, strings, memory) < policy.rules.shift_share


def _best_unshifted(
    policy: Policy, models: Records[Model], endpoints: Records[Endpoint], strings: U8, chosen: int, memory: Memory
) -> int:
    """The feasible model that is worth most after the chosen one, and from which the request is not shifted as well."""
    best = NO_MODEL
    for index in range(min(len(models), MAX_MODELS)):
        if index == chosen or memory.utilities[index] == INFEASIBLE:
            continue
        better = best == NO_MODEL or memory.utilities[index] > memory.utilities[best]
        if better and not _is_shifted(policy, models, endpoints, strings, index, memory):
            best = index
    return best


def _build_chain(policy: Policy, models: Records[Model], count: int, chosen: int, memory: Memory) -> None:
    """The chosen model, then the rest of the cluster's chain, then the best models of providers not yet in it."""
    index = chosen
    length = 0
    while index != NO_MODEL and length <= MAX_FALLBACKS:
        memory.chain_models[length] = index
        set_name(memory.chain[length], models[index].name, memory)
        length += 1
        index = _next_of_cluster(policy, count, length, memory)
        if index == NO_MODEL:
            index = _best(models, count, length, memory)
    memory.chain_length = length


def _describe(
    policy: Policy, models: Records[Model], endpoints: Records[Endpoint], strings: U8, chosen: int, memory: Memory
) -> None:
    decision = memory.decision
    scene = memory.scene
    decision.status = STATUS_OK
    decision.model.start = memory.chain[0].start
    decision.model.length = memory.chain[0].length
    decision.cost = expected_cost(models[chosen], chosen, memory)
    endpoint = endpoints[scene.row + chosen]
    decision.ttft_ms = ttft_to_expect(policy, models[chosen], endpoint, strings, chosen, memory)
    runner_up = _runner_up(models, chosen, memory)
    if runner_up != NO_MODEL:
        set_name(decision.runner_up, models[runner_up].name, memory)
        lead = memory.utilities[chosen] - memory.utilities[runner_up]
        step = max(1, policy.answer_value[scene.objective] // SCORE_ONE)
        decision.margin = max(0, min(SCORE_ONE, lead // step))


def _runner_up(models: Records[Model], chosen: int, memory: Memory) -> int:
    """The feasible model that is worth most after the chosen one."""
    best = NO_MODEL
    for index in range(min(len(models), MAX_MODELS)):
        feasible = index != chosen and memory.utilities[index] != INFEASIBLE
        if feasible and (best == NO_MODEL or memory.utilities[index] > memory.utilities[best]):
            best = index
    return best
