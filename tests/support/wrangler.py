"""`wrangler dev`, offline on a free port, with a KV namespace of its own."""

import os
import subprocess
from pathlib import Path
from typing import Self

from edgewise_build.checkout import ROOT
from edgewise_build.node import require_node
from edgewise_build.worker import WRANGLER, WRANGLER_CONFIG, WRANGLER_ENV
from support.serving import Server

OFFLINE = {**WRANGLER_ENV, "CLOUDFLARE_CF_FETCH_ENABLED": "false"}


class WranglerDev(Server):
    """The Worker as `wrangler dev` serves it; `state` is the folder of its KV namespace."""

    LISTENING = "Ready on"

    @classmethod
    def start(cls, state: Path, **variables: object) -> Self:
        """Serve the repository's Worker with variables of its own, until it is closed."""
        options = ["--ip", "127.0.0.1", "--port", "0", "--inspector-port", "0", "--show-interactive-dev-session=false"]
        for name, value in variables.items():
            options += ["--var", f"{name}:{value}"]
        server = cls(wrangler("dev", *options, "--persist-to", str(state)), env=OFFLINE, cwd=str(ROOT))
        server.state = state
        return server

    state: Path

    def put(self, key: str, file: Path) -> None:
        """Write a file into the namespace, as a user would."""
        self._kv("put", key, "--path", str(file))

    def delete(self, key: str) -> None:
        """Remove a key from the namespace."""
        self._kv("delete", key)

    def _kv(self, command: str, *arguments: str) -> None:
        local = ["--binding", "CONFIG", "--local", "--persist-to", str(self.state)]
        line = wrangler("kv", "key", command, *arguments, *local)
        subprocess.run(line, env={**os.environ, **OFFLINE}, cwd=ROOT, check=True, capture_output=True)


def wrangler(*arguments: str) -> list[str]:
    """The command line of wrangler with the repository's configuration."""
    return [require_node(), str(WRANGLER), *arguments, "--config", str(WRANGLER_CONFIG)]
