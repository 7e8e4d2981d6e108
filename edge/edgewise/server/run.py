"""Running the application under uvicorn: the socket, the signals, the end."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from edgewise.errors import EdgewiseError
from edgewise.server.live import LiveRouter

SHUTDOWN_SECONDS = 20
"""How long requests under way may take to end after SIGTERM; a platform should wait longer before it kills."""

_KEEP_ALIVE_SECONDS = 75
_MOST_HEADER_BYTES = 64 * 1024
_BACKLOG = 2048

_log = logging.getLogger("edgewise.server")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises EdgewiseError where that is impossible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        sock = socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise EdgewiseError(f"cannot listen on {host} port {port}: {reason}; choose another --host or --port") from None
    # asyncio sets TCP_NODELAY only where the protocol is named; without it an answer waits 40 ms for its second packet
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=sock.detach())


def serve(app: ASGIApp, live: LiveRouter, sock: socket.socket) -> None:
    """Answer requests until SIGTERM or SIGINT, and then those that are under way; SIGHUP reloads the configuration."""
    config = uvicorn.Config(
        app,
        http="h11",  # the parser that limits the size of headers
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    host, port = sock.getsockname()[:2]
    _log.info("listening on http://%s:%d with %s", f"[{host}]" if ":" in host else host, port, live.describe())
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_Server(config, live).serve(sockets=[sock]))
    _log.info("stopped")


class _Server(uvicorn.Server):
    """uvicorn's server with signals handled in the event loop: SIGHUP as well, and an end that is a success."""

    def __init__(self, config: uvicorn.Config, live: LiveRouter) -> None:
        super().__init__(config)
        self._live = live
        self._reloads: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if sys.platform == "win32":
            with super().capture_signals():
                yield
            return
        handlers: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGTERM: self._stop,
            signal.SIGINT: self._stop,
            signal.SIGHUP: self._reload,
        }
        loop = asyncio.get_running_loop()
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        """Stop after the requests under way; when asked again, at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    def _reload(self) -> None:
        task = asyncio.get_running_loop().create_task(self._live.reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)
