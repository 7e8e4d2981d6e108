"""The HTTP server behind `edgewise serve`: decisions over HTTP, from the same `Router` that the SDK uses.

    POST /v1/route     a request as JSON, its decision as JSON
    GET  /v1/models    the models of the configuration
    GET  /healthz      whether it is up

`create_app` gives the ASGI application, for any ASGI server; `serve` runs it under uvicorn with reloading on SIGHUP and
a graceful end. Needs the extra `serve`.
"""

from edgewise.server.app import MAX_BODY_BYTES, create_app
from edgewise.server.live import LiveRouter
from edgewise.server.run import listen, serve

__all__ = ["MAX_BODY_BYTES", "LiveRouter", "create_app", "listen", "serve"]
