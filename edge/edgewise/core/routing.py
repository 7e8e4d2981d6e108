"""One decision: the order in which a request is read, classified, and given its model."""

from edgewise.core.classifier import classify, is_valid
from edgewise.core.endpoints import Endpoint
from edgewise.core.labels import (
    DOMAIN_COUNT,
    REASON_INPUT_CUT,
    ROLE_USER,
    STATUS_EMPTY_REQUEST,
    STATUS_NO_POLICY,
    STATUS_WRONG_WEIGHTS,
    TASK_COUNT,
)
from edgewise.core.language import identify
from edgewise.core.layout import MAX_FALLBACKS, MAX_REASONS, Decision, Memory, Request, Weights
from edgewise.core.policy import POLICY_MAGIC, Model, Policy, Tenant
from edgewise.core.selection import choose, note
from edgewise.core.signals import count_input_tokens, derive_task, expect_output_tokens, last_turn_tokens
from edgewise.core.spans import clear_span
from edgewise.core.transcript import Message, read_ask
from edgewise.core.types import U8, Records, Span

SPAN_BYTES = Span.size


def route(
    memory: Memory,
    weights: Weights,
    policy: Policy,
    models: Records[Model],
    tenants: Records[Tenant],
    endpoints: Records[Endpoint],
    strings: U8,
    request: Request,
    messages: Records[Message],
    text: U8,
) -> None:
    """Decide one request; the decision stands in `memory.decision`, its lists in `memory.chain` and `memory.reasons`.

    `strings`: the policy blob, in which names and regions stand; `text`: the buffer in which the request's spans point.
    """
    _clear(memory)
    if policy.magic != POLICY_MAGIC:
        memory.decision.status = STATUS_NO_POLICY
        return
    if not is_valid(weights.classifier):
        memory.decision.status = STATUS_WRONG_WEIGHTS
        return
    if len(messages) == 0:
        memory.decision.status = STATUS_EMPTY_REQUEST
        return
    read_ask(messages, text, memory.ask)
    classify(memory.ask, weights.classifier, memory.classifier, memory.scores)
    _identify_language(memory, weights)
    _set_signals(request, messages, text, policy, memory)
    choose(request, policy, models, tenants, endpoints, strings, text, memory)
    _close_lists(memory)


def _clear(memory: Memory) -> None:
    decision = memory.decision
    clear_span(decision.model)
    clear_span(decision.runner_up)
    clear_span(decision.fallbacks)
    clear_span(decision.reasons)
    decision.margin = 0
    decision.cost = 0
    decision.ttft_ms = 0
    decision.dropped = 0
    _clear_signals(decision)
    memory.chain_length = 0
    memory.reason_count = 0


def _clear_signals(decision: Decision) -> None:
    """A request that is not read shows nothing of the request before it."""
    for task in range(TASK_COUNT):
        decision.task_scores[task] = 0
    decision.task = 0
    decision.cluster = 0
    decision.domain = 0
    decision.domain_score = 0
    decision.code = 0
    decision.difficulty = 0
    decision.recency = 0
    decision.harm = 0
    decision.jailbreak = 0
    decision.pii = 0
    decision.language = 0
    decision.language_score = 0
    decision.script = 0
    decision.confidence = 0
    decision.abstained = 0
    decision.truncated = 0
    decision.user_turns = 0
    decision.input_tokens = 0
    decision.output_tokens = 0


def _identify_language(memory: Memory, weights: Weights) -> None:
    """The language of the newest turn that says anything."""
    ask = memory.ask
    length = ask.segments[0].length if ask.segment_count > 0 else 0
    identify(ask.text, 0, length, weights.language, memory.language, memory.spoken)
    memory.decision.language = memory.spoken.language
    memory.decision.language_score = memory.spoken.score
    memory.decision.script = memory.spoken.script


def _set_signals(request: Request, messages: Records[Message], text: U8, policy: Policy, memory: Memory) -> None:
    decision = memory.decision
    scores = memory.scores
    for task in range(TASK_COUNT):
        decision.task_scores[task] = scores.task[task]
    derive_task(decision)
    decision.domain = 0
    for domain in range(1, DOMAIN_COUNT):
        if scores.domain[domain] > scores.domain[decision.domain]:
            decision.domain = domain
    decision.domain_score = scores.domain[decision.domain]
    decision.code = scores.code
    decision.difficulty = scores.difficulty
    decision.recency = scores.recency
    decision.harm = scores.harm
    decision.jailbreak = scores.jailbreak
    decision.pii = scores.pii
    threshold = policy.abstain_below if policy.abstain_below > 0 else scores.abstain_below
    decision.abstained = 1 if memory.ask.segment_count == 0 or decision.confidence < threshold else 0
    decision.truncated = memory.ask.truncated
    decision.user_turns = memory.ask.user_turns
    decision.input_tokens = count_input_tokens(messages, text)
    ask_tokens = last_turn_tokens(messages, text, ROLE_USER)
    decision.output_tokens = expect_output_tokens(decision.task, ask_tokens, request.max_output_tokens)
    if decision.truncated == 1:
        note(REASON_INPUT_CUT, ask_tokens, memory)


def _close_lists(memory: Memory) -> None:
    decision = memory.decision
    decision.fallbacks.start = memory.addresses.chain + SPAN_BYTES
    decision.fallbacks.length = max(0, min(memory.chain_length - 1, MAX_FALLBACKS))
    decision.reasons.start = memory.addresses.reasons
    decision.reasons.length = min(memory.reason_count, MAX_REASONS)
