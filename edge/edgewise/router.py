"""The SDK: `Router` decides inside the calling process, in microseconds and without a network."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgewise.config import Config, load_config
from edgewise.decision import Decision
from edgewise.engine import CoreModuleEngine, Engine
from edgewise.errors import EngineError, NoFeasibleModelError, RequestError
from edgewise.packing import pack_policy
from edgewise.request import Request


class Router:
    """Routes chat requests by a `router.toml`, or by the default catalogue.

    One router may be shared by threads. In asynchronous code call it as it is: a decision takes less time than a task
    switch costs.

    Args:
        config: the path of a `router.toml`, a validated `Config`, or None for the default catalogue.
        engine: what runs the core; the compiled module under wasmtime by default.

    Raises:
        ConfigError: the configuration cannot be used.
        EngineError: the compiled module is missing or does not fit.
    """

    def __init__(self, config: str | Path | Config | None = None, *, engine: Engine | None = None) -> None:
        self.config = config if isinstance(config, Config) else load_config(config)
        self.engine = engine or CoreModuleEngine()
        self._lock = threading.Lock()
        self.engine.load_policy(pack_policy(self.config))

    def route(self, messages: str | Sequence[Mapping[str, Any]], **constraints: Any) -> Decision:
        """Decide who answers a conversation, or one user message given as text.

        `constraints` are the other fields of a request: `max_tokens`, `region`, `budget_usd`, `latency_slo_ms`, `tier`,
        `tenant`, `needs`, `objective`, `session`, `id`, `at_ms`.

        Raises:
            RequestError: the request cannot be read; names the field.
            NoFeasibleModelError: no model can serve it; lists why each one was dropped.
        """
        field = "text" if isinstance(messages, str) else "messages"
        return self.decide(Request.parse({field: messages, **constraints}))

    def decide(self, request: Request) -> Decision:
        """Decide a request that has been parsed. Raises NoFeasibleModelError as `route` does."""
        with self._lock:
            decision = self.engine.decide(request)
        if decision.status == "no_feasible_model":
            raise no_feasible_model(decision)
        if decision.status == "empty_request":
            raise RequestError("messages: empty; give at least one message")
        if decision.status != "ok":
            raise EngineError(f"the core gave no decision: {decision.status.replace('_', ' ')}")
        return decision


def no_feasible_model(decision: Decision) -> NoFeasibleModelError:
    """The error that lists why each model was dropped, as far as the decision's reasons reach."""
    dropped = [(reason.model, reason.text) for reason in decision.reasons if reason.model]
    more = decision.dropped - len(dropped)
    about_request = [reason.text for reason in decision.reasons if not reason.model]
    lines = [f"  {text}" for text in (*about_request, *(text for _, text in dropped))]
    lines += [f"  ... and {more} more"] if more > 0 else []
    return NoFeasibleModelError("no model can serve this request:\n" + "\n".join(lines), dropped)
