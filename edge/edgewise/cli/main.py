"""The group that holds all commands. Bad use and bad input end with status 2 and one message."""

import sys

import click

from edgewise import __version__
from edgewise.cli.bench import bench
from edgewise.cli.build import build
from edgewise.cli.calibrate import calibrate
from edgewise.cli.classifier import evaluate, train
from edgewise.cli.config import config
from edgewise.cli.deploy import deploy
from edgewise.cli.economy import show_economy
from edgewise.cli.route import route
from edgewise.cli.serve import serve
from edgewise.cli.simulate import simulate
from edgewise.errors import EdgewiseError


class _Commands(click.Group):
    """A group whose commands report the errors of edgewise as bad use: a message, and status 2."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except EdgewiseError as error:
            raise click.UsageError(str(error)) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgewise")
def main() -> None:
    """An LLM router that runs at the edge: decides in microseconds which model should answer a chat request.

    Start with `edgewise route "your prompt"`.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


for command in (route, simulate, serve, bench, build, deploy, config, calibrate, show_economy, evaluate, train):
    main.add_command(command)
