"""Spans by the GenAI conventions, below the client's own."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from edgewise.server import LiveRouter, create_app
from support import faults
from support.faults import ANSWER, Case, Fault, Upstream

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def test_an_exchange_is_a_span_with_its_calls(
    exporter: InMemorySpanExporter, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(faults.API_KEY_ENV, faults.API_KEY)
    file = tmp_path / "router.toml"
    file.write_text(faults.router_toml(upstream.url), encoding="utf-8")
    app = create_app(LiveRouter(file))

    async def ask(case: Case) -> httpx.Response:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
        ):
            body = faults.request_body(case, upstream.plan(case))
            headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
            return await client.post("/v1/chat/completions", json=body, headers=headers)

    asyncio.run(ask(Case((Fault("status_500", "headers"),), streams=False)))
    asyncio.run(ask(Case((Fault("status_400", "headers"),), streams=False, always=True)))
    answered, failed = exporter.get_finished_spans()
    assert f"{answered.context.trace_id:032x}" == TRACE
    assert answered.name == "chat auto"
    assert answered.attributes is not None
    assert answered.attributes["gen_ai.operation.name"] == "chat"
    assert answered.attributes["gen_ai.response.model"] in faults.MODELS
    assert answered.attributes["gen_ai.usage.input_tokens"] == faults.PROMPT_TOKENS
    assert answered.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert [event.attributes["edgewise.reason"] for event in answered.events if event.attributes] == [
        "decided",
        "server_error",
    ]
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "refused"
    assert failed.status.status_code is trace.StatusCode.ERROR
    assert ANSWER[:20] not in answered.to_json()
    assert "lighthouse" not in answered.to_json()
