"""A real proxy in front of a scripted upstream, for tests of what clients see."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from support import faults
from support.faults import Upstream
from support.serving import EDGEWISE, Server


@contextmanager
def proxy(
    upstream: Upstream,
    folder: Path,
    extra: str = "",
    *,
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    replace: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """`edgewise serve` with the configuration of the faults, and `extra` lines of it, in a folder as router.toml.

    `replace`: what stands in place of some of its lines.
    """
    text = faults.router_toml(upstream.url) + extra
    for old, new in (replace or {}).items():
        assert old in text
        text = text.replace(old, new)
    file = folder / "router.toml"
    file.write_text(text, encoding="utf-8")
    command = [*EDGEWISE, "serve", "--port", "0", "--config", str(file), *options]
    with Server(command, env={faults.API_KEY_ENV: faults.API_KEY, **(env or {})}) as server:
        yield server
