"""The simulation: a heap of events over simulated time, around the real router. Nobody sleeps.

A request arrives, and the router decides. The models of its chain are called, one after the other, until one answers;
when an answer or a failure has ended, the router is told, as hosts do. Time passes only from event to event.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count

from edgewise.catalogue import strongest
from edgewise.config import Config
from edgewise.config_models import ModelConfig
from edgewise.core.endpoints import Endpoint
from edgewise.core.types import offset_of
from edgewise.decision import Decision
from edgewise.live import endpoint_places
from edgewise.money import to_dollars
from edgewise.router import Router
from edgewise.simulation.arrivals import Arrival, arrivals
from edgewise.simulation.replay import decide, price_of
from edgewise.simulation.report import MINUTE_MS, Change, Report
from edgewise.simulation.rows import Row
from edgewise.simulation.scenario import DAY_MS, PriceChange, Scenario
from edgewise.simulation.tally import FAILED, REFUSED, SERVED, Fate
from edgewise.simulation.world import Answer, World

Event = Callable[[int], None]
"""What happens, given the time."""


def simulate(config: Config, scenario: Scenario, rows: Iterable[Row]) -> Report:
    """Replay the traffic in a scenario. The same arguments give the same report, except for `decision_us`.

    Raises RequestError where rows have no times of their own and the scenario draws none.
    """
    return Simulation(config, scenario, arrivals(scenario, rows)).run()


@dataclass
class _Call:
    """A request on its way through the chain of its decision; `config`: by which it was decided, and is billed."""

    number: int
    row: Row
    config: Config
    decision: Decision
    arrived_ms: int
    attempts: tuple[tuple[str, str], ...] = ()

    @property
    def model(self) -> str | None:
        """Who is called next; None where nobody is left."""
        chain = (self.decision.model, *self.decision.fallbacks)
        return chain[len(self.attempts)] if len(self.attempts) < len(chain) else None


class Simulation:
    """One run: the router, the world, the events to come, and what was counted."""

    def __init__(self, config: Config, scenario: Scenario, coming: Iterator[Arrival]) -> None:
        self._scenario = scenario
        self._coming = coming
        self._router = Router(config)
        self._events: list[tuple[int, int, Event]] = []
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

    def _at(self, at_ms: int, event: Event) -> None:
        heapq.heappush(self._events, (at_ms, next(self._order), event))

    def _arrive(self, row: Row, now: int) -> None:
        following = next(self._coming, None)
        if following is not None:
            self._at(following[0], partial(self._arrive, following[1]))
        decision = decide(self._router, row.request, self._report)
        call = _Call(next(self._numbers), row, self._router.config, decision, now)
        if decision.status == "ok":
            self._send(call, now)
        else:
            self._report.count(Fate(row, decision, REFUSED), now)

    def _send(self, call: _Call, now: int) -> None:
        """Call the next model of the chain; without one, the request has failed."""
        model, region = call.model, call.row.request.region
        if model is None:
            self._report.count(Fate(call.row, call.decision, FAILED, attempts=call.attempts), call.arrived_ms)
            return
        answer = self._world.call(call.number, model, region, now)
        writing_ms = 0
        if answer.outcome == "ok":
            writing_ms = call.decision.output_tokens * 1000 // answer.tokens_per_s
        self._at(now + answer.wait_ms + writing_ms, partial(self._end, call, model, answer, now + answer.wait_ms))

    def _end(self, call: _Call, model: str, answer: Answer, first_token_ms: int, now: int) -> None:
        """An attempt has ended: tell the router, then count the answer or go on to the next model."""
        call.attempts = (*call.attempts, (model, answer.outcome))
        if answer.outcome != "ok":
            self._tell(call, model, answer, 0, now)
            self._send(call, now)
            return
        request, models = call.row.request, call.config.models
        cached_tokens = request.cached_tokens if model == request.session_model else 0
        cost = price_of(models[model], call.decision, cached_tokens)
        always = price_of(models[self._report.strongest], call.decision, request.cached_tokens)
        self._tell(call, model, answer, cost, now)
        waited_ms = first_token_ms - call.arrived_ms
        fate = Fate(call.row, call.decision, SERVED, model, waited_ms, cost, always, call.attempts)
        self._report.count(fate, call.arrived_ms)

    def _tell(self, call: _Call, model: str, answer: Answer, cost: int, now: int) -> None:
        """Report an attempt to the router, and note what that changes."""
        request = call.row.request
        region = request.region if (model, request.region) in self._places else ""
        self._router.observe(
            model,
            answer.outcome,
            region=request.region,
            tenant=request.tenant,
            ttft_ms=answer.wait_ms,
            tokens_per_s=answer.tokens_per_s,
            retry_after_ms=answer.retry_after_ms,
            cost_usd=to_dollars(cost),
            at_ms=now,
        )
        self._note_changes(model, region, now)

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
        """The provider's price and `router.toml` change together; what was observed stays."""
        config = self._router.config
        model = _at_price(config.models[change.model], change)
        repriced = config.model_copy(update={"models": {**config.models, change.model: model}})
        self._router = Router(repriced, engine=self._router.engine)
        self._report.changes.append(Change(now, change.model, "", "price_changed"))


_CIRCUIT, _SHIFTED = offset_of(Endpoint, "circuit"), offset_of(Endpoint, "shifted")
_CHANGES = (("circuit_closed", "circuit_opened"), ("shift_ended", "shift_began"))
"""What a change of each part of an endpoint's state to False and to True is called."""


def _at_price(model: ModelConfig, change: PriceChange) -> ModelConfig:
    cached = None if model.price_cached_in is None else min(model.price_cached_in, change.price_in)
    prices = {"price_in": change.price_in, "price_out": change.price_out, "price_cached_in": cached}
    return model.model_copy(update={**prices, "free": False})
