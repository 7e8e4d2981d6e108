"""`edgewise config`: checks a router.toml, shows what it says, and packs it for hosts."""

import hashlib
import json
from pathlib import Path

import click

from edgewise.config import describe, load_config
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
@click.option("--json", "as_json", is_flag=True, help="Print path, size and hash as JSON.")
def pack(file: Path, output: Path, as_json: bool) -> None:
    """Pack FILE into the policy blob that the core loads, for example for a Worker's KV namespace.

    The hash that is printed is the one that GET /healthz of a Worker shows while this policy decides.
    """
    blob = pack_policy(load_config(file))
    try:
        output.write_bytes(blob)
    except OSError as error:
        raise EdgewiseError(f"{output}: {error.strerror}") from None
    digest = hashlib.sha256(blob).hexdigest()
    if as_json:
        click.echo(json.dumps({"path": str(output), "bytes": len(blob), "sha256": digest}, indent=2))
    else:
        click.echo(f"{output}: {len(blob)} bytes, sha256 {digest}")
