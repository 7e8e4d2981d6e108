"""Sessions in the words of hosts: what happened to a request under way, and what to do next.

docs/sessions.md says what each event and each action means; the rules are the core's (`core/session.py`).
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from edgewise.core.endpoints import OUTCOMES
from edgewise.core.layout import Action as ActionRecord
from edgewise.core.layout import Event as EventRecord
from edgewise.core.layout import Observation as ObservationRecord
from edgewise.core.session import ACTIONS, EVENTS, FAULTS, FINISHES, SESSION_REASONS
from edgewise.core.types import Span
from edgewise.money import PICODOLLARS_PER_DOLLAR
from edgewise.observation import Observation

__all__ = ["ACTIONS", "EVENTS", "FAULTS", "FINISHES", "SESSION_REASONS", "Action", "Event", "pack_event"]

_MAX_U16, _MAX_U32, _MAX_I32 = 2**16 - 1, 2**32 - 1, 2**31 - 1


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to the call under way: `kind` is one of EVENTS, `at_ms` Unix time.

    headers: `status`, `retry_after_ms`. chunk: `text`; `tokens`, 0 where unknown; `logprobs`, the natural
    log-probabilities of its tokens in thousandths; `tool`, whether it carries a part of a tool call. end: `finish`, one
    of FINISHES; `input_tokens` and `output_tokens` as the upstream counts them. fault: `fault`, one of FAULTS.
    """

    session: int
    kind: str
    at_ms: int
    status: int = 0
    retry_after_ms: int = 0
    text: str = ""
    tokens: int = 0
    logprobs: tuple[int, ...] = ()
    tool: bool = False
    finish: str = "none"
    fault: str = "none"
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Action:
    """What to do next: show the chunks up to `show`, and then what `kind`, one of ACTIONS, says.

    `reason`: one of SESSION_REASONS. call: `model`; `resume`, whether what the client was shown is the beginning of the
    answer; `not_before_ms`, when it begins, 0 at once. `deadline_ms`: when to send a timer event, 0 never. finish: the
    `finish` and the tokens that the client is told. `cost`: picodollars for all calls so far. `observed`: what was
    taken in of the call that ended, for hosts that share what was observed.
    """

    kind: str
    session: int
    reason: str
    model: str = ""
    resume: bool = False
    show: int = 0
    not_before_ms: int = 0
    deadline_ms: int = 0
    finish: str = "none"
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0
    observed: Observation | None = None

    @classmethod
    def from_records(
        cls, record: ActionRecord, observed: ObservationRecord | None, read: Callable[[Span], str]
    ) -> "Action":
        """The action in the core's records; `read` gives the text of a span."""
        return cls(
            kind=ACTIONS[record.kind],
            session=record.session,
            reason=SESSION_REASONS[record.reason],
            model=read(record.model),
            resume=bool(record.resume),
            show=record.show,
            not_before_ms=record.not_before_ms,
            deadline_ms=record.deadline_ms,
            finish=FINISHES[record.finish],
            input_tokens=record.input_tokens,
            output_tokens=record.output_tokens,
            cost=record.cost,
            observed=None if observed is None else _read_observation(observed, read),
        )


def _read_observation(record: ObservationRecord, read: Callable[[Span], str]) -> Observation:
    return Observation.model_construct(
        model=read(record.model),
        region=read(record.region),
        tenant=read(record.tenant),
        outcome=OUTCOMES[record.outcome],
        ttft_ms=record.ttft_ms,
        tokens_per_s=record.tokens_per_s,
        retry_after_ms=record.retry_after_ms,
        cost_usd=record.cost / PICODOLLARS_PER_DOLLAR,
        at_ms=record.at_ms,
    )


def pack_event(event: Event, base: int) -> bytes:
    """The event as the core reads it at address `base`: the record, its log-probabilities, then its text.

    Numbers that are too large for their field are cut to what it holds; ValueError for an unknown kind.
    """
    record, text = EventRecord(), event.text.encode("utf-8", "replace")
    record.session, record.kind, record.at_ms = event.session & _MAX_U32, EVENTS.index(event.kind), event.at_ms
    record.status, record.retry_after_ms = _fit(event.status, _MAX_U16), _fit(event.retry_after_ms, _MAX_U32)
    record.logprobs.start, record.logprobs.length = base + EventRecord.size, len(event.logprobs)
    record.text.start, record.text.length = record.logprobs.start + 4 * len(event.logprobs), len(text)
    record.tokens, record.tool = _fit(event.tokens, _MAX_U32), event.tool
    record.finish, record.fault = FINISHES.index(event.finish), FAULTS.index(event.fault)
    record.input_tokens = _fit(event.input_tokens, _MAX_U32)
    record.output_tokens = _fit(event.output_tokens, _MAX_U32)
    logprobs = struct.pack(f"<{len(event.logprobs)}i", *(max(-_MAX_I32, min(0, one)) for one in event.logprobs))
    return record.to_bytes() + logprobs + text


def _fit(value: int, most: int) -> int:
    return max(0, min(value, most))
