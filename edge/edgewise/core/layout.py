"""The memory layout: what crosses the boundary, and everything the core keeps in between.

What crosses it (`Request`, `Message`, `Decision`, `Reason`, `Event`, `Action`, `Observation`) has the layout that the
canonical ABI gives to the records of the same names in `edge/wit/`: the compiled component uses them in place.
"""

from typing import Annotated

from edgewise.core.classifier import ClassifierScratch, ClassifierWeights, Scores
from edgewise.core.labels import DOMAIN_COUNT, TASK_COUNT
from edgewise.core.language import LanguageResult, LanguageScratch, LanguageTable
from edgewise.core.stream import Monitor
from edgewise.core.transcript import Ask
from edgewise.core.types import I16, I32, I64, U16, Record, Records, Span, i32, i64, offset_of, u8, u16, u32

MAX_MODELS = 1024
MAX_TENANTS = 256
MAX_REGIONS = 64
MAX_ENDPOINTS = (MAX_REGIONS + 1) * MAX_MODELS
"""Each model in each region, and once more for requests that name none."""
MAX_FALLBACKS = 4
MAX_REASONS = 64
MAX_SESSIONS = 512
"""How many requests may be under way at once in one instance."""
MAX_CANDIDATES = MAX_FALLBACKS + 2
"""Whom a session may call: the chain, and the best model with live retrieval outside it."""
RECENT_CHUNKS = 64


class Request(Record):
    """One request. A span of length 0 and a number 0 stand for "not said".

    `messages`: a list of Message. `needs`: bits by NEEDS. `budget`: picodollars for the whole request.
    `latency_slo_ms`: milliseconds to the first token. `at_ms`: Unix time. `session_model`: who answered last in this
    conversation, and holds `cached_tokens` of its prompt in a cache. `model`: the only one that may answer. `stream`: 1
    where the answer is read while it is written.
    """

    id: Span
    messages: Span
    region: Span
    tenant: Span
    session: Span
    session_model: Span
    model: Span
    needs: u8
    tier: u8
    objective: u8
    stream: u8
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


class Event(Record):
    """What happened to a call: `kind` is an index into EVENTS, `at_ms` Unix time. What a kind does not have is 0.

    headers: `status`, an HTTP status; `retry_after_ms`. chunk: `text`, what it adds to the answer; `tokens`, 0 where
    unknown; `logprobs`, the natural log-probabilities of its tokens in thousandths; `tool`: 1 where it carries a part
    of a tool call. end: `finish`, an index into FINISHES; `input_tokens` and `output_tokens` as the upstream counts
    them. fault: `fault`, an index into FAULTS.
    """

    session: u32
    kind: u8
    at_ms: i64
    status: u16
    retry_after_ms: u32
    text: Span
    tokens: u32
    logprobs: Span
    tool: u8
    finish: u8
    fault: u8
    input_tokens: u32
    output_tokens: u32


class Action(Record):
    """What the host does next: indexes into ACTIONS, SESSION_REASONS and FINISHES.

    `show`: how many chunks of the call under way the client may have seen. `model`, `resume`, `not_before_ms`: of a new
    call. `deadline_ms`: when to send a timer event, 0 never. `finish`, `input_tokens`, `output_tokens`: what the client
    is told at the end. `cost`: picodollars, for all calls so far. `observed`: a list of the Observation that was taken
    in, if any.
    """

    kind: u8
    session: u32
    reason: u8
    model: Span
    resume: u8
    show: u32
    not_before_ms: i64
    deadline_ms: i64
    finish: u8
    input_tokens: u32
    output_tokens: u32
    cost: i64
    observed: Span


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
    observed: i32


class Candidate(Record):
    """A model that a session may call: from when on, how often it was called, and 1 where it is not called again."""

    available_at: i64
    model: i32
    calls: u8
    excluded: u8


class Session(Record):
    """One request under way. All zero: free. Times are Unix ms, money is in picodollars.

    `deadline_at`: of the whole request. Of the call under way: `call_at`, when it began; `patience_at`, until when its
    first token is waited for; `first_at`, when that came (0: not yet); `heard_at`, when it was heard of last. `now`:
    the latest time that was said. `budget`: for the whole request, 0: no limit; `spent`: by calls that have ended.
    `id`: as hosts name it; `generation`: of the policy under which it was opened. `region`, `tenant`: -1 for none.

    `received`, `shown`: chunks of the call under way; `text_from`, `tool_from`: the first of them with text and with a
    tool call, 0: none. `tokens`, `shown_tokens`: the same in tokens. `prefix_tokens`: what earlier calls have shown.
    `input_tokens`, `output_tokens`: of the whole request, as expected; `cached_model` (-1: none) has `cached_tokens` of
    the prompt in its cache. `language`: what the answer should be in, -1: any.

    `state`: an index into STATES. `current`: the candidate that is being called. `level`: an index into the policy's
    monitor levels. `streams`: 0 holds everything back to the end. `shown_before`: 1 where an earlier call has shown
    text. `muted`: 1 where the monitor found what no other model can mend. `chunk_tokens`, `chunk_at` (ms after
    `call_at`): of the newest chunks, by their number modulo RECENT_CHUNKS.
    """

    deadline_at: i64
    call_at: i64
    patience_at: i64
    first_at: i64
    heard_at: i64
    now: i64
    budget: i64
    spent: i64
    id: u32
    generation: u32
    region: i32
    tenant: i32
    received: u32
    shown: u32
    text_from: u32
    tool_from: u32
    tokens: u32
    shown_tokens: u32
    prefix_tokens: u32
    input_tokens: u32
    output_tokens: u32
    cached_tokens: u32
    cached_model: i32
    language: i32
    state: u8
    candidate_count: u8
    current: u8
    level: u8
    streams: u8
    expects_json: u8
    shown_before: u8
    muted: u8
    chunk_tokens: Annotated[U16, RECENT_CHUNKS]
    chunk_at: Annotated[I32, RECENT_CHUNKS]
    candidates: Annotated[Records[Candidate], MAX_CANDIDATES]
    monitor: Monitor


class Scene(Record):
    """What the worth of every model depends on, worked out once for a request.

    `named`: the only model that may answer, NO_NAME where the request names none, UNKNOWN_NAME where it names one that
    the policy does not know. `region`: -1 where unknown; `row`: its first endpoint; `unknown_region`: 1 where some
    regions are strict and the request names none of the policy's. `tenant`, `session_model`: -1 where there is none.
    `tenant_left`: picodollars, -1 without a limit. `needs`: bits, the request's own and those that its signals bring.
    `request_hash`: what deterministic shares are drawn by. `target`, `saving`: the target quality and the target
    saving, 0 where worth decides.
    The rest is what expected quality is read by; `language`: -1 where it is not sure.
    """

    now: i64
    tenant_left: i64
    cached_tokens: i64
    request_hash: i64
    objective: i32
    region: i32
    row: i32
    unknown_region: i32
    tenant: i32
    session_model: i32
    named: i32
    needs: i32
    target: i32
    saving: i32
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
    action: Action
    chain: Annotated[Records[Span], MAX_FALLBACKS + 1]
    reasons: Annotated[Records[Reason], MAX_REASONS]
    chain_models: Annotated[I32, MAX_FALLBACKS + 1]
    chain_length: i32
    reason_count: i32
    observation: Observation
    observed: Observation
    event: Event
    generation: u32
    opened: u32
    snapshot: Span
    live: Live


assert offset_of(Memory, "live") + Live.size == Memory.size
assert offset_of(Memory, "decision") + Decision.size == offset_of(
    Memory, "action"
)  # together they are the ABI's opening
