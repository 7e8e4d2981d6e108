"""`edgewise eval --outcomes`: quality against cost, on files that say how well each model answered."""

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table


def evaluate_outcomes(data: Path, docs: Path | None, as_json: bool) -> None:
    """Measure, print the bars or all figures, and write the page where a folder is given."""
    from edgewise_classifier.outcomes import evaluate_outcomes as run
    from edgewise_classifier.outcomes_page import bars

    report = run(data, Console(highlight=False, stderr=True).print)
    if docs is not None:
        _write(report, docs)
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    table = Table("bar", "figure", "95% interval", "")
    for row in bars(report):
        table.add_row(*(cell.replace("**", "").replace("[", r"\[") for cell in row))
    Console(highlight=False).print(table)


def _write(report: dict[str, Any], docs: Path) -> None:
    from edgewise_classifier.outcomes_page import markdown, pictures

    plots = pictures(report)
    for name, svg in plots.items():
        (docs / name).write_text(svg, encoding="utf-8")
    (docs / "outcomes.md").write_text(markdown(report, list(plots)), encoding="utf-8")
