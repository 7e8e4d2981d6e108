"""`edgewise serve`: the proxy; needs the extra `serve`."""

import logging
from pathlib import Path

import click

from edgewise.errors import EdgewiseError


@click.command()
@click.option("--config", type=click.Path(path_type=Path), envvar="EDGEWISE_CONFIG", show_envvar=True,
              help="A router.toml with an endpoint for each model. SIGHUP reads it again.")  # fmt: skip
@click.option(
    "--host", default="127.0.0.1", show_default=True, help='The address to listen on; "0.0.0.0" in a container.'
)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info",
              show_default=True, help="info has a line a request, without its text.")  # fmt: skip
def serve(config: Path | None, host: str, port: int, log_level: str) -> None:
    """Answer clients of the OpenAI API until SIGTERM, each request by the model that suits it.

    POST /v1/chat/completions with "model": "auto" (or auto:cost, auto:quality, auto:latency, or a model's own name)
    calls the endpoints of router.toml, falls back where one fails, in the middle of an answer too, and streams one
    answer to the client. POST /v1/route only decides. GET /v1/models, /metrics and /healthz say what there is.

    Without --config the default catalogue decides, which has no endpoints: then only POST /v1/route is of use.
    """
    try:
        from edgewise import server
    except ImportError as error:
        raise EdgewiseError(f"serving needs `pip install 'edgewise[serve]'` ({error.name} is missing)") from None
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    live = server.LiveRouter(config)
    with server.listen(host, port) as sock:
        server.serve(server.create_app(live), live, sock)
