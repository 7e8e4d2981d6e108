"""`edgewise eval --monitor`: how well the mid-query monitor does on texts that models and people really wrote."""

import json
from pathlib import Path

import click
from rich.console import Console

from edgewise.errors import EdgewiseError

PAGE = "monitor.md"


def evaluate_monitor(data: Path, docs: Path | None, as_json: bool) -> None:
    """Measure, print the figures, and write them into the folder's monitor.md where a folder is given."""
    from edgewise_classifier.monitor import evaluate
    from edgewise_classifier.monitor_page import section, with_figures

    try:
        report = evaluate(data, Console(highlight=False, stderr=True).print)
        if docs is not None:
            page = docs / PAGE
            page.write_text(with_figures(page.read_text(encoding="utf-8"), report), encoding="utf-8")
    except (OSError, ValueError) as error:
        raise EdgewiseError(str(error)) from None
    click.echo(json.dumps(report, indent=2) if as_json else section(report), nl=as_json)
