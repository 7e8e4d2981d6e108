"""The memory layout: what crosses the boundary (request, decision), and everything the core keeps in between.

`Request`, `Message`, `Decision` and `Reason` have the layout that the canonical ABI gives to the records of the same
names in `edge/wit/`: the compiled component reads and writes them in place.
"""

from typing import Annotated

from edgewise.core.classifier import ClassifierScratch, ClassifierWeights, Scores
from edgewise.core.labels import DOMAIN_COUNT, TASK_COUNT
from edgewise.core.language import LanguageResult, LanguageScratch, LanguageTable
from edgewise.core.transcript import Ask
from edgewise.core.types import I16, I32, I64, U16, Record, Records, Span, i32, i64, offset_of, u8, u16, u32

MAX_MODELS = 1024
MAX_TENANTS = 256
MAX_REGIONS = 64
MAX_ENDPOINTS = (MAX_REGIONS + 1) * MAX_MODELS
"""Each model in each region, and once more for requests that name none."""
MAX_FALLBACKS = 4
MAX_REASONS = 64


class Request(Record):
    """One request. A span of length 0 and a number 0 stand for "not said".

    `messages`: a list of Message. `needs`: bits by NEEDS. `budget`: picodollars for the whole request.
    `latency_slo_ms`: milliseconds to the first token. `at_ms`: Unix time. `session_model`: who answered last in this
    conversation, and holds `cached_tokens` of its prompt in a cache.
    """

    id: Span
    messages: Span
    region: Span
    tenant: Span
    session: Span
    session_model: Span
    needs: u8
    tier: u8
    objective: u8
    max_output_tokens: u32
    latency_slo_ms: u32
    cached_tokens: u32
    budget: i64
    at_ms: i64


class Observation(Record):
    """How a request went. `outcome`: an index into OUTCOMES; `cost`: picodollars; `at_ms`: Unix time when it ended.

    A span of length 0 and a number 0 stand for "not said".
    """

    model: Span
    region: Span
    tenant: Span
    outcome: u8
    ttft_ms: u32
    tokens_per_s: u32
    retry_after_ms: u32
    cost: i64
    at_ms: i64


class Reason(Record):
    """Why: an index into REASONS, the model it is about (empty: the request), and the number that decided."""

    code: u8
    model: Span
    value: i64


class Decision(Record):
    """The decision. Scores run from 0 to SCORE_ONE; `cost` is in picodollars.

    `fallbacks`: a list of names, `reasons`: a list of Reason. `margin`: how much of an answer's value lies between the
    chosen model and the runner-up. `status`: an index into STATUSES; the signals stand in every decision.
    """

    status: u8
    model: Span
    fallbacks: Span
    runner_up: Span
    margin: u16
    task: u8
    task_scores: Annotated[U16, TASK_COUNT]
    cluster: u8
    domain: u8
    domain_score: u16
    code: u16
    difficulty: u16
    recency: u16
    harm: u16
    jailbreak: u16
    pii: u16
    language: u8
    language_score: u16
    script: u8
    confidence: u16
    abstained: u8
    truncated: u8
    user_turns: u32
    input_tokens: u32
    output_tokens: u32
    cost: i64
    ttft_ms: u32
    reasons: Span
    dropped: u32


class Weights(Record):
    """The trained artifact, as the build packs it."""

    classifier: ClassifierWeights
    language: LanguageTable


class Addresses(Record):
    """Where things stand in linear memory, so that spans point at them; all zero outside WebAssembly."""

    policy: i32
    chain: i32
    reasons: i32


class Scene(Record):
    """What the worth of every model depends on, worked out once for a request.

    `region`: -1 where unknown; `row`: its first endpoint. `tenant`, `session_model`: -1 where there is none.
    `tenant_left`: picodollars, -1 without a limit. `needs`: bits, the request's own and those that its signals bring.
    `request_hash`: what deterministic shares are drawn by. `target`: the target quality, 0 where worth decides.
    The rest is what expected quality is read by; `language`: -1 where it is not sure.
    """

    now: i64
    tenant_left: i64
    cached_tokens: i64
    request_hash: i64
    objective: i32
    region: i32
    row: i32
    tenant: i32
    session_model: i32
    needs: i32
    target: i32
    band: i32
    part: i32
    language: i32
    task_count: i32
    tasks: Annotated[I32, TASK_COUNT]
    weights: Annotated[I32, TASK_COUNT]
    weight: i32
    domain_count: i32
    domains: Annotated[I32, DOMAIN_COUNT]
    domain_weights: Annotated[I32, DOMAIN_COUNT]
    domain_weight: i32
    length_part: i32


class Spending(Record):
    """What a tenant spent, in picodollars, on one day: a number of days since 1970, by UTC."""

    day: i64
    spent: i64


class Live(Record):
    """The head of the live table: what it fits, the latest time that was heard of, and what tenants spent.

    `layout`: a hash of the names of the policy's models, regions and tenants. The endpoints follow in memory.
    """

    magic: u32
    version: u32
    layout: u32
    endpoint_count: u32
    latest_at: i64
    spending: Annotated[Records[Spending], MAX_TENANTS]


class Memory(Record):
    """Everything the core writes to, except the endpoints: these follow `live`, so that both are one run of bytes."""

    addresses: Addresses
    ask: Ask
    classifier: ClassifierScratch
    scores: Scores
    language: LanguageScratch
    spoken: LanguageResult
    scene: Scene
    utilities: Annotated[I64, MAX_MODELS]
    qualities: Annotated[I64, MAX_MODELS]
    origins: Annotated[I16, MAX_MODELS]
    spending_before: Annotated[Records[Spending], MAX_TENANTS]
    decision: Decision
    chain: Annotated[Records[Span], MAX_FALLBACKS + 1]
    reasons: Annotated[Records[Reason], MAX_REASONS]
    chain_models: Annotated[I32, MAX_FALLBACKS + 1]
    chain_length: i32
    reason_count: i32
    observation: Observation
    snapshot: Span
    live: Live


assert offset_of(Memory, "live") + Live.size == Memory.size
