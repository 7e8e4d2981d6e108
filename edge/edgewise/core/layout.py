"""The memory layout: what crosses the boundary (request, decision), and everything the core keeps in between.

`Request`, `Message`, `Decision` and `Reason` have the layout that the canonical ABI gives to the records of the same
names in `edge/wit/`: the compiled component reads and writes them in place.
"""

from typing import Annotated

from edgewise.core.classifier import ClassifierScratch, ClassifierWeights, Scores
from edgewise.core.labels import TASK_COUNT
from edgewise.core.language import LanguageResult, LanguageScratch, LanguageTable
from edgewise.core.transcript import Ask
from edgewise.core.types import I32, I64, U16, Record, Records, Span, i32, i64, u8, u16, u32

MAX_MODELS = 1024
MAX_FALLBACKS = 4
MAX_REASONS = 64


class Request(Record):
    """One request. A span of length 0 and a number 0 stand for "not said".

    `messages`: a list of Message. `needs`: bits by NEEDS. `budget`: picodollars for the whole request.
    `latency_slo_ms`: milliseconds to the first token. `at_ms`: Unix time.
    """

    id: Span
    messages: Span
    region: Span
    tenant: Span
    session: Span
    needs: u8
    tier: u8
    objective: u8
    max_output_tokens: u32
    latency_slo_ms: u32
    budget: i64
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


class Memory(Record):
    """Everything the core writes to."""

    addresses: Addresses
    ask: Ask
    classifier: ClassifierScratch
    scores: Scores
    language: LanguageScratch
    spoken: LanguageResult
    utilities: Annotated[I64, MAX_MODELS]
    decision: Decision
    chain: Annotated[Records[Span], MAX_FALLBACKS + 1]
    reasons: Annotated[Records[Reason], MAX_REASONS]
    chain_models: Annotated[I32, MAX_FALLBACKS + 1]
    chain_length: i32
    reason_count: i32
