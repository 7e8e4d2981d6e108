"""`edgewise train` and `edgewise eval`: make the classifier and measure it; both need the extra `train`."""

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from edgewise.cli.monitor import evaluate_monitor
from edgewise.cli.outcomes import evaluate_outcomes
from edgewise.errors import EdgewiseError

_data = click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with sets/ and outcomes/, as docs/data.md describes it.",
)


@click.command()
@_data
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Instead of classifier/model.")
@click.option("--epochs", type=click.IntRange(1, 100), default=8, show_default=True, help="Passes over the prompts.")
@click.option("--versions", type=click.IntRange(1, 10), default=3, show_default=True,
              help="Versions of each prompt that are seen: itself, and itself with typos, wrappers, cuts.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed and data give the same model.")
def train(data: Path, output: Path | None, epochs: int, versions: int, seed: int) -> None:
    """Train the classifier, quantize it, export it as integer ONNX, and verify the export."""
    try:
        from edgewise_classifier.evaluate import MODEL
        from edgewise_classifier.train import train as run
    except ImportError as error:
        raise _missing(error) from None
    console = Console(highlight=False)
    try:
        trained = run(data, output or MODEL.parent, epochs=epochs, versions=versions, seed=seed, progress=console.print)
    except ValueError as error:
        raise EdgewiseError(str(error)) from None
    console.print(f"written to {trained.model}; the router abstains below {trained.abstain_below / 10_000:.2f}")


@click.command(name="eval")
@_data
@click.option("--limit", type=click.IntRange(1), default=250, show_default=True, help="Rows of a source at most.")
@click.option("--baselines/--no-baselines", default=True, show_default=True,
              help="Train light baselines, and run language identifiers (the extra eval-language).")  # fmt: skip
@click.option("--heavy", is_flag=True, help="Also the baselines on MiniLM embeddings; takes minutes the first time.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--docs", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Write evaluation.md, its plots and evaluation.json into this folder.")  # fmt: skip
@click.option("--outcomes", is_flag=True, help="Measure quality against cost instead, on the files in outcomes/.")
@click.option("--monitor", is_flag=True, help="Measure the mid-query monitor instead, on what models wrote.")
def evaluate(
    data: Path,
    limit: int,
    baselines: bool,
    heavy: bool,
    as_json: bool,
    docs: Path | None,
    outcomes: bool,
    monitor: bool,
) -> None:
    """Measure the shipped classifier on test sets that training never saw, beside baselines.

    Prints the bars that the project set itself, whether they are held, and where the classifier is known to fail; all
    figures are in the JSON and on the page.
    """
    try:
        from edgewise_classifier.evaluate import evaluate as run
    except ImportError as error:
        raise _missing(error) from None
    if outcomes:
        evaluate_outcomes(data, docs, as_json)
        return
    if monitor:
        evaluate_monitor(data, docs, as_json)
        return
    console = Console(highlight=False, stderr=True)
    try:
        report = run(data, limit=limit, baselines=baselines, heavy=heavy, progress=console.print).to_json()
    except ValueError as error:
        raise EdgewiseError(str(error)) from None
    text = json.dumps(report, indent=1, ensure_ascii=False)
    if docs is not None:
        _write(report, text, docs)
    if as_json:
        click.echo(text)
    else:
        _show(report)


def _missing(error: ImportError) -> EdgewiseError:
    return EdgewiseError(f"this needs `pip install 'edgewise[train]'` ({error.name} is missing)")


def _write(report: dict[str, Any], text: str, docs: Path) -> None:
    """The page, its plots and its figures; plots of an earlier run that this one has nothing for are removed."""
    from edgewise_classifier.evaluation_page import markdown
    from edgewise_classifier.plots import plots

    for old in docs.glob("evaluation-*.svg"):
        old.unlink()
    pictures = plots(report)
    for name, svg in pictures.items():
        (docs / name).write_text(svg, encoding="utf-8")
    (docs / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    (docs / "evaluation.md").write_text(markdown(report, list(pictures)), encoding="utf-8")


def _show(report: dict[str, Any]) -> None:
    from edgewise_classifier.evaluation_page import BAR_COLUMNS, bar_rows
    from edgewise_classifier.failures import known_failures

    table = Table(*BAR_COLUMNS)
    for row in bar_rows(report["bars"]):
        table.add_row(*(cell.replace("**not held**", "[red]not held[/red]") for cell in row))
    console = Console(highlight=False)
    console.print(table)
    console.print("Known failures:")
    for failure in known_failures(report):
        console.print(f"- {failure}")
    console.print(f"{report['machine']}; commit {report['commit'] or 'unknown'}; {report['rows']:,} prompts")
