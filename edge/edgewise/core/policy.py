"""The policy: what was configured, as the blob that the core loads, and whether a blob can be loaded."""

from typing import Annotated

from edgewise.core.endpoints import LiveRules
from edgewise.core.labels import CLUSTER_COUNT, DOMAIN_COUNT, OBJECTIVE_COUNT, TASK_COUNT, TIER_COUNT
from edgewise.core.layout import MAX_ENDPOINTS, MAX_MODELS, MAX_REGIONS, MAX_TENANTS
from edgewise.core.stream import MAX_WINDOW_TOKENS, MonitorRules
from edgewise.core.types import I16, I64, U8, U16, Record, Records, Span, i16, i32, i64, u8, u16, u32

POLICY_MAGIC = 0x50574445
POLICY_VERSION = 3
DIFFICULTY_BANDS = 4
"""Quality is configured at difficulties 0, 1/3, 2/3 and 1, and interpolated in between."""
PROMPT_TOKENS = (16, 64, 256, 1024)
LENGTH_BANDS = len(PROMPT_TOKENS)
"""What a domain adds to the quality is configured at these prompt sizes, and interpolated in between."""
MAX_POLICY_BYTES = 640 * 1024
LANGUAGE_SLOTS = 128
FACTOR_ONE = 200
"""Factors of quality are steps of a half percent: FACTOR_ONE stands for 1."""
CHAIN_LENGTH = 8
NO_MODEL = -1
MAX_LEVELS = 8

POLICY_STATUSES = ("ok", "not_a_policy", "wrong_version", "corrupt", "too_large")
POLICY_OK, POLICY_NOT_A_POLICY, POLICY_WRONG_VERSION, POLICY_CORRUPT, POLICY_TOO_LARGE = range(len(POLICY_STATUSES))


class Model(Record):
    """One model of the catalogue. Prices in picodollars a token; quality from 0 to SCORE_ONE, by task and then by band.

    `regions`: one bit a region of the policy. `languages`: what the quality is multiplied with, by index into
    LANGUAGES, out of FACTOR_ONE; 0 is a language that the model does not know. `domain_offsets`: by index into DOMAINS
    and then by PROMPT_TOKENS, what is added to the quality, out of SCORE_ONE. `shift_to`: who takes what this model is
    too slow for; NO_MODEL: the next best.
    """

    name: Span
    price_in: i64
    price_out: i64
    price_cached_in: i64
    regions: i64
    context: i32
    max_output: i32
    ttft_ms: i32
    provider: u16
    shift_to: i16
    abilities: u8
    languages: Annotated[U8, LANGUAGE_SLOTS]
    domain_offsets: Annotated[I16, DOMAIN_COUNT * LENGTH_BANDS]
    quality: Annotated[U16, TASK_COUNT * DIFFICULTY_BANDS]


class Tenant(Record):
    """A tenant: picodollars a day, 0 without a limit; and, where `restricted`, a bit for each model that it may use."""

    name: Span
    daily_budget: i64
    restricted: u8
    models: Annotated[U8, MAX_MODELS // 8]


MODEL_BYTES = Model.size
TENANT_BYTES = Tenant.size


class ClusterChain(Record):
    """The models that a cluster prefers, by index and in order; NO_MODEL ends the list."""

    models: Annotated[I16, CHAIN_LENGTH]


class SessionRules(Record):
    """How long a request is worked on. Times in ms.

    `first_token_ms`: the longest wait for a first token. `stall_ms`: between two chunks. `total_ms`: for everything.
    `backoff_ms`: before a model is called again; it doubles. `attempts`: how often one model is called at most.
    """

    first_token_ms: i32
    stall_ms: i32
    total_ms: i32
    backoff_ms: i32
    attempts: u8


class Policy(Record):
    """The head of a policy blob; its models, tenants, priors and strings follow it. Spans count from the blob's start.

    `answer_value`: by objective, what a right answer is worth in picodollars. `wait_price`: by objective, picodollars a
    millisecond of waiting for the first token. `strict_regions`: the regions whose requests must be served there.
    `priors`: the expected time to the first token in ms, 16 bits each, row by row: a row for requests without a region,
    then one a region, in each of them one number a model; none: the models' own `ttft_ms`. `tier_objectives`: 0 leaves
    it to the policy. `target_quality`, `target_saving`, `harm_from`, `jailbreak_from`, `pii_from`: 0 turns a rule off.
    `default_tenant`: whose rules hold for requests of no known tenant, or -1. `levels`: how closely answers are
    watched; `level_of`: which of them holds, by task and domain.
    """

    magic: u32
    version: u32
    total_bytes: u32
    models: Span
    tenants: Span
    priors: Span
    region_count: i32
    regions: Annotated[Records[Span], MAX_REGIONS]
    strict_regions: i64
    answer_value: Annotated[I64, OBJECTIVE_COUNT]
    wait_price: Annotated[I64, OBJECTIVE_COUNT]
    clusters: Annotated[Records[ClusterChain], CLUSTER_COUNT]
    rules: LiveRules
    session: SessionRules
    levels: Annotated[Records[MonitorRules], MAX_LEVELS]
    level_of: Annotated[U8, TASK_COUNT * DOMAIN_COUNT]
    tier_objectives: Annotated[U8, TIER_COUNT]
    default_model: i16
    default_tenant: i16
    default_objective: u8
    abstain_below: u16
    time_sensitive_from: u16
    difficulty_cap: u16
    difficulty_per_turn: u16
    target_quality: u16
    target_saving: u16
    harm_from: u16
    jailbreak_from: u16
    pii_from: u16


def find_region(name: Span, policy: Policy, strings: U8, text: U8) -> int:
    """The index of the region whose name stands in `text`, or -1 where the policy knows none such."""
    for index in range(policy.region_count):
        if name.length > 0 and _equal(policy.regions[index], strings, name, text):
            return index
    return -1


def find_model(name: Span, models: Records[Model], strings: U8, text: U8) -> int:
    """The index of the model whose name stands in `text`, or NO_MODEL."""
    for index in range(min(len(models), MAX_MODELS)):
        if name.length > 0 and _equal(models[index].name, strings, name, text):
            return index
    return NO_MODEL


def find_tenant(name: Span, tenants: Records[Tenant], strings: U8, text: U8) -> int:
    """The index of the tenant whose name stands in `text`, or -1."""
    for index in range(min(len(tenants), MAX_TENANTS)):
        if name.length > 0 and _equal(tenants[index].name, strings, name, text):
            return index
    return -1


def prior_of(policy: Policy, model: Model, endpoint: int, strings: U8) -> int:
    """The time to the first token that the policy expects of a model at an endpoint, by its index, in ms."""
    if policy.priors.length == 0:
        return model.ttft_ms
    at = policy.priors.start + 2 * endpoint
    return strings[at] | strings[at + 1] << 8


def cost_of(model: Model, input_tokens: int, output_tokens: int) -> int:
    """The price of an answer in picodollars."""
    return model.price_in * input_tokens + model.price_out * output_tokens


def _equal(left: Span, left_bytes: U8, right: Span, right_bytes: U8) -> bool:
    if left.length != right.length:
        return False
    for index in range(left.length):
        if left_bytes[left.start + index] != right_bytes[right.start + index]:
            return False
    return True


def check_policy(policy: Policy, models: Records[Model], tenants: Records[Tenant], strings: U8, size: int) -> int:
    """Whether a policy blob of `size` bytes can be loaded: an index into POLICY_STATUSES.

    Everything that the core later uses as an index or a span is checked here, once. Names must stand in order.
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
        if index > 0 and not _ascends(policy.regions[index - 1], policy.regions[index], strings):
            return POLICY_CORRUPT
    for index in range(len(models)):
        if not _is_inside(models[index].name, size):
            return POLICY_CORRUPT
        if index > 0 and not _ascends(models[index - 1].name, models[index].name, strings):
            return POLICY_CORRUPT
    for index in range(len(tenants)):
        if not _is_inside(tenants[index].name, size):
            return POLICY_CORRUPT
        if index > 0 and not _ascends(tenants[index - 1].name, tenants[index].name, strings):
            return POLICY_CORRUPT
    return POLICY_OK


def _has_valid_head(policy: Policy) -> bool:
    total = policy.total_bytes
    if not (_has_room(policy.models, MODEL_BYTES, MAX_MODELS, total)):
        return False
    if not (_has_room(policy.tenants, TENANT_BYTES, MAX_TENANTS, total)):
        return False
    if not (_has_room(policy.priors, 2, MAX_ENDPOINTS, total) and 0 <= policy.region_count <= MAX_REGIONS):
        return False
    endpoints = endpoint_count(policy)
    if endpoints > MAX_ENDPOINTS or (policy.priors.length > 0 and policy.priors.length != endpoints):
        return False
    for tier in range(TIER_COUNT):
        if policy.tier_objectives[tier] >= OBJECTIVE_COUNT:
            return False
    for place in range(len(policy.level_of)):
        if policy.level_of[place] >= MAX_LEVELS:
            return False
    for level in range(MAX_LEVELS):
        if policy.levels[level].window_tokens > MAX_WINDOW_TOKENS or policy.levels[level].hold_back_ms < 0:
            return False
    if not _is_sane(policy.session):
        return False
    return 0 < policy.default_objective < OBJECTIVE_COUNT


def _is_sane(rules: SessionRules) -> bool:
    times = min(rules.first_token_ms, rules.stall_ms, rules.total_ms) > 0 and rules.backoff_ms >= 0
    return times and rules.attempts > 0


def endpoint_count(policy: Policy) -> int:
    """How many endpoints there are: each model once in each region, and once for requests without a region."""
    return policy.models.length * (policy.region_count + 1)


def _has_room(items: Span, item_bytes: int, most: int, total: int) -> bool:
    return 0 <= items.length <= most and 0 <= items.start <= total - items.length * item_bytes


def _is_inside(span: Span, size: int) -> bool:
    return 0 <= span.start <= size and 0 <= span.length <= size - span.start


def _ascends(left: Span, right: Span, strings: U8) -> bool:
    """Whether the left name comes before the right one, byte by byte."""
    for index in range(min(left.length, right.length)):
        before = strings[left.start + index]
        after = strings[right.start + index]
        if before != after:
            return before < after
    return left.length < right.length
