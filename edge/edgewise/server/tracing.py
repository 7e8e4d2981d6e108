"""Traces by the GenAI conventions of OpenTelemetry: a span for each exchange, below the client's own, with its calls.

Nothing is done without the package `opentelemetry-api`, and nothing is sent without a tracer provider: run the proxy
as `opentelemetry-instrument edgewise serve`, or set one up before `create_app`. Spans hold names and numbers, no text.
"""

from collections.abc import Mapping

from edgewise.money import to_dollars
from edgewise.server.exchange import Outcome

try:
    from opentelemetry import propagate, trace
except ImportError:
    HAS_TRACING = False
else:
    HAS_TRACING = True

_NS_PER_MS = 1_000_000


def record(outcome: Outcome, headers: Mapping[str, str]) -> None:
    """Write the span of an exchange that has ended. `headers`: the client's, of which `traceparent` is read."""
    if not HAS_TRACING:
        return
    asked = str(outcome.ask.body.get("model") or "auto")
    span = trace.get_tracer("edgewise").start_span(
        f"chat {asked}",
        context=propagate.extract(headers),
        kind=trace.SpanKind.SERVER,
        start_time=outcome.started_ms * _NS_PER_MS,
        attributes={
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "edgewise",
            "gen_ai.request.model": asked,
            "gen_ai.request.stream": outcome.ask.streams,
        },
    )
    for call in outcome.calls:
        attributes = {"gen_ai.request.model": call.model, "edgewise.reason": call.reason}
        span.add_event("call", attributes, timestamp=call.at_ms * _NS_PER_MS)
    if outcome.model:
        span.set_attribute("gen_ai.response.model", outcome.model)
    if outcome.decision is not None:
        span.set_attribute("edgewise.task", outcome.decision.task)
    if outcome.end == "finish":
        span.set_attribute("gen_ai.response.finish_reasons", [outcome.finish])
        span.set_attribute("gen_ai.usage.input_tokens", outcome.input_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", outcome.output_tokens)
    else:
        span.set_attribute("error.type", outcome.reason or outcome.end)
        span.set_status(trace.StatusCode.ERROR if outcome.end == "fail" else trace.StatusCode.UNSET)
    span.set_attribute("edgewise.cost_usd", to_dollars(outcome.cost))
    span.end((outcome.started_ms + round(outcome.total_s * 1000)) * _NS_PER_MS)
