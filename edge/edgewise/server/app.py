"""The ASGI application: what each request gets for an answer. Nothing here decides about models."""

import logging
import traceback
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edgewise import request as requests
from edgewise.errors import NoFeasibleModelError, RequestError
from edgewise.server.access import AccessLog
from edgewise.server.body import parse_json, read_body
from edgewise.server.errors import HttpError, from_edgewise, from_starlette, internal
from edgewise.server.live import LiveRouter

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Bodies may be this large, here as in the Worker."""

_CLIENT_GONE = 499

_log = logging.getLogger("edgewise.server")

Handler = Callable[[Request], Awaitable[Response]]


def create_app(live: LiveRouter, *, max_body_bytes: int = MAX_BODY_BYTES) -> Starlette:
    """The application that answers with the decisions of a router, whichever it holds when a request comes."""
    endpoints = Endpoints(live, max_body_bytes)
    app = Starlette(
        routes=endpoints.routes(),
        middleware=[Middleware(AccessLog)],
        exception_handlers={HTTPException: _explain_routing},
    )
    app.router.redirect_slashes = False
    return app


class Endpoints:
    """The handlers and what they share."""

    def __init__(self, live: LiveRouter, max_body_bytes: int) -> None:
        self.live = live
        self.max_body_bytes = max_body_bytes

    def routes(self) -> list[Route]:
        """Which path and method each handler answers."""
        return [
            Route("/v1/route", _answering(self.route), methods=["POST"]),
            Route("/v1/models", _answering(self.models), methods=["GET"]),
            Route("/healthz", _answering(self.health), methods=["GET"]),
        ]

    async def route(self, request: Request) -> Response:
        """The decision on the request in the body.

        It is made in the event loop: it takes less time than handing it to a thread would.
        """
        data = parse_json(await read_body(request, self.max_body_bytes))
        router = self.live.router
        parsed = requests.Request.parse(data)
        decision = router.decide(parsed)
        return JSONResponse(router.to_json(parsed, decision))

    async def models(self, _: Request) -> Response:
        """The models of the configuration, in the shape that clients of the OpenAI API read."""
        models = self.live.router.config.models
        data = [
            {"id": name, "object": "model", "created": 0, "owned_by": model.provider} for name, model in models.items()
        ]
        return JSONResponse({"object": "list", "data": data})

    async def health(self, _: Request) -> Response:
        """That the server is up, and what decides in it."""
        return JSONResponse({"status": "ok", "edgewise": self.live.router.about})


def _answering(handler: Handler) -> Handler:
    """The handler with every failure as a JSON answer; one that nobody foresaw is logged by place, without its text."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except HttpError as error:
            return error.response()
        except (RequestError, NoFeasibleModelError) as error:
            return from_edgewise(error).response()
        except ClientDisconnect:
            return Response(status_code=_CLIENT_GONE)
        except Exception as error:
            _log.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
            return internal().response()

    return answer


async def _explain_routing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return from_starlette(error, request.method, request.url.path).response()
