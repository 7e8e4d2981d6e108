"""The simulation: a heap of events over simulated time, around the real router. Nobody sleeps.

A request arrives, and the router opens a session for it. The simulation is the session's host: it calls the models that
the session names, in the simulated world, and reports what they answer and when deadlines pass. Whom to call next, when
to give up and what that teaches the router are the session's own rules.
"""

import heapq
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from edgewise.catalogue import strongest
from edgewise.config import Config
from edgewise.config_models import ModelConfig
from edgewise.core.endpoints import Endpoint
from edgewise.core.types import offset_of
from edgewise.decision import Decision
from edgewise.live import endpoint_places
from edgewise.observation import Observation
from edgewise.router import Router
from edgewise.session import Action, Event
from edgewise.simulation.arrivals import Arrival, arrivals
from edgewise.simulation.replay import price_of
from edgewise.simulation.report import MINUTE_MS, Change, Report
from edgewise.simulation.rows import Row
from edgewise.simulation.scenario import DAY_MS, PriceChange, Scenario
from edgewise.simulation.tally import FAILED, REFUSED, SERVED, Fate
from edgewise.simulation.world import Answer, World

Happening = Callable[[int], None]
"""What happens, given the time."""


def simulate(config: Config, scenario: Scenario, rows: Iterable[Row]) -> Report:
    """Replay the traffic in a scenario. The same arguments give the same report, except for `decision_us`.

    Raises RequestError where rows have no times of their own and the scenario draws none.
    """
    return Simulation(config, scenario, arrivals(scenario, rows)).run()


@dataclass(eq=False)
class _Session:
    """A request under way. `router`: whose session it is, also after prices have changed.

    `call`: the number of the call under way, so that what is heard of earlier ones is dropped; -1 once it has ended.
    """

    number: int
    row: Row
    router: Router
    decision: Decision
    arrived_ms: int
    id: int
    model: str = ""
    call: int = 0
    deadline_ms: int = 0
    first_token_ms: int = 0
    attempts: list[tuple[str, str]] = field(default_factory=list)

    @property
    def attempt(self) -> int:
        """How often the model was called before, for this request."""
        return sum(model == self.model for model, _ in self.attempts)


class Simulation:
    """One run: the router, the world, the events to come, and what was counted."""

    def __init__(self, config: Config, scenario: Scenario, coming: Iterator[Arrival]) -> None:
        self._scenario = scenario
        self._coming = coming
        self._router = Router(config)
        self._events: list[tuple[int, int, Happening]] = []
        self._numbers, self._order = count(1), count()
        self._report = Report(strongest(config).name)
        self._places = endpoint_places(config.models, config.policy.regions)
        self._states: dict[tuple[str, str], tuple[bool, bool]] = {}

    def run(self) -> Report:
        """Let all events happen, from the first arrival on."""
        first = next(self._coming, None)
        if first is not None:
            self._begin(*first)
        while self._events:
            at_ms, _, event = heapq.heappop(self._events)
            event(at_ms)
        return self._report

    def _begin(self, at_ms: int, row: Row) -> None:
        self._world = World(self._router.config, self._scenario, at_ms)
        midnight = at_ms // DAY_MS * DAY_MS
        for change in self._scenario.price_changes.values():
            change_ms = midnight + (change.day - 1) * DAY_MS + change.at * MINUTE_MS
            self._at(change_ms, partial(self._reprice, change))
        self._at(at_ms, partial(self._arrive, row))

    def _at(self, at_ms: int, event: Happening) -> None:
        heapq.heappush(self._events, (at_ms, next(self._order), event))

    def _arrive(self, row: Row, now: int) -> None:
        following = next(self._coming, None)
        if following is not None:
            self._at(following[0], partial(self._arrive, following[1]))
        started = time.perf_counter_ns()
        decision, action = self._router.engine.open(row.request.model_copy(update={"stream": True}))
        self._report.time_decision(decision, time.perf_counter_ns() - started)
        session = _Session(next(self._numbers), row, self._router, decision, now, action.session)
        if decision.status == "ok":
            self._follow(session, action, now)
        else:
            self._report.count(Fate(row, decision, REFUSED), now)

    def _follow(self, session: _Session, action: Action, now: int) -> None:
        """Do what the router says, after noting what it has observed."""
        if action.observed is not None:
            self._note(session, action.observed, now)
        if action.kind in ("finish", "fail"):
            self._close(session, action)
            return
        if action.kind == "call":
            session.model = action.model
            session.call += 1
            self._at(max(now, action.not_before_ms), partial(self._call, session, session.call))
        session.deadline_ms = action.deadline_ms
        if action.reason != "held_back":  # nobody reads along, so when it is shown makes no difference
            self._at(action.deadline_ms, partial(self._remind, session))

    def _remind(self, session: _Session, now: int) -> None:
        """A deadline has come, if it still holds."""
        if now == session.deadline_ms:
            self._hear(session, session.call, Event(session.id, "timer", now), now)

    def _call(self, session: _Session, call: int, now: int) -> None:
        """Call the model that the session named, and let be heard what it answers."""
        if call != session.call:
            return
        answer = self._world.call(session.number, session.model, session.attempt, session.row.request.region, now)
        for event in _heard(answer, session.decision, session.id, now, session.router.config.session.stall_ms):
            self._at(event.at_ms, partial(self._hear, session, call, event))

    def _hear(self, session: _Session, call: int, event: Event, now: int) -> None:
        """Report an event of the call under way."""
        if call != session.call:
            return
        if event.kind == "headers":
            session.first_token_ms = now
        self._follow(session, session.router.engine.advance(event), now)

    def _close(self, session: _Session, action: Action) -> None:
        """Count a request that has ended."""
        session.call, session.deadline_ms = -1, 0
        row, decision, attempts = session.row, session.decision, tuple(session.attempts)
        if action.kind == "fail":
            fate = Fate(row, decision, FAILED, cost=action.cost, attempts=attempts, reason=action.reason)
        else:
            waited_ms = session.first_token_ms - session.arrived_ms
            strongest = session.router.config.models[self._report.strongest]
            always = price_of(strongest, decision, row.request.cached_tokens)
            fate = Fate(row, decision, SERVED, session.model, waited_ms, action.cost, always, attempts)
        self._report.count(fate, session.arrived_ms)

    def _note(self, session: _Session, observed: Observation, now: int) -> None:
        """Note how a call went and what that changed; a router that took over meanwhile is told as well."""
        session.attempts.append((observed.model, observed.outcome))
        if session.router is not self._router:
            self._router.engine.observe(observed)
        self._note_changes(observed.model, observed.region, now)

    def _note_changes(self, model: str, region: str, now: int) -> None:
        """Note whether an endpoint's circuit opened or closed, and whether shifting began or ended."""
        snapshot, place = self._router.snapshot(), self._places[model, region]
        before = self._states.get((model, region), (False, False))
        shifts = self._router.config.shifting is not None
        after = snapshot[place + _CIRCUIT] > 0, shifts and snapshot[place + _SHIFTED] > 0
        self._states[model, region] = after
        for was, is_now, names in zip(before, after, _CHANGES, strict=True):
            if was != is_now:
                self._report.changes.append(Change(now, model, region, names[is_now]))

    def _reprice(self, change: PriceChange, now: int) -> None:
        """The price and `router.toml` change together: another router takes over, with all that was observed."""
        config = self._router.config
        model = _at_price(config.models[change.model], change)
        repriced = config.model_copy(update={"models": {**config.models, change.model: model}})
        self._router = Router(repriced, previous=self._router)
        self._report.changes.append(Change(now, change.model, "", "price_changed"))


_CIRCUIT, _SHIFTED = offset_of(Endpoint, "circuit"), offset_of(Endpoint, "shifted")
_TEXT = "{}"
"""An answer that the monitor has nothing against, whatever was asked for."""

_CHANGES = (("circuit_closed", "circuit_opened"), ("shift_ended", "shift_began"))
"""What a change of each part of an endpoint's state to False and to True is called."""


def _heard(answer: Answer, decision: Decision, session: int, now: int, stall_ms: int) -> Iterator[Event]:
    """What a host hears of a call that begins now: headers with the first token, then the rest of the answer."""
    first_ms = now + max(1, answer.wait_ms)
    if answer.status == 0:
        return
    yield Event(session, "headers", first_ms, status=answer.status, retry_after_ms=answer.retry_after_ms)
    if answer.status != 200:
        return
    yield Event(session, "chunk", first_ms, text=_TEXT, tokens=1)
    rest = max(0, decision.output_tokens - 1)
    writing_ms = rest * 1000 // answer.tokens_per_s
    pieces = writing_ms // stall_ms + 1  # often enough that the answer does not seem to stall
    for piece in range(1, pieces + 1):
        tokens = rest * piece // pieces - rest * (piece - 1) // pieces
        yield Event(session, "chunk", first_ms + writing_ms * piece // pieces, tokens=tokens)
    yield Event(
        session,
        "end",
        first_ms + writing_ms,
        finish="stop",
        input_tokens=decision.input_tokens,
        output_tokens=decision.output_tokens,
    )


def _at_price(model: ModelConfig, change: PriceChange) -> ModelConfig:
    cached = None if model.price_cached_in is None else min(model.price_cached_in, change.price_in)
    prices = {"price_in": change.price_in, "price_out": change.price_out, "price_cached_in": cached}
    return model.model_copy(update={**prices, "free": False})
