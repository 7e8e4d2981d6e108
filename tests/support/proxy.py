"""A real proxy in front of a scripted upstream, for tests of what clients see."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import faults
from support.faults import Upstream
from support.serving import EDGEWISE, Server


@contextmanager
def proxy(
    upstream: Upstream, folder: Path, extra: str = "", env: dict[str, str] | None = None, options: tuple[str, ...] = ()
) -> Iterator[Server]:
    """`edgewise serve` with the configuration of the faults, and `extra` lines of it, in a folder as router.toml."""
    file = folder / "router.toml"
    file.write_text(faults.router_toml(upstream.url) + extra, encoding="utf-8")
    command = [*EDGEWISE, "serve", "--port", "0", "--config", str(file), *options]
    with Server(command, env={faults.API_KEY_ENV: faults.API_KEY, **(env or {})}) as server:
        yield server
