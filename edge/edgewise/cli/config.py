"""`edgewise config`: checks a router.toml, shows what it says, and packs it for hosts."""

import hashlib
import json
from pathlib import Path

import click

from edgewise.config import describe, load_config
from edgewise.deploy.proxy_table import proxy_table
from edgewise.errors import EdgewiseError
from edgewise.packing import pack_policy


@click.group()
def config() -> None:
    """Work with router.toml."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Check FILE; a mistake is named with file, line and key, and ends with status 2."""
    click.echo(describe(load_config(file)))


@config.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), default="policy.bin", show_default=True,
              help="Where to put the policy.")  # fmt: skip
@click.option("--proxy", type=click.Path(path_type=Path),
              help="Where to put the endpoints, tenants and regions that a Worker's proxy reads, as JSON.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print path, size and hash as JSON.")
def pack(file: Path, output: Path, proxy: Path | None, as_json: bool) -> None:
    """Pack FILE into the policy blob that the core loads, for example for a Worker's KV namespace.

    The hash that is printed is the one that GET /healthz of a Worker shows while this policy decides.
    """
    loaded = load_config(file)
    blob = pack_policy(loaded)
    _write(output, blob)
    if proxy is not None:
        _write(proxy, json.dumps(proxy_table(loaded), indent=2).encode() + b"\n")
    digest = hashlib.sha256(blob).hexdigest()
    if as_json:
        click.echo(json.dumps({"path": str(output), "bytes": len(blob), "sha256": digest}, indent=2))
    else:
        click.echo(f"{output}: {len(blob)} bytes, sha256 {digest}")


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise EdgewiseError(f"{path}: {error.strerror}") from None
