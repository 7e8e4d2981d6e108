"""What `GET /metrics` counts, in the format of Prometheus. Labels hold names of the configuration, never a client's."""

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from edgewise.money import to_dollars
from edgewise.server.exchange import Outcome

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_DECISION_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05)


class Metrics:
    """The counters of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.under_way = Gauge("edgewise_requests_under_way", "Requests being answered now.", registry=self._registry)
        self._requests = self._counter(
            "edgewise_requests", "Requests, by who answered and how.", "model", "end", "reason"
        )
        self._calls = self._counter("edgewise_calls", "Calls of upstreams, by how they went.", "model", "outcome")
        self._switches = self._counter("edgewise_switches", "Calls that replaced another one, and why.", "reason")
        self._tokens = self._counter("edgewise_tokens", "Tokens of answered requests.", "model", "kind")
        self._cost = self._counter("edgewise_cost_usd", "What the calls cost, in USD.", "model")
        self._decisions = self._histogram("edgewise_decision_seconds", "Time of a decision.", _DECISION_SECONDS)
        self._first = self._histogram("edgewise_first_token_seconds", "Time until a client read something.", _SECONDS)
        self._total = self._histogram("edgewise_request_seconds", "Time of a request in all.", _SECONDS)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self._registry)

    def count(self, outcome: Outcome) -> None:
        """Take in how an exchange went."""
        self._requests.labels(outcome.model, outcome.end, outcome.reason).inc()
        for call in outcome.calls[1:]:
            self._switches.labels(call.reason).inc()
        for model, how in outcome.observed:
            self._calls.labels(model, how).inc()
        self._tokens.labels(outcome.model, "input").inc(outcome.input_tokens)
        self._tokens.labels(outcome.model, "output").inc(outcome.output_tokens)
        self._cost.labels(outcome.model).inc(to_dollars(outcome.cost))
        self._total.observe(outcome.total_s)
        if outcome.decision is not None:
            self._decisions.observe(outcome.decision_s)
        if outcome.first_s is not None:
            self._first.observe(outcome.first_s)

    def text(self) -> bytes:
        """All counters, as Prometheus reads them."""
        return generate_latest(self._registry)
