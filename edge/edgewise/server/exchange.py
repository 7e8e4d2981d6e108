"""One exchange: a client's request, the calls that are made for it, and its answer.

All decisions are the session's in the core: whom to call, what may be shown, when to give up. This module does what
each action says, and reports what happens.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

from edgewise.decision import Decision
from edgewise.errors import NoFeasibleModelError, RequestError
from edgewise.router import Router
from edgewise.server.api import Ask, Json, Piece
from edgewise.server.errors import OPERATORS_FAULT, from_edgewise, unanswered
from edgewise.server.reply import Reply
from edgewise.server.upstream import Call, Heard, Upstreams, key_of, not_spoken, now_ms, silent_call
from edgewise.session import Action, Event

MAX_HELD_BYTES = 8 * 2**20
"""How much of an answer may be held back."""

_log = logging.getLogger("edgewise.server")


@dataclass(frozen=True, slots=True)
class CallMade:
    """A model that was called, why (one of SESSION_REASONS), and when (Unix time)."""

    model: str
    reason: str
    at_ms: int


@dataclass
class Outcome:
    """How an exchange went, for those who count and remember.

    `end`: "finish", "fail" or "gone". `observed`: each model whose call ended, and how. `first_s`: seconds until the
    client read something, None where it never did.
    """

    ask: Ask
    decision: Decision | None = None
    end: str = "gone"
    reason: str = ""
    model: str = ""
    finish: str = ""
    calls: list[CallMade] = field(default_factory=list)
    observed: list[tuple[str, str]] = field(default_factory=list)
    started_ms: int = field(default_factory=now_ms)
    decision_s: float = 0.0
    first_s: float | None = None
    total_s: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0


class Exchange:
    """Obeys one session from its opening to its end. `report` gets the outcome, also where the client goes away."""

    def __init__(
        self, router: Router, ask: Ask, reply: Reply, upstreams: Upstreams, report: Callable[[Outcome], None]
    ) -> None:
        self._router, self._ask, self._reply, self._upstreams = router, ask, reply, upstreams
        self._report = report
        self._outcome = Outcome(ask)
        self._call: Call | None = None
        self._held: deque[Piece] = deque()
        self._held_bytes = 0
        self._taken = 0
        self._refusal = (0, "")
        self._session = 0
        self._started = perf_counter()

    async def run(self) -> None:
        """Answer the client. When cancelled, because it is gone, the call under way is cancelled too."""
        try:
            await self._run()
        finally:
            if self._session:
                self._router.advance(Event(self._session, "gone", now_ms()))
            if self._call is not None:
                self._call.cancel()
            self._outcome.total_s = perf_counter() - self._started
            self._report(self._outcome)

    async def _run(self) -> None:
        try:
            decision, action = self._router.open(self._ask.request)
        except (RequestError, NoFeasibleModelError) as error:
            self._outcome.end, self._outcome.reason = "fail", "no_decision"
            await self._reply.fail(from_edgewise(error), {})
            return
        self._outcome.decision, self._outcome.decision_s = decision, perf_counter() - self._started
        self._session = action.session
        while action.kind not in ("finish", "fail"):
            await self._show(action)
            if action.kind == "call":
                if action.resume and not self._ask.api.resumes:
                    self._outcome.end = "fail"
                    await self._reply.fail(unanswered(action.reason), self._headers())
                    return
                self._begin_call(action)
            event = self._hear(await self._next(action.deadline_ms))
            action = self._router.advance(event)
            self._note(action)
        self._session = 0
        await self._show(action)
        await self._end(action)

    async def _next(self, until_ms: int) -> Heard:
        assert self._call is not None
        if self._call.is_silent:
            await self._reply.flush()
        return await self._call.next(until_ms) or Heard("timer", now_ms(), {})

    def _hear(self, heard: Heard) -> Event:
        """The event for what was heard; a piece is held until it may be shown."""
        kind, fields = heard.kind, heard.fields
        if heard.piece is not None:
            self._held.append(heard.piece)
            self._held_bytes += heard.piece.size
            if self._ask.streams and self._held_bytes > MAX_HELD_BYTES:
                kind, fields = "fault", {"fault": "too_large"}
        if kind == "headers" and fields["status"] >= 400:
            self._refusal = (fields["status"], heard.message)
            if fields["status"] in OPERATORS_FAULT:
                _log.warning("%s is not set up: its endpoint answers %d", self._outcome.model, fields["status"])
        return Event(self._session, kind, heard.at_ms, **fields)

    async def _show(self, action: Action) -> None:
        """Let the client read the pieces up to `action.show` of the call under way."""
        pieces = []
        while self._taken < action.show and self._held:
            piece = self._held.popleft()
            self._held_bytes -= piece.size
            self._taken += 1
            pieces.append(piece)
        if pieces:
            if self._outcome.first_s is None and any(piece.text or piece.tool for piece in pieces):
                self._outcome.first_s = perf_counter() - self._started
            await self._reply.show(pieces, self._headers())

    def _begin_call(self, action: Action) -> None:
        """Drop what is held of the call under way, end it, and begin the next one."""
        if self._call is not None:
            self._call.cancel()
            _log.info("%s instead of %s: %s", action.model, self._outcome.model, action.reason)
        self._held.clear()
        self._held_bytes = self._taken = 0
        self._outcome.model = action.model
        self._outcome.calls.append(CallMade(action.model, action.reason, now_ms()))
        self._reply.begin_call(action.model, action.resume)
        self._call = self._make_call(action)

    def _make_call(self, action: Action) -> Call:
        endpoint, ask = self._router.config.models[action.model].endpoint, self._ask
        if endpoint is None or ask.api.name not in endpoint.api:
            return silent_call(not_spoken())  # by its status, nothing counts against the model
        try:
            key = key_of(endpoint)
        except KeyError:
            _log.error("%s is not called: the environment has no %s", action.model, endpoint.api_key_env)
            return silent_call(not_spoken())
        shown, tokens = (self._reply.shown, self._reply.shown_pieces) if action.resume else ("", 0)
        return self._upstreams.call(
            endpoint.base_url.rstrip("/") + ask.api.path,
            ask.api.headers(key, ask),
            ask.api.body(ask, action.model, endpoint, shown, tokens),
            ask.api.read(ask),
            streams=ask.streams,
            not_before_ms=action.not_before_ms,
        )

    def _note(self, action: Action) -> None:
        outcome = self._outcome
        outcome.reason, outcome.cost = action.reason, action.cost
        if action.observed is not None:
            outcome.observed.append((action.observed.model, action.observed.outcome))

    async def _end(self, action: Action) -> None:
        outcome = self._outcome
        outcome.end, outcome.reason = action.kind, action.reason
        if action.kind == "fail":
            await self._reply.fail(unanswered(action.reason, self._refusal), self._headers())
            return
        outcome.finish = action.finish
        outcome.input_tokens, outcome.output_tokens = action.input_tokens, action.output_tokens
        if action.reason == "answered":
            self._call = None  # it ends by itself, and its connection can be used again
        await self._reply.finish(action, self._headers(), self._explain() if self._ask.explain else None)
        if self._router.config.server.log_prompts:
            _log.debug("prompt %r, answer %r", self._ask.request.messages[-1].content, self._reply.shown)

    def _explain(self) -> Json:
        assert self._outcome.decision is not None
        calls = [{"model": call.model, "reason": call.reason} for call in self._outcome.calls]
        return {**self._router.to_json(self._ask.request, self._outcome.decision), "calls": calls}

    def _headers(self) -> dict[str, str]:
        """What the client is told about the decision; all in ASCII."""
        decision, request = self._outcome.decision, self._ask.request
        assert decision is not None
        headers = {
            "x-edgewise-model": self._outcome.model or decision.model,
            "x-edgewise-task": decision.task,
            "x-edgewise-reasons": ",".join(reason.code for reason in decision.reasons),
            "x-edgewise-calls": str(len(self._outcome.calls)),
            "x-edgewise-estimated-cost-usd": f"{decision.cost / 1e12:.9f}",
            "x-edgewise-session": request.session,
            "x-request-id": request.id,
        }
        return {name: value for name, value in headers.items() if value and value.isascii() and value.isprintable()}
