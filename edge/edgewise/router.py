"""The SDK: `Router` decides inside the calling process, in microseconds and without a network."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgewise.config import Config, load_config
from edgewise.decision import Decision
from edgewise.engine import CoreModuleEngine, Engine, component_bytes, model_version
from edgewise.errors import EngineError, NoFeasibleModelError, RequestError
from edgewise.live import LiveEndpoint, read_snapshot
from edgewise.observation import Observation
from edgewise.packing import pack_policy
from edgewise.request import Request
from edgewise.session import Action, Event


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Router:
    """Routes chat requests by a `router.toml`, or by the default catalogue.

    One router may be shared by threads. In asynchronous code call it as it is: a decision takes less time than a task
    switch costs.

    Args:
        config: the path of a `router.toml`, a validated `Config`, or None for the default catalogue.
        engine: what runs the core; the compiled module under wasmtime by default.
        clock: gives the Unix time in milliseconds, for requests and observations that do not say theirs.
        previous: a router whose observations are taken over, as far as they are of models, regions and tenants that
            this one names as well: for a configuration that was read again.

    Raises:
        ConfigError: the configuration cannot be used.
        EngineError: the compiled module is missing or does not fit.
    """

    def __init__(
        self,
        config: str | Path | Config | None = None,
        *,
        engine: Engine | None = None,
        clock: Callable[[], int] = _now_ms,
        previous: "Router | None" = None,
    ) -> None:
        self.config = config if isinstance(config, Config) else load_config(config)
        self.engine = engine or CoreModuleEngine()
        self._clock = clock
        self._lock = threading.Lock()
        self._policy = pack_policy(self.config)
        if previous is not None:
            self.engine.load_policy(previous._policy)
            self.engine.restore(previous.snapshot())
        self.engine.load_policy(self._policy)

    @cached_property
    def about(self) -> dict[str, str]:
        """What makes the decisions, as each of them says it."""
        return {
            "version": version("edgewise"),
            "model_version": model_version(component_bytes()),
            "backend": self.engine.backend,
            "engine": self.engine.runtime,
        }

    def to_json(self, request: Request, decision: Decision) -> dict[str, Any]:
        """The whole JSON shape of a decision of this router: with the request's id, and with what decided."""
        return {"id": request.id, **decision.to_json(), "edgewise": self.about}

    def route(self, messages: str | Sequence[Mapping[str, Any]], **constraints: Any) -> Decision:
        """Decide who answers a conversation, or one user message given as text.

        `constraints` are the other fields of a request: `max_tokens`, `region`, `budget_usd`, `latency_slo_ms`, `tier`,
        `tenant`, `needs`, `objective`, `session`, `session_model`, `cached_tokens`,
        `model`, `id`, `at_ms`.

        Raises:
            RequestError: the request cannot be read; names the field.
            NoFeasibleModelError: no model can serve it; lists why each one was dropped.
        """
        field = "text" if isinstance(messages, str) else "messages"
        return self.decide(Request.parse({field: messages, **constraints}))

    def decide(self, request: Request) -> Decision:
        """Decide a request that has been parsed. Raises NoFeasibleModelError as `route` does."""
        request = self._timed(request)
        with self._lock:
            decision = self.engine.decide(request)
        _check(decision)
        return decision

    def open(self, request: Request) -> tuple[Decision, Action]:
        """Decide a request and open a session for it; the action says whom to call first.

        For hosts that call the models themselves: docs/sessions.md. The action is to fail where too many sessions are
        open. Raises NoFeasibleModelError as `route` does.
        """
        request = self._timed(request)
        with self._lock:
            decision, action = self.engine.open(request)
        _check(decision)
        return decision, action

    def advance(self, event: Event) -> Action:
        """Report what happened to a session; gives what to do next."""
        with self._lock:
            return self.engine.advance(event)

    def overlap(self, shown: str, fresh: str, whole: bool) -> int:
        """How many UTF-8 bytes of `fresh`, the beginning of a resumed answer, repeat the end of what was shown.

        -1 where more of it is needed to tell; never where it is `whole`.
        """
        with self._lock:
            return self.engine.overlap(shown, fresh, whole)

    def _timed(self, request: Request) -> Request:
        return request if request.at_ms else request.model_copy(update={"at_ms": self._clock()})

    def observe(self, model: str, outcome: str = "ok", **seen: Any) -> bool:
        """Report how a request to a model went, so that later decisions know; False where the policy does not name it.

        `outcome`: `ok`, `error`, `timeout` or `rate_limited`. `seen` are the other fields of an observation: `ttft_ms`,
        `tokens_per_s`, `retry_after_ms`, `cost_usd`, `region`, `tenant`, `at_ms`.

        Raises:
            RequestError: the observation cannot be read; names the field.
        """
        observation = Observation.parse({"model": model, "outcome": outcome, **seen})
        if observation.at_ms == 0:
            observation = observation.model_copy(update={"at_ms": self._clock()})
        with self._lock:
            return self.engine.observe(observation)

    def endpoints(self) -> list[LiveEndpoint]:
        """What was observed of each model in each region."""
        return read_snapshot(self.snapshot(), list(self.config.models), list(self.config.policy.regions), self._clock())

    def snapshot(self) -> bytes:
        """All that was observed, for another router with the same models, regions and tenants."""
        with self._lock:
            return self.engine.snapshot()

    def restore(self, snapshot: bytes) -> bool:
        """Replace what was observed; False, and nothing changes, where the snapshot does not fit the configuration."""
        with self._lock:
            return self.engine.restore(snapshot)


def _check(decision: Decision) -> None:
    """Raise what a decision's status stands for."""
    if decision.status == "no_feasible_model":
        raise no_feasible_model(decision)
    if decision.status == "empty_request":
        raise RequestError("messages: empty; give at least one message")
    if decision.status != "ok":
        raise EngineError(f"the core gave no decision: {decision.status.replace('_', ' ')}")


def no_feasible_model(decision: Decision) -> NoFeasibleModelError:
    """The error that lists why each model was dropped, as far as the decision's reasons reach."""
    dropped = [(reason.model, reason.text) for reason in decision.reasons if reason.model]
    more = decision.dropped - len(dropped)
    about_request = [reason.text for reason in decision.reasons if not reason.model]
    lines = [f"  {text}" for text in (*about_request, *(text for _, text in dropped))]
    lines += [f"  ... and {more} more"] if more > 0 else []
    return NoFeasibleModelError("no model can serve this request:\n" + "\n".join(lines), dropped)
