"""`edgewise calibrate`: quality tables for router.toml from outcomes of one's own traffic; needs the extra `train`."""

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from edgewise.config import load_config
from edgewise.errors import EdgewiseError


@click.command()
@click.argument("outcomes", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-c", "--config", type=click.Path(path_type=Path),
              help="The router.toml whose models the outcomes name; by default the catalogue of edgewise.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print tables and errors as JSON.")
def calibrate(outcomes: Path, config: Path | None, as_json: bool) -> None:
    """Print quality tables that fit OUTCOMES, to put in place of those in router.toml.

    OUTCOMES are JSON lines: a prompt (`text`, or `messages`), and how good each model's answer was, from 0 to 1:

    \b
        {"text": "Who wrote Faust?", "scores": {"gpt-4o": 1, "qwen2.5-7b": 0.5}}

    Not every prompt needs every model. Some hundred prompts a model are a start; what they say little about stays near
    what the configuration said. The errors printed beside the tables say what was won on prompts held out.
    """
    try:
        from edgewise_classifier import calibration
    except ImportError as error:
        raise EdgewiseError(f"this needs `pip install 'edgewise[train]'` ({error.name} is missing)") from None
    console = Console(highlight=False, stderr=True)
    found = calibration.calibrate(load_config(config), calibration.read_outcomes(outcomes), console.print)
    if as_json:
        click.echo(json.dumps({one.model: one.to_json() for one in found}, indent=2))
        return
    table = Table("model", "prompts", "mean squared error before", "after, on prompts held out")
    for one in found:
        table.add_row(one.model, f"{one.prompts:,}", f"{one.error_before:.4f}", f"{one.error_after:.4f}")
    console.print(table)
    click.echo(calibration.to_toml(found), nl=False)
