"""`edgewise build`: compiles the router; needs a checkout and the extra `build`."""

import json
from pathlib import Path

import click

from edgewise.errors import EdgewiseError


@click.command()
@click.option("--backend", type=click.Choice(["aot"]), default="aot", show_default=True, help="What compiles the core.")
@click.option("--target", type=click.Choice(["component", "worker"]), default="component", show_default=True,
              help="What to make: the component, or the bundle for Cloudflare Workers.")  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path), help="Where to put it; where the package finds it otherwise."
)
@click.option("--json", "as_json", is_flag=True, help="Print the sizes as JSON.")
def build(backend: str, target: str, output: Path | None, as_json: bool) -> None:
    """Compile the routing core and its weights to WebAssembly, and print the sizes."""
    try:
        from edgewise_build.targets import build_target
    except ImportError as error:
        raise EdgewiseError(f"building needs `pip install 'edgewise[build]'` ({error.name} is missing)") from None
    made = build_target(target, output)
    if as_json:
        sizes = {"bytes": made.size, "gzip_bytes": made.gzip_size}
        click.echo(json.dumps({"backend": backend, "target": target, "path": str(made.path), **sizes}, indent=2))
    else:
        click.echo(f"{made.path}: {made.size / 1024:.0f} KB, {made.gzip_size / 1024:.0f} KB after gzip")
