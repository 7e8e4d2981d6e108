"""The proxy behind `edgewise serve`: an OpenAI-compatible API in front of the models of a `router.toml`.

    POST /v1/chat/completions   an answer, of the model that the router chooses; streamed or whole
    POST /v1/responses          the same for clients of the Responses API, where the model speaks it
    POST /v1/messages           the same for clients of the Messages API
    POST /v1/route              a request as JSON, its decision as JSON
    GET  /v1/models             the models of the configuration
    GET  /metrics               counters for Prometheus
    GET  /healthz               whether it is up

`create_app` gives the ASGI application, for any ASGI server; `serve` runs it under uvicorn with reloading on SIGHUP and
a graceful end. Needs the extra `serve`. The way of a request: `admission` (who asks), `asking` (what for), `exchange`
(which obeys the session in the core), `upstream` (calls), `reply` (what the client reads).
"""

from edgewise.server.app import MAX_BODY_BYTES, create_app
from edgewise.server.live import LiveRouter
from edgewise.server.run import listen, serve

__all__ = ["MAX_BODY_BYTES", "LiveRouter", "create_app", "listen", "serve"]
