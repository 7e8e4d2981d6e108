"""The policy: which models can answer at all, which of them is worth most, and who comes next if it fails.

A model's worth for a request is an amount of money: the expected quality of its answer times what a right answer is
worth, less the expected price of the answer, less what the wait for the first token costs. The four objectives are four
sets of those two prices. What cannot serve the request is dropped first, and says why.
"""

from typing import Annotated

from edgewise.core.labels import (
    CLUSTER_COUNT,
    NEED_LIVE_RETRIEVAL,
    OBJECTIVE_COUNT,
    REASON_ABSTAINED,
    REASON_BEST_VALUE,
    REASON_BUDGET,
    REASON_CLUSTER_CHAIN,
    REASON_CONTEXT,
    REASON_DIFFICULTY_CAPPED,
    REASON_LANGUAGE,
    REASON_LATENCY,
    REASON_LIVE_RETRIEVAL,
    REASON_NEEDS,
    REASON_OUTPUT_LIMIT,
    REASON_RESIDENCY,
    REASON_TIME_SENSITIVE,
    SCORE_ONE,
    STATUS_NO_FEASIBLE_MODEL,
    STATUS_OK,
    TASK_COUNT,
)
from edgewise.core.language import UNDETERMINED
from edgewise.core.layout import MAX_FALLBACKS, MAX_MODELS, MAX_REASONS, Memory, Request
from edgewise.core.types import I16, I64, U8, U16, Record, Records, Span, i16, i32, i64, u8, u16, u32

POLICY_MAGIC = 0x50574445
POLICY_VERSION = 1
DIFFICULTY_BANDS = 4
"""Quality is configured at difficulties 0, 1/3, 2/3 and 1, and interpolated in between."""
MAX_REGIONS = 64
MAX_POLICY_BYTES = 512 * 1024
LANGUAGE_BYTES = 16
CHAIN_LENGTH = 8
NO_MODEL = -1

INFEASIBLE = -(1 << 62)
"""The utility of a model that cannot serve the request."""
_SURE_OF_LANGUAGE = 5_000
_NEGLIGIBLE_SCORE = 500

POLICY_STATUSES = ("ok", "not_a_policy", "wrong_version", "corrupt", "too_large")
POLICY_OK, POLICY_NOT_A_POLICY, POLICY_WRONG_VERSION, POLICY_CORRUPT, POLICY_TOO_LARGE = range(len(POLICY_STATUSES))


class Model(Record):
    """One model of the catalogue. Prices in picodollars a token; quality from 0 to SCORE_ONE, by task and then by band.

    `languages`: one bit a language, in the order of LANGUAGES; `regions`: one bit a region of the policy.
    """

    name: Span
    price_in: i64
    price_out: i64
    regions: i64
    context: i32
    max_output: i32
    ttft_ms: i32
    provider: u16
    abilities: u8
    languages: Annotated[U8, LANGUAGE_BYTES]
    quality: Annotated[U16, TASK_COUNT * DIFFICULTY_BANDS]


MODEL_BYTES = Model.size


class ClusterChain(Record):
    """The models that a cluster prefers, by index and in order; NO_MODEL ends the list."""

    models: Annotated[I16, CHAIN_LENGTH]


class Policy(Record):
    """The head of a policy blob; its models and its strings follow it. Spans count from the blob's start.

    `answer_value`: by objective, what a right answer is worth in picodollars. `wait_price`: by objective, picodollars a
    millisecond of waiting for the first token. `strict_regions`: the regions whose requests must be served there.
    """

    magic: u32
    version: u32
    total_bytes: u32
    models: Span
    region_count: i32
    regions: Annotated[Records[Span], MAX_REGIONS]
    strict_regions: i64
    answer_value: Annotated[I64, OBJECTIVE_COUNT]
    wait_price: Annotated[I64, OBJECTIVE_COUNT]
    clusters: Annotated[Records[ClusterChain], CLUSTER_COUNT]
    default_model: i16
    default_objective: u8
    abstain_below: u16
    time_sensitive_from: u16
    difficulty_cap: u16


def choose(request: Request, policy: Policy, models: Records[Model], strings: U8, text: U8, memory: Memory) -> None:
    """Choose the model and its fallbacks for a request whose signals stand in `memory.decision`.

    `strings`: the policy blob, `text`: the buffer of the request's spans. Fills the decision's status, model,
    fallbacks, runner-up, margin, cost, time to first token and reasons.
    """
    objective = request.objective if request.objective > 0 else policy.default_objective
    region = region_of(request, policy, strings, text)
    count = min(len(models), MAX_MODELS)
    _note_signals(policy, memory)
    score_models(request, policy, models, region, objective, memory)
    best = _best(models, count, 0, memory)
    if best == NO_MODEL:
        memory.decision.status = STATUS_NO_FEASIBLE_MODEL
        return
    chosen = _override(policy, models, count, best, memory)
    _build_chain(policy, models, count, chosen, memory)
    _describe(policy, models, objective, chosen, memory)


def score_models(
    request: Request, policy: Policy, models: Records[Model], region: int, objective: int, memory: Memory
) -> None:
    """Write what each model is worth for the request to `memory.utilities`; INFEASIBLE where it cannot serve it.

    `region`: as `region_of` gives it. What chooses later goes by these numbers alone.
    """
    for index in range(min(len(models), MAX_MODELS)):
        memory.utilities[index] = _utility(request, policy, models[index], region, objective, memory)


def region_of(request: Request, policy: Policy, strings: U8, text: U8) -> int:
    """The index of the request's region among the policy's, or -1 where it is unknown or not said."""
    for index in range(policy.region_count):
        if request.region.length > 0 and _equal(policy.regions[index], strings, request.region, text):
            return index
    return -1


def _equal(left: Span, left_bytes: U8, right: Span, right_bytes: U8) -> bool:
    if left.length != right.length:
        return False
    for index in range(left.length):
        if left_bytes[left.start + index] != right_bytes[right.start + index]:
            return False
    return True


def note(code: int, value: int, memory: Memory) -> None:
    """Add a reason about the request as a whole."""
    if memory.reason_count < MAX_REASONS:
        reason = memory.reasons[memory.reason_count]
        reason.code = code
        reason.model.start = 0
        reason.model.length = 0
        reason.value = value
        memory.reason_count += 1


def note_model(code: int, model: Model, value: int, memory: Memory) -> None:
    """Add a reason about one model."""
    if memory.reason_count < MAX_REASONS:
        _name(model, memory.reasons[memory.reason_count].model, memory)
        reason = memory.reasons[memory.reason_count]
        reason.code = code
        reason.value = value
        memory.reason_count += 1


def _name(model: Model, span: Span, memory: Memory) -> None:
    span.start = memory.addresses.policy + model.name.start
    span.length = model.name.length


def _note_signals(policy: Policy, memory: Memory) -> None:
    decision = memory.decision
    if is_time_sensitive(policy, memory):
        note(REASON_TIME_SENSITIVE, decision.recency, memory)
    if decision.difficulty > policy.difficulty_cap:
        note(REASON_DIFFICULTY_CAPPED, policy.difficulty_cap, memory)


def is_time_sensitive(policy: Policy, memory: Memory) -> bool:
    """Whether the answer depends on fresh facts, as the policy draws the line."""
    return memory.decision.recency >= policy.time_sensitive_from


def cost_of(model: Model, input_tokens: int, output_tokens: int) -> int:
    """The price of an answer in picodollars."""
    return model.price_in * input_tokens + model.price_out * output_tokens


def _utility(request: Request, policy: Policy, model: Model, region: int, objective: int, memory: Memory) -> int:
    """What the model is worth for this request, in picodollars; INFEASIBLE, with a reason noted, if it cannot serve."""
    decision = memory.decision
    cost = cost_of(model, decision.input_tokens, decision.output_tokens)
    missing = request.needs & ~model.abilities
    if decision.input_tokens + decision.output_tokens > model.context:
        return _drop(REASON_CONTEXT, model, model.context, memory)
    if request.max_output_tokens > model.max_output:
        return _drop(REASON_OUTPUT_LIMIT, model, model.max_output, memory)
    if missing != 0:
        return _drop(REASON_NEEDS, model, missing, memory)
    if is_time_sensitive(policy, memory) and model.abilities & NEED_LIVE_RETRIEVAL == 0:
        return _drop(REASON_LIVE_RETRIEVAL, model, decision.recency, memory)
    if region >= 0 and policy.strict_regions >> region & 1 == 1 and model.regions >> region & 1 == 0:
        return _drop(REASON_RESIDENCY, model, region, memory)
    if not _speaks(model, decision.language, decision.language_score):
        return _drop(REASON_LANGUAGE, model, decision.language, memory)
    if request.budget > 0 and cost > request.budget:
        return _drop(REASON_BUDGET, model, cost, memory)
    if request.latency_slo_ms > 0 and model.ttft_ms > request.latency_slo_ms:
        return _drop(REASON_LATENCY, model, model.ttft_ms, memory)
    worth = expected_quality(policy, model, memory) * (policy.answer_value[objective] // SCORE_ONE)
    return worth - cost - policy.wait_price[objective] * model.ttft_ms


def _drop(code: int, model: Model, value: int, memory: Memory) -> int:
    """Count and note a model that cannot serve; the last place among the reasons is kept for the choice's own."""
    memory.decision.dropped += 1
    if memory.reason_count < MAX_REASONS - 1:
        note_model(code, model, value, memory)
    return INFEASIBLE


def _speaks(model: Model, language: int, score: int) -> bool:
    if language == UNDETERMINED or score < _SURE_OF_LANGUAGE:
        return True
    return model.languages[language >> 3] >> (language & 7) & 1 == 1


def expected_quality(policy: Policy, model: Model, memory: Memory) -> int:
    """The quality to expect, 0 to SCORE_ONE: over the tasks that the request may be, at its difficulty.

    The difficulty that a text claims for itself counts up to the policy's cap only.
    """
    decision = memory.decision
    difficulty = min(decision.difficulty, policy.difficulty_cap)
    total = 0
    weight = 0
    for task in range(TASK_COUNT):
        score = decision.task_scores[task]
        if score >= _NEGLIGIBLE_SCORE:
            total += score * _quality_at(model, task, difficulty)
            weight += score
    return total // weight if weight > 0 else _quality_at(model, decision.task, difficulty)


def _quality_at(model: Model, task: int, difficulty: int) -> int:
    position = difficulty * (DIFFICULTY_BANDS - 1)
    band = min(position // SCORE_ONE, DIFFICULTY_BANDS - 2)
    part = position - band * SCORE_ONE
    low = model.quality[task * DIFFICULTY_BANDS + band]
    high = model.quality[task * DIFFICULTY_BANDS + band + 1]
    return low + (high - low) * part // SCORE_ONE


def _best(models: Records[Model], count: int, chain_length: int, memory: Memory) -> int:
    """The best feasible model outside the first `chain_length` of the chain, a new provider's before all others.

    Of equals the first wins: a policy lists its models by name, so their order in the file decides nothing.
    """
    best = NO_MODEL
    best_is_new = False
    for index in range(count):
        if memory.utilities[index] == INFEASIBLE or _is_in_chain(index, chain_length, memory):
            continue
        is_new = not _has_provider(models, models[index].provider, chain_length, memory)
        better = best == NO_MODEL or (is_new and not best_is_new)
        if not better and is_new == best_is_new:
            better = memory.utilities[index] > memory.utilities[best]
        if better:
            best = index
            best_is_new = is_new
    return best


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


def _override(policy: Policy, models: Records[Model], count: int, best: int, memory: Memory) -> int:
    """The model that the configuration puts before the best one: the default when unsure, else the cluster's first."""
    decision = memory.decision
    default = policy.default_model
    if decision.abstained and 0 <= default < count and memory.utilities[default] != INFEASIBLE:
        note_model(REASON_ABSTAINED, models[default], decision.confidence, memory)
        return default
    preferred = _next_of_cluster(policy, count, 0, memory)
    if preferred != NO_MODEL and not decision.abstained:
        note_model(REASON_CLUSTER_CHAIN, models[preferred], decision.cluster, memory)
        return preferred
    note_model(REASON_BEST_VALUE, models[best], memory.utilities[best], memory)
    return best


def _next_of_cluster(policy: Policy, count: int, chain_length: int, memory: Memory) -> int:
    """The first feasible model of the cluster's own chain that is not in the chain yet."""
    for place in range(CHAIN_LENGTH):
        index = policy.clusters[memory.decision.cluster].models[place]
        feasible = 0 <= index < count and memory.utilities[index] != INFEASIBLE
        if feasible and not _is_in_chain(index, chain_length, memory):
            return index
    return NO_MODEL


def _build_chain(policy: Policy, models: Records[Model], count: int, chosen: int, memory: Memory) -> None:
    """The chosen model, then the rest of the cluster's chain, then the best models of providers not yet in it."""
    index = chosen
    length = 0
    while index != NO_MODEL and length <= MAX_FALLBACKS:
        memory.chain_models[length] = index
        _name(models[index], memory.chain[length], memory)
        length += 1
        index = _next_of_cluster(policy, count, length, memory)
        if index == NO_MODEL:
            index = _best(models, count, length, memory)
    memory.chain_length = length


def _describe(policy: Policy, models: Records[Model], objective: int, chosen: int, memory: Memory) -> None:
    decision = memory.decision
    decision.status = STATUS_OK
    decision.model.start = memory.chain[0].start
    decision.model.length = memory.chain[0].length
    decision.cost = cost_of(models[chosen], decision.input_tokens, decision.output_tokens)
    decision.ttft_ms = models[chosen].ttft_ms
    runner_up = _runner_up(models, chosen, memory)
    if runner_up != NO_MODEL:
        _name(models[runner_up], decision.runner_up, memory)
        lead = memory.utilities[chosen] - memory.utilities[runner_up]
        step = max(1, policy.answer_value[objective] // SCORE_ONE)
        decision.margin = max(0, min(SCORE_ONE, lead // step))


def _runner_up(models: Records[Model], chosen: int, memory: Memory) -> int:
    """The feasible model that is worth most after the chosen one."""
    best = NO_MODEL
    for index in range(min(len(models), MAX_MODELS)):
        feasible = index != chosen and memory.utilities[index] != INFEASIBLE
        if feasible and (best == NO_MODEL or memory.utilities[index] > memory.utilities[best]):
            best = index
    return best


def check_policy(policy: Policy, models: Records[Model], size: int) -> int:
    """Whether a policy blob of `size` bytes can be loaded: an index into POLICY_STATUSES.

    Everything that the core later uses as an index or a span is checked here, once.
    """
    if policy.magic != POLICY_MAGIC:
        return POLICY_NOT_A_POLICY
    if policy.version != POLICY_VERSION:
        return POLICY_WRONG_VERSION
    if policy.total_bytes != size or not _has_valid_head(policy):
        return POLICY_CORRUPT
    for index in range(policy.region_count):
        if not _is_inside(policy.regions[index], size):
            return POLICY_CORRUPT
    for index in range(len(models)):
        if not _is_inside(models[index].name, size):
            return POLICY_CORRUPT
    return POLICY_OK


def _has_valid_head(policy: Policy) -> bool:
    models = policy.models
    if not (0 <= models.length <= MAX_MODELS and 0 <= models.start <= policy.total_bytes - models.length * MODEL_BYTES):
        return False
    return 0 <= policy.region_count <= MAX_REGIONS and 0 < policy.default_objective < OBJECTIVE_COUNT


def _is_inside(span: Span, size: int) -> bool:
    return 0 <= span.start <= size and 0 <= span.length <= size - span.start
