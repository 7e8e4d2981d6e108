"""`edgewise config`: checks a router.toml and shows what it says."""

from pathlib import Path

import click

from edgewise.config import describe, load_config


@click.group()
def config() -> None:
    """Work with router.toml."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Check FILE; a mistake is named with file, line and key, and ends with status 2."""
    click.echo(describe(load_config(file)))
