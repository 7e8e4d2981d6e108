"""The session: what a host does next for a request under way, from its decision to the end of its answer.

A session is opened with a decision and calls its models one after the other until one has answered. The host reports
what happens (EVENTS) and does what comes back (ACTIONS). Where nothing of an answer was shown, the next model starts
from scratch; where the client has seen text, it goes on from there. docs/sessions.md shows the states as a table.
"""

from edgewise.core.endpoints import (
    CIRCUIT_OPEN,
    COOLING_DOWN,
    MAX_TIME,
    OUTCOME_ERROR,
    OUTCOME_OK,
    OUTCOME_RATE_LIMITED,
    OUTCOME_TIMEOUT,
    TOKENS_PER_S_SCALE,
    Endpoint,
    expected_ttft,
    health,
)
from edgewise.core.labels import DOMAIN_COUNT as _DOMAIN_COUNT
from edgewise.core.labels import NEED_JSON, NEED_LIVE_RETRIEVAL, STATUS_OK, TASK_TRANSLATE
from edgewise.core.layout import (
    MAX_CANDIDATES,
    MAX_MODELS,
    MAX_SESSIONS,
    RECENT_CHUNKS,
    Event,
    Memory,
    Request,
    Session,
    Weights,
)
from edgewise.core.live import take_in
from edgewise.core.phrases import names_language
from edgewise.core.policy import NO_MODEL, Model, Policy, Tenant, prior_of
from edgewise.core.selection import INFEASIBLE
from edgewise.core.spans import clear_span, set_name
from edgewise.core.stream import (
    FINDING_BROKEN_JSON,
    FINDING_EMPTY,
    FINDING_NOTHING,
    FINDING_REFUSAL,
    FINDING_STALE_KNOWLEDGE,
    FINDINGS,
    begin,
    close,
    watch,
)
from edgewise.core.tokens import estimate
from edgewise.core.types import I32, U8, Records

STATES = ("free", "calling", "waiting", "holding", "showing")
FREE, CALLING, WAITING, HOLDING, SHOWING = range(len(STATES))

EVENTS = ("headers", "chunk", "end", "fault", "timer", "gone")
EVENT_HEADERS, EVENT_CHUNK, EVENT_END, EVENT_FAULT, EVENT_TIMER, EVENT_GONE = range(len(EVENTS))

FAULTS = ("none", "unreachable", "cut", "malformed", "too_large", "wrong_type")
FAULT_NONE, FAULT_UNREACHABLE, FAULT_CUT, FAULT_MALFORMED, FAULT_TOO_LARGE, FAULT_WRONG_TYPE = range(len(FAULTS))

FINISHES = ("none", "stop", "length", "tool_calls", "content_filter")
FINISH_NONE, FINISH_STOP, FINISH_LENGTH, FINISH_TOOL_CALLS, FINISH_CONTENT_FILTER = range(len(FINISHES))

ACTIONS = ("call", "forward", "hold", "finish", "fail")
CALL, FORWARD, HOLD, FINISH, FAIL = range(len(ACTIONS))

SESSION_REASONS = (
    "decided",
    "answering",
    "held_back",
    "answered",
    "unreachable",
    "cut",
    "server_error",
    "rate_limited",
    "refused",
    "late",
    "stalled",
    "malformed",
    "too_large",
    "wrong_type",
    "empty",
    "low_confidence",
    "repetition",
    "refusal",
    "language_drift",
    "broken_json",
    "stale_knowledge",
    "budget_spent",
    "time_up",
    "client_gone",
    "no_decision",
    "unknown_session",
    "too_many_sessions",
)
(
    BECAUSE_DECIDED,
    BECAUSE_ANSWERING,
    BECAUSE_HELD_BACK,
    BECAUSE_ANSWERED,
    BECAUSE_UNREACHABLE,
    BECAUSE_CUT,
    BECAUSE_SERVER_ERROR,
    BECAUSE_RATE_LIMITED,
    BECAUSE_REFUSED,
    BECAUSE_LATE,
    BECAUSE_STALLED,
    BECAUSE_MALFORMED,
    BECAUSE_TOO_LARGE,
    BECAUSE_WRONG_TYPE,
    BECAUSE_EMPTY,
    BECAUSE_LOW_CONFIDENCE,
    BECAUSE_REPETITION,
    BECAUSE_REFUSAL,
    BECAUSE_LANGUAGE_DRIFT,
    BECAUSE_BROKEN_JSON,
    BECAUSE_STALE_KNOWLEDGE,
    BECAUSE_BUDGET_SPENT,
    BECAUSE_TIME_UP,
    BECAUSE_CLIENT_GONE,
    BECAUSE_NO_DECISION,
    BECAUSE_UNKNOWN_SESSION,
    BECAUSE_TOO_MANY_SESSIONS,
) = range(len(SESSION_REASONS))

_REASON_OF_FAULT = (
    BECAUSE_CUT,
    BECAUSE_UNREACHABLE,
    BECAUSE_CUT,
    BECAUSE_MALFORMED,
    BECAUSE_TOO_LARGE,
    BECAUSE_WRONG_TYPE,
)
_REASON_OF_FINDING = (
    BECAUSE_ANSWERING,
    BECAUSE_EMPTY,
    BECAUSE_LOW_CONFIDENCE,
    BECAUSE_REPETITION,
    BECAUSE_REFUSAL,
    BECAUSE_LANGUAGE_DRIFT,
    BECAUSE_BROKEN_JSON,
    BECAUSE_STALE_KNOWLEDGE,
)
assert len(_REASON_OF_FINDING) == len(FINDINGS)

_NOTHING_TO_OBSERVE = -1
_SLOT_BITS = 10
_SERIAL_MASK = (1 << 21) - 1
_FORGOTTEN_MS = 60_000
"""A session whose host is silent for so long after its deadline makes room for another."""
_MIN_PATIENCE_MS = 1_000
_PATIENCE_FACTOR = 3
_SLOWEST_TOKENS_PER_S = 10
_MIN_TOKENS_FOR_SPEED = 8
_LAST_RESORT_MS = 1 << 40
_MAX_U16 = (1 << 16) - 1
_MAX_I32 = (1 << 31) - 1
_MAX_U32 = (1 << 32) - 1
_MAX_TOKENS = 60_000_000
"""What a call counts at most, so that no price of it passes 2**62 picodollars."""
_MAX_SPENT = 1 << 61


def open_session(
    memory: Memory,
    policy: Policy,
    models: Records[Model],
    tenants: Records[Tenant],
    endpoints: Records[Endpoint],
    strings: U8,
    sessions: Records[Session],
    request: Request,
) -> None:
    """Open a session for a request that has just been decided; `memory.action` says whom to call first.

    Where there is no model to call, or no room for a session, the action is to fail.
    """
    _clear_action(memory)
    if memory.decision.status != STATUS_OK:
        _act(FAIL, BECAUSE_NO_DECISION, memory)
        return
    slot = _find_room(sessions, memory)
    if slot < 0:
        _act(FAIL, BECAUSE_TOO_MANY_SESSIONS, memory)
        return
    session = sessions[slot]
    _set_up(session, slot, request, policy, memory)
    _list_candidates(session, models, memory)
    _call_next(BECAUSE_DECIDED, session, policy, models, endpoints, strings, memory)


def _find_room(sessions: Records[Session], memory: Memory) -> int:
    """A free slot, or one whose session was forgotten by its host; -1 where there is none."""
    count = min(len(sessions), MAX_SESSIONS)
    for step in range(count):
        slot = (memory.opened + step) % count
        session = sessions[slot]
        if session.state == FREE or session.generation != memory.generation:
            return slot
        if memory.scene.now > session.deadline_at + _FORGOTTEN_MS:
            return slot
    return -1


def _set_up(session: Session, slot: int, request: Request, policy: Policy, memory: Memory) -> None:
    scene = memory.scene
    decision = memory.decision
    memory.opened = (memory.opened + 1) & _SERIAL_MASK
    session.id = memory.opened << _SLOT_BITS | slot + 1
    session.generation = memory.generation
    session.now = scene.now
    session.deadline_at = scene.now + policy.session.total_ms
    session.budget = _smaller_limit(request.budget, scene.tenant_left)
    session.spent = 0
    session.region = scene.region
    session.tenant = scene.tenant
    session.prefix_tokens = 0
    session.shown_before = 0
    session.input_tokens = decision.input_tokens
    session.output_tokens = decision.output_tokens
    session.cached_model = scene.session_model
    session.cached_tokens = scene.cached_tokens
    any_language = decision.task == TASK_TRANSLATE or names_language(memory.ask.text, memory.ask.length)
    session.language = -1 if any_language else scene.language
    session.streams = request.stream
    session.expects_json = 1 if request.needs & NEED_JSON != 0 else 0
    session.level = policy.level_of[decision.task * _DOMAIN_COUNT + decision.domain]


def _smaller_limit(budget: int, tenant_left: int) -> int:
    """The smaller of the two amounts; 0 where neither is limited, and at least 1 otherwise."""
    if tenant_left < 0:
        return budget
    return max(1, min(budget, tenant_left) if budget > 0 else tenant_left)


def _list_candidates(session: Session, models: Records[Model], memory: Memory) -> None:
    """The chain in its order; and for stale knowledge the best model with live retrieval outside it."""
    count = min(memory.chain_length, MAX_CANDIDATES - 1)
    for place in range(count):
        _add_candidate(session, place, memory.chain_models[place])
    session.candidate_count = count
    live = NO_MODEL
    for index in range(min(len(models), MAX_MODELS)):
        if models[index].abilities & NEED_LIVE_RETRIEVAL == 0 or memory.utilities[index] == INFEASIBLE:
            continue
        if live == NO_MODEL or memory.utilities[index] > memory.utilities[live]:
            live = index
    for place in range(count):
        if session.candidates[place].model == live:
            return
    if live != NO_MODEL:
        _add_candidate(session, count, live)
        session.candidate_count = count + 1


def _add_candidate(session: Session, place: int, model: int) -> None:
    candidate = session.candidates[place]
    candidate.model = model
    candidate.available_at = 0
    candidate.calls = 0
    candidate.excluded = 0


def advance(
    memory: Memory,
    weights: Weights,
    policy: Policy,
    models: Records[Model],
    tenants: Records[Tenant],
    endpoints: Records[Endpoint],
    strings: U8,
    sessions: Records[Session],
    event: Event,
    text: U8,
    numbers: I32,
) -> None:
    """Take in an event; what the host does next stands in `memory.action`.

    `text` and `numbers`: the buffers in which the event's text and its log-probabilities stand. An event that does not
    belong to the session's state changes nothing.
    """
    _clear_action(memory)
    slot = (event.session & (1 << _SLOT_BITS) - 1) - 1
    if not 0 <= slot < min(len(sessions), MAX_SESSIONS) or not _is_open(sessions[slot], event.session, memory):
        memory.action.session = event.session
        _act(FAIL, BECAUSE_UNKNOWN_SESSION, memory)
        return
    session = sessions[slot]
    session.now = max(session.now, min(max(event.at_ms, 0), MAX_TIME))
    kind = event.kind
    if kind == EVENT_GONE:
        _leave(session, models, memory)
    elif kind == EVENT_HEADERS and session.state == CALLING:
        _read_headers(event, session, policy, models, memory)
    elif kind == EVENT_CHUNK and session.state >= WAITING:
        _read_chunk(event, text, numbers, session, weights, policy, models, endpoints, memory)
    elif kind == EVENT_END and session.state >= WAITING:
        _read_end(event, session, policy, models, endpoints, memory)
    elif kind == EVENT_FAULT and event.fault < len(FAULTS):
        _fail_over(_REASON_OF_FAULT[event.fault], OUTCOME_ERROR, 1, session, policy, models, memory)
    elif kind == EVENT_TIMER:
        _read_clock(session, policy, models, memory)
    else:
        _go_on(session, policy, memory)
    if memory.action.observed.length > 0:
        _report(session, policy, models, tenants, endpoints, strings, memory)
    if memory.action.kind == CALL:
        _call_next(memory.action.reason, session, policy, models, endpoints, strings, memory)


def _is_open(session: Session, name: int, memory: Memory) -> bool:
    return session.state != FREE and session.id == name and session.generation == memory.generation


def _read_headers(event: Event, session: Session, policy: Policy, models: Records[Model], memory: Memory) -> None:
    """2xx: the answer follows. 429: a pause. 408 and 5xx: a failure that may pass. All others will not pass."""
    status = event.status
    if 200 <= status < 300:
        session.state = WAITING
        session.heard_at = session.now
        _go_on(session, policy, memory)
        return
    candidate = session.candidates[session.current]
    pause = event.retry_after_ms
    if status == 429:
        pause = pause if pause > 0 else policy.rules.cooldown_ms
    candidate.available_at = min(session.now + pause, 2 * MAX_TIME)
    outcome = OUTCOME_ERROR
    reason = BECAUSE_SERVER_ERROR
    if status == 429:
        outcome = OUTCOME_RATE_LIMITED
        reason = BECAUSE_RATE_LIMITED
    elif status != 408 and status < 500:
        candidate.excluded = 1
        reason = BECAUSE_REFUSED
        if not 401 <= status <= 404:
            outcome = _NOTHING_TO_OBSERVE  # the fault lies with the request
    memory.observed.retry_after_ms = event.retry_after_ms
    _fail_over(reason, outcome, 0, session, policy, models, memory)


def _read_chunk(
    event: Event,
    text: U8,
    numbers: I32,
    session: Session,
    weights: Weights,
    policy: Policy,
    models: Records[Model],
    endpoints: Records[Endpoint],
    memory: Memory,
) -> None:
    _count_chunk(event, text, session)
    rules = policy.levels[session.level]
    finding = FINDING_NOTHING
    if session.muted == 0:
        finding = watch(
            session.monitor,
            rules,
            text,
            event.text.start,
            event.text.length,
            numbers,
            event.logprobs.start >> 2,
            event.logprobs.length,
            weights.language,
            memory.language,
            memory.spoken,
        )
    if finding != FINDING_NOTHING and _can_mend(finding, session, policy, models, endpoints):
        _replace(finding, session, policy, models, memory)
    elif session.budget > 0 and session.spent + _cost_so_far(session, models) > session.budget:
        _finish(BECAUSE_BUDGET_SPENT, FINISH_LENGTH, 0, 0, session, models, memory)
    else:
        _go_on(session, policy, memory)


def _count_chunk(event: Event, text: U8, session: Session) -> None:
    tokens = event.tokens
    if tokens == 0 and event.text.length > 0:
        tokens = estimate(text, event.text.start, event.text.length)
    session.received += 1
    session.heard_at = session.now
    place = session.received % RECENT_CHUNKS
    session.chunk_tokens[place] = min(tokens, _MAX_U16)
    session.chunk_at[place] = min(session.now - session.call_at, _MAX_I32)
    session.tokens = min(session.tokens + tokens, _MAX_TOKENS)
    if event.text.length > 0 and session.text_from == 0:
        session.text_from = session.received
    if event.tool != 0 and session.tool_from == 0:
        session.tool_from = session.received
    if session.state == WAITING and (tokens > 0 or event.tool != 0):
        session.state = HOLDING
        session.first_at = session.now


def _read_end(
    event: Event,
    session: Session,
    policy: Policy,
    models: Records[Model],
    endpoints: Records[Endpoint],
    memory: Memory,
) -> None:
    """The upstream said that it has finished, or its stream just ended."""
    if event.finish == FINISH_NONE or event.finish >= len(FINISHES):
        _fail_over(BECAUSE_CUT, OUTCOME_ERROR, 1, session, policy, models, memory)
        return
    finding = close(session.monitor, policy.levels[session.level]) if event.finish == FINISH_STOP else FINDING_NOTHING
    if event.finish == FINISH_CONTENT_FILTER and session.text_from == 0:
        finding = FINDING_REFUSAL
    if finding == FINDING_EMPTY and (session.tool_from > 0 or session.shown_before == 1):
        finding = FINDING_NOTHING
    if finding == FINDING_EMPTY and session.text_from == 0:
        _fail_over(BECAUSE_EMPTY, OUTCOME_ERROR, 0, session, policy, models, memory)
    elif finding != FINDING_NOTHING and _can_mend(finding, session, policy, models, endpoints):
        _replace(finding, session, policy, models, memory)
    else:
        _finish(BECAUSE_ANSWERED, event.finish, event.input_tokens, event.output_tokens, session, models, memory)


def _read_clock(session: Session, policy: Policy, models: Records[Model], memory: Memory) -> None:
    """A deadline may have passed: of the request, of the first token, of the next chunk, or of what is held back."""
    if session.now >= session.deadline_at:
        _close_call(OUTCOME_TIMEOUT, session, models, memory)
        memory.action.show = session.shown
        _end(FAIL, BECAUSE_TIME_UP, session, memory)
    elif session.state <= WAITING and session.now >= session.patience_at:
        _fail_over(BECAUSE_LATE, OUTCOME_TIMEOUT, 0, session, policy, models, memory)
    elif session.state >= HOLDING and session.now >= session.heard_at + policy.session.stall_ms:
        _fail_over(BECAUSE_STALLED, OUTCOME_TIMEOUT, 1, session, policy, models, memory)
    else:
        _go_on(session, policy, memory)


def _leave(session: Session, models: Records[Model], memory: Memory) -> None:
    """The client is gone: what it read is paid for, and says nothing against the model."""
    outcome = OUTCOME_OK if session.first_at > 0 else _NOTHING_TO_OBSERVE
    _close_call(outcome, session, models, memory)
    memory.action.show = session.shown
    _end(FINISH, BECAUSE_CLIENT_GONE, session, memory)


def _can_mend(
    finding: int, session: Session, policy: Policy, models: Records[Model], endpoints: Records[Endpoint]
) -> bool:
    """Whether another model can do better: broken JSON and a refusal that were shown cannot be taken back.

    What cannot be mended is not looked for again.
    """
    shown = session.shown_before == 1 or (session.text_from > 0 and session.shown >= session.text_from)
    stays = shown and (finding == FINDING_BROKEN_JSON or finding == FINDING_REFUSAL)
    only_live = 1 if finding == FINDING_STALE_KNOWLEDGE else 0
    if not stays and _next_candidate(session, 1, only_live, policy, models, endpoints) >= 0:
        return True
    session.muted = 1
    return False


def _replace(finding: int, session: Session, policy: Policy, models: Records[Model], memory: Memory) -> None:
    """Give the answer to another model: what is held back is dropped. The endpoint did its part, so it counts as ok."""
    session.candidates[session.current].excluded = 1
    if finding == FINDING_STALE_KNOWLEDGE:
        for place in range(session.candidate_count):
            if models[session.candidates[place].model].abilities & NEED_LIVE_RETRIEVAL == 0:
                session.candidates[place].excluded = 1
    _fail_over(_REASON_OF_FINDING[finding], OUTCOME_OK, 0, session, policy, models, memory)


def _fail_over(
    reason: int,
    outcome: int,
    keeps_text: int,
    session: Session,
    policy: Policy,
    models: Records[Model],
    memory: Memory,
) -> None:
    """End the call under way, so that the next model is called.

    `keeps_text`: 1 where what is held back is a good beginning, to be shown and gone on from if the client has seen
    any of the answer already.
    """
    candidate = session.candidates[session.current]
    backoff = policy.session.backoff_ms << min(max(0, candidate.calls - 1), 10)
    candidate.available_at = max(candidate.available_at, session.now + backoff)
    _close_call(outcome, session, models, memory)
    _keep_shown(keeps_text, session, memory)
    _act(CALL, reason, memory)


def _keep_shown(keeps_text: int, session: Session, memory: Memory) -> None:
    """Count what the client has seen of the call that ended into what the next one goes on from."""
    if session.text_from > 0 and session.shown >= session.text_from:
        session.shown_before = 1
    if keeps_text == 1 and session.shown_before == 1 and session.streams == 1:
        session.shown = _last_showable(session)
        session.shown_tokens = session.tokens
    memory.action.show = session.shown
    if session.shown_before == 1:
        session.prefix_tokens = min(session.prefix_tokens + session.shown_tokens, _MAX_TOKENS)


def _last_showable(session: Session) -> int:
    """The last chunk before a tool call: half a tool call cannot be gone on from."""
    return session.tool_from - 1 if session.tool_from > 0 else session.received


def _call_next(
    reason: int,
    session: Session,
    policy: Policy,
    models: Records[Model],
    endpoints: Records[Endpoint],
    strings: U8,
    memory: Memory,
) -> None:
    """Call the next candidate; without one, fail for the reason that ended the last call."""
    place = _next_candidate(session, 0, 0, policy, models, endpoints)
    if place < 0:
        _end(FAIL, reason, session, memory)
        return
    candidate = session.candidates[place]
    session.call_at = session.now + _wait_for(session, place, endpoints, models)
    candidate.calls += 1
    session.current = place
    session.state = CALLING
    session.heard_at = session.call_at
    session.patience_at = session.call_at + _patience(session, policy, models, endpoints, strings)
    _clear_call(session)
    action = memory.action
    set_name(action.model, models[candidate.model].name, memory)
    action.resume = session.shown_before
    action.not_before_ms = session.call_at if session.call_at > session.now else 0
    action.session = session.id
    action.cost = session.spent
    action.deadline_ms = min(session.patience_at, session.deadline_at)
    _act(CALL, reason, memory)


def _clear_call(session: Session) -> None:
    session.first_at = 0
    session.received = 0
    session.shown = 0
    session.text_from = 0
    session.tool_from = 0
    session.tokens = 0
    session.shown_tokens = 0
    session.muted = 0
    begin(session.monitor, session.language, session.expects_json if session.shown_before == 0 else 0)


def _next_candidate(
    session: Session,
    but_current: int,
    only_live: int,
    policy: Policy,
    models: Records[Model],
    endpoints: Records[Endpoint],
) -> int:
    """Whom to call next, -1 where nobody is left: who can be called soonest; of these who was called least often.

    `but_current`: 1 leaves out the one that is being called. `only_live`: 1 asks for live retrieval.
    """
    best = -1
    best_wait = 0
    for place in range(session.candidate_count):
        candidate = session.candidates[place]
        if (but_current == 1 and place == session.current) or not _may_call(session, place, policy, models):
            continue
        if only_live == 1 and models[candidate.model].abilities & NEED_LIVE_RETRIEVAL == 0:
            continue
        wait = _wait_for(session, place, endpoints, models)
        if session.now + wait >= session.deadline_at:
            continue
        wait += _reluctance(session, place, endpoints, models)
        if best < 0 or wait < best_wait or (wait == best_wait and candidate.calls < session.candidates[best].calls):
            best = place
            best_wait = wait
    return best


def _may_call(session: Session, place: int, policy: Policy, models: Records[Model]) -> bool:
    """Whether the candidate has attempts left, and what remains of the budget pays at least for reading the prompt."""
    candidate = session.candidates[place]
    if candidate.excluded != 0 or candidate.calls >= policy.session.attempts:
        return False
    prompt = models[candidate.model].price_in * (session.input_tokens + session.prefix_tokens)
    return session.budget == 0 or session.spent == 0 or session.spent + prompt < session.budget


def _endpoint_of(session: Session, place: int, models: Records[Model]) -> int:
    return (session.region + 1) * min(len(models), MAX_MODELS) + session.candidates[place].model


def _wait_for(session: Session, place: int, endpoints: Records[Endpoint], models: Records[Model]) -> int:
    """Milliseconds until the candidate may be called: its backoff, and the pause that its provider asked for."""
    endpoint = endpoints[_endpoint_of(session, place, models)]
    at = session.candidates[place].available_at
    if health(endpoint, session.now) == COOLING_DOWN:
        at = max(at, endpoint.blocked_until)
    return max(0, at - session.now)


def _reluctance(session: Session, place: int, endpoints: Records[Endpoint], models: Records[Model]) -> int:
    """An endpoint whose circuit opened meanwhile is called when nobody else is left."""
    endpoint = endpoints[_endpoint_of(session, place, models)]
    return _LAST_RESORT_MS if health(endpoint, session.now) == CIRCUIT_OPEN else 0


def _patience(
    session: Session, policy: Policy, models: Records[Model], endpoints: Records[Endpoint], strings: U8
) -> int:
    """How long the first token is waited for, in ms: where another model is left, a few times what is usual here."""
    most = policy.session.first_token_ms
    if session.streams == 0:
        most = policy.session.total_ms
    if _next_candidate(session, 1, 0, policy, models, endpoints) < 0:
        return most
    at = _endpoint_of(session, session.current, models)
    endpoint = endpoints[at]
    model = models[session.candidates[session.current].model]
    prior = prior_of(policy, model, at, strings)
    usual = max(endpoint.p95_ms, expected_ttft(endpoint, prior, session.now, policy.rules))
    if session.streams == 0:
        speed = max(_SLOWEST_TOKENS_PER_S, endpoint.tokens_per_s // TOKENS_PER_S_SCALE)
        usual += session.output_tokens * 1000 // speed
    return min(most, max(_MIN_PATIENCE_MS, _PATIENCE_FACTOR * usual))


def _cost_so_far(session: Session, models: Records[Model]) -> int:
    """What the call under way has cost, in picodollars: nothing before the upstream accepted it."""
    if session.state <= CALLING:
        return 0
    called = session.candidates[session.current].model
    model = models[called]
    cached = min(session.cached_tokens, session.input_tokens) if called == session.cached_model else 0
    fresh = session.input_tokens + session.prefix_tokens - cached
    return model.price_in * fresh + model.price_cached_in * cached + model.price_out * session.tokens


def _close_call(outcome: int, session: Session, models: Records[Model], memory: Memory) -> None:
    """Add what the call cost, and write down how it went; `memory.observed.retry_after_ms` is set already."""
    cost = _cost_so_far(session, models)
    session.spent = min(session.spent + cost, _MAX_SPENT)
    memory.action.cost = session.spent
    if outcome == _NOTHING_TO_OBSERVE and cost == 0:
        return
    observed = memory.observed
    observed.outcome = outcome if outcome != _NOTHING_TO_OBSERVE else OUTCOME_OK
    observed.ttft_ms = 0
    if session.streams == 1:
        until = session.now if outcome == OUTCOME_TIMEOUT and session.first_at == 0 else session.first_at
        observed.ttft_ms = min(max(0, until - session.call_at), _MAX_U32)
    observed.tokens_per_s = _speed(session)
    observed.cost = cost
    observed.at_ms = session.now
    memory.action.observed.start = memory.addresses.observed
    memory.action.observed.length = 1


def _report(
    session: Session,
    policy: Policy,
    models: Records[Model],
    tenants: Records[Tenant],
    endpoints: Records[Endpoint],
    strings: U8,
    memory: Memory,
) -> None:
    """Take how the call went into the live table, and name what it is about for those who share the table."""
    observed = memory.observed
    model = session.candidates[session.current].model
    set_name(observed.model, models[model].name, memory)
    clear_span(observed.region)
    clear_span(observed.tenant)
    if session.region >= 0:
        set_name(observed.region, policy.regions[session.region], memory)
    if session.tenant >= 0:
        set_name(observed.tenant, tenants[session.tenant].name, memory)
    take_in(observed, model, session.region, session.tenant, policy, models, endpoints, strings, memory)


def _speed(session: Session) -> int:
    """Tokens a second after the first one; 0 where there were too few to tell."""
    took = session.heard_at - session.first_at
    if session.streams == 0 or session.first_at == 0 or session.tokens < _MIN_TOKENS_FOR_SPEED or took <= 0:
        return 0
    return min(session.tokens * 1000 // took, _MAX_U32)


def _finish(
    reason: int,
    finish: int,
    counted_in: int,
    counted_out: int,
    session: Session,
    models: Records[Model],
    memory: Memory,
) -> None:
    """Show everything, and say what the answer took: the upstream's own count where it gave one.

    A call that went on from a prefix read it as a part of its prompt; for the client it is a part of the answer.
    """
    action = memory.action
    if counted_out > 0:
        session.tokens = min(counted_out, _MAX_TOKENS)
    if counted_in > 0:
        session.input_tokens = max(1, min(counted_in, _MAX_TOKENS) - session.prefix_tokens)
    action.finish = finish
    action.show = session.received
    action.input_tokens = session.input_tokens
    action.output_tokens = session.prefix_tokens + session.tokens
    _close_call(OUTCOME_OK, session, models, memory)
    _end(FINISH, reason, session, memory)


def _go_on(session: Session, policy: Policy, memory: Memory) -> None:
    """Show what need not be held back any longer, and wait for what comes next."""
    before = session.shown
    _release(session, policy)
    action = memory.action
    action.session = session.id
    action.show = session.shown
    action.cost = session.spent
    action.deadline_ms = _next_deadline(session, policy)
    if session.shown > 0 and session.state == HOLDING:
        session.state = SHOWING
    if session.shown > before:
        _act(FORWARD, BECAUSE_ANSWERING, memory)
    else:
        _act(HOLD, BECAUSE_HELD_BACK if session.received > session.shown else BECAUSE_ANSWERING, memory)


def _release(session: Session, policy: Policy) -> None:
    limit = _last_showable(session) if session.streams == 1 else 0
    while session.shown < limit and _is_ripe(session, policy):
        session.shown += 1
        shown_tokens = session.shown_tokens + session.chunk_tokens[session.shown % RECENT_CHUNKS]
        session.shown_tokens = min(shown_tokens, session.tokens)


def _is_ripe(session: Session, policy: Policy) -> bool:
    """Whether the oldest chunk that is held back may be shown: enough tokens follow it, or it has waited enough."""
    rules = policy.levels[session.level]
    place = (session.shown + 1) % RECENT_CHUNKS
    if session.received - session.shown >= RECENT_CHUNKS:
        return True
    if session.tokens - session.shown_tokens - session.chunk_tokens[place] >= rules.hold_back_tokens:
        return True
    return session.now >= session.call_at + session.chunk_at[place] + rules.hold_back_ms


def _next_deadline(session: Session, policy: Policy) -> int:
    if session.state <= WAITING:
        return min(session.deadline_at, session.patience_at)
    at = min(session.deadline_at, session.heard_at + policy.session.stall_ms)
    if session.streams == 1 and session.shown < _last_showable(session):
        held_from = session.call_at + session.chunk_at[(session.shown + 1) % RECENT_CHUNKS]
        at = min(at, held_from + policy.levels[session.level].hold_back_ms)
    return at


def _end(kind: int, reason: int, session: Session, memory: Memory) -> None:
    memory.action.session = session.id
    memory.action.cost = session.spent
    session.state = FREE
    _act(kind, reason, memory)


def _act(kind: int, reason: int, memory: Memory) -> None:
    memory.action.kind = kind
    memory.action.reason = reason


def _clear_action(memory: Memory) -> None:
    action = memory.action
    action.session = 0
    action.resume = 0
    action.show = 0
    action.not_before_ms = 0
    action.deadline_ms = 0
    action.finish = FINISH_NONE
    action.input_tokens = 0
    action.output_tokens = 0
    action.cost = 0
    clear_span(action.model)
    clear_span(action.observed)
    memory.observed.retry_after_ms = 0
