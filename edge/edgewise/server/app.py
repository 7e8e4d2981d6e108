"""The ASGI application: what each request gets for an answer. Nothing here decides about models."""

import asyncio
import contextlib
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from edgewise import request as requests
from edgewise.errors import NoFeasibleModelError, RequestError
from edgewise.router import Router
from edgewise.server.access import AccessLog
from edgewise.server.admission import Keys, Rates
from edgewise.server.api import Ask
from edgewise.server.asking import AUTO_MODELS, read_ask
from edgewise.server.body import parse_json, read_body
from edgewise.server.conversations import Conversations
from edgewise.server.errors import HttpError, from_edgewise, from_starlette, internal
from edgewise.server.exchange import Exchange, Outcome
from edgewise.server.live import LiveRouter
from edgewise.server.metrics import CONTENT_TYPE_LATEST, Metrics
from edgewise.server.relay import Messages, RelayReply, Responses, read_relayed
from edgewise.server.reply import Reply, StreamReply, WholeReply
from edgewise.server.tracing import record
from edgewise.server.upstream import Upstreams

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Bodies may be this large, here as in the Worker."""

_CLIENT_GONE = 499
_SEND_SECONDS = 60.0

_log = logging.getLogger("edgewise.server")

Handler = Callable[[Request], Awaitable[Response]]


def create_app(live: LiveRouter, *, max_body_bytes: int = MAX_BODY_BYTES) -> Starlette:
    """The application that answers with the decisions of a router, whichever it holds when a request comes."""
    endpoints = Endpoints(live, max_body_bytes)
    app = Starlette(
        routes=endpoints.routes(),
        middleware=[Middleware(AccessLog)],
        exception_handlers={HTTPException: _explain_routing},
        lifespan=endpoints.lifespan,
    )
    app.router.redirect_slashes = False
    return app


class Endpoints:
    """The handlers and what they share."""

    def __init__(self, live: LiveRouter, max_body_bytes: int) -> None:
        self.live = live
        self.max_body_bytes = max_body_bytes
        self._upstreams = Upstreams()
        self._conversations = Conversations()
        self._metrics = Metrics()
        self._rates = Rates()
        self._keys = (live.router.config, Keys(live.router.config))

    def routes(self) -> list[Route]:
        """Which path and method each handler answers."""
        return [
            Route("/v1/chat/completions", _answering(self.chat), methods=["POST"]),
            Route("/v1/responses", _answering(self.responses), methods=["POST"]),
            Route("/v1/messages", _answering(self.messages), methods=["POST"]),
            Route("/v1/route", _answering(self.route), methods=["POST"]),
            Route("/v1/models", _answering(self.models), methods=["GET"]),
            Route("/metrics", _answering(self.metrics), methods=["GET"]),
            Route("/healthz", _answering(self.health), methods=["GET"]),
        ]

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Close the connections to upstreams at the end."""
        yield
        await self._upstreams.close()

    def _tenant_of(self, request: Request) -> str | None:
        """Whose key the request came with, by the configuration that answers now."""
        config = self.live.router.config
        if self._keys[0] is not config:
            self._keys = (config, Keys(config))
        return self._keys[1].tenant_of(request.headers)

    async def chat(self, request: Request) -> Response:
        """An answer of the model that the router chooses, or of the one that the client names."""
        return await self._answer(request, read_ask)

    async def responses(self, request: Request) -> Response:
        """The same for clients of the Responses API."""
        return await self._answer(request, partial(read_relayed, api=Responses()))

    async def messages(self, request: Request) -> Response:
        """The same for clients of the Messages API."""
        return await self._answer(request, partial(read_relayed, api=Messages()))

    async def _answer(self, request: Request, read: Callable[..., Ask]) -> Response:
        tenant = self._tenant_of(request)
        data = parse_json(await read_body(request, self.max_body_bytes))
        router = self.live.router
        ask = read(data, request.headers, router.config, tenant)
        self._rates.take(ask.request.tenant, router.config)
        ask = replace(ask, request=self._conversations.recall(ask.request))

        def begin(reply: Reply) -> Exchange:
            self._metrics.under_way.inc()
            return Exchange(router, ask, reply, self._upstreams, partial(self._report, headers=request.headers))

        return _ExchangeResponse(begin, router, ask)

    def _report(self, outcome: Outcome, headers: Mapping[str, str]) -> None:
        record(outcome, headers)
        self._metrics.under_way.dec()
        self._metrics.count(outcome)
        if outcome.end == "finish":
            tokens = outcome.input_tokens + outcome.output_tokens
            self._conversations.remember(outcome.ask.request, outcome.model, tokens)

    async def route(self, request: Request) -> Response:
        """The decision on the request in the body.

        It is made in the event loop: it takes less time than handing it to a thread would.
        """
        tenant = self._tenant_of(request)
        data = parse_json(await read_body(request, self.max_body_bytes))
        router = self.live.router
        parsed = requests.Request.parse({**data, "tenant": tenant} if tenant and isinstance(data, dict) else data)
        decision = router.decide(parsed)
        return JSONResponse(router.to_json(parsed, decision))

    async def models(self, request: Request) -> Response:
        """The models of the configuration, and the names that leave the choice to the router."""
        self._tenant_of(request)
        models = self.live.router.config.models
        owners = [
            *((name, "edgewise") for name in AUTO_MODELS),
            *((name, one.provider) for name, one in models.items()),
        ]
        data = [{"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in owners]
        return JSONResponse({"object": "list", "data": data})

    async def metrics(self, request: Request) -> Response:
        """Counters for Prometheus."""
        self._tenant_of(request)
        return Response(self._metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def health(self, _: Request) -> Response:
        """That the server is up, and what decides in it."""
        return JSONResponse({"status": "ok", "edgewise": self.live.router.about})


class _ExchangeResponse(Response):
    """Runs an exchange as the answer to a request, and ends it when the client goes away or reads nothing for long."""

    def __init__(self, begin: Callable[[Reply], Exchange], router: Router, ask: Ask) -> None:
        super().__init__()
        self._begin, self._router, self._ask = begin, router, ask
        self._has_started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def patient(message: Message) -> None:
            self._has_started = True
            async with asyncio.timeout(_SEND_SECONDS):
                await send(message)

        reply: Reply
        if not self._ask.api.resumes:
            reply = RelayReply(self._ask, scope, receive, patient)
        elif self._ask.streams:
            reply = StreamReply(self._ask, self._router.overlap, scope, receive, patient)
        else:
            reply = WholeReply(self._ask, scope, receive, patient)
        work = asyncio.create_task(self._begin(reply).run())
        gone = asyncio.create_task(_wait_until_gone(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (gone, work):
                task.cancel()
            await asyncio.wait({gone, work})
        await self._explain_failure(work, reply)

    async def _explain_failure(self, work: asyncio.Task[None], reply: Reply) -> None:
        """What nobody foresaw is logged, and said as far as that is still possible."""
        error = None if work.cancelled() else work.exception()
        if error is None or isinstance(error, TimeoutError):
            return
        _log_failure(error)
        if not self._has_started:
            await reply.fail(internal(), {})


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


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
            _log_failure(error)
            return internal().response()

    return answer


def _log_failure(error: BaseException) -> None:
    _log.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))


async def _explain_routing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return from_starlette(error, request.method, request.url.path).response()
