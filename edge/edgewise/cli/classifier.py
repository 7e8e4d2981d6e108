"""`edgewise train` and `edgewise eval`: make the classifier and measure it; both need the extra `train`."""

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

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
@click.option("--epochs", type=click.IntRange(1, 100), default=7, show_default=True, help="Passes over the prompts.")
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
@click.option("--baselines/--no-baselines", default=True, show_default=True, help="Train the light baselines as well.")
@click.option("--heavy", is_flag=True, help="Also the baselines on MiniLM embeddings; takes some minutes.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def evaluate(data: Path, limit: int, baselines: bool, heavy: bool, as_json: bool) -> None:
    """Measure the shipped classifier on test sets that training never saw, beside baselines."""
    try:
        from edgewise_classifier.evaluate import evaluate as run
    except ImportError as error:
        raise _missing(error) from None
    console = Console(highlight=False, stderr=True)
    report = run(data, limit=limit, baselines=baselines, heavy=heavy, progress=console.print).to_json()
    if as_json:
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        _show(report)


def _missing(error: ImportError) -> EdgewiseError:
    return EdgewiseError(f"this needs `pip install 'edgewise[train]'` ({error.name} is missing)")


def _show(report: dict[str, Any]) -> None:
    console = Console(highlight=False)
    for head, figures in report["heads"].items():
        names = list(figures["pooled"])
        table = Table(head, *names, title_justify="left")
        table.add_row("[bold]pooled[/bold]", *(_figure(figures["pooled"][name]) for name in names))
        for source, metrics in figures["sources"].items():
            table.add_row(source, *(_figure(metrics.get(name)) for name in names))
        console.print(table)
    for baseline, heads in report["baselines"].items():
        for head, figures in heads.items():
            listed = ", ".join(f"{name} {_figure(value)}" for name, value in figures["pooled"].items())
            console.print(f"{baseline}, {head}: {listed}")


def _figure(value: Any) -> str:
    if isinstance(value, list):
        return " to ".join(_figure(one) for one in value)
    return f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value)
