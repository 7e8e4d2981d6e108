"""The router that answers now, and how another one takes its place while requests are being answered."""

import asyncio
import logging
import os
from pathlib import Path

from edgewise.errors import EdgewiseError
from edgewise.request import Request
from edgewise.router import Router

_log = logging.getLogger("edgewise.server")


class LiveRouter:
    """Holds the current `Router` of a configuration file, or of the default catalogue.

    A request takes `router` once and keeps it to its end, so a reload never changes a request that is being answered.

    Raises:
        ConfigError: the configuration cannot be used.
        EngineError: the compiled module is missing or does not fit.
    """

    def __init__(self, config: Path | None = None) -> None:
        self.config = config
        self.router = _make_router(config, None)
        self._warn_of_missing_keys()
        self._turn = asyncio.Lock()
        self._wanted = False

    async def reload(self) -> None:
        """Read the file again and swap its router in; where that fails, log why and keep the one that answers.

        The new router is made beside the event loop. Calls that wait for a reload under way share the next one.
        """
        self._wanted = True
        async with self._turn:
            if not self._wanted:
                return
            self._wanted = False
            try:
                self.router = await asyncio.to_thread(_make_router, self.config, self.router)
            except EdgewiseError as error:
                _log.error("the old configuration stays: %s", error)
            except Exception:
                _log.exception("the old configuration stays: reloading failed")
            else:
                self._warn_of_missing_keys()
                _log.info("reloaded: %s", self.describe())

    def _warn_of_missing_keys(self) -> None:
        """Models whose key is missing are not called; better to know before the first request."""
        for name, model in self.router.config.models.items():
            if model.endpoint and model.endpoint.api_key_env and model.endpoint.api_key_env not in os.environ:
                _log.warning("%s will not be called: the environment has no %s", name, model.endpoint.api_key_env)

    def describe(self) -> str:
        """What answers now, for people."""
        count = len(self.router.config.models)
        return f"{count} model{'s' if count != 1 else ''} of {self.config or 'the default catalogue'}"


def _make_router(config: Path | None, previous: Router | None) -> Router:
    """A router that knows what the one before observed, and has decided once, so that its memory is mapped."""
    router = Router(config, previous=previous)
    router.engine.decide(Request.parse({"text": "hello"}))
    return router
