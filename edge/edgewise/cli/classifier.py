"""`edgewise train` and `edgewise eval`: make the classifier and measure it; need the extra `train`."""

from pathlib import Path

import click

from edgewise.errors import EdgewiseError

_DATA = click.option("--data", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path),
                     help="A folder with sets/ and outcomes/ as docs/data.md describes.")  # fmt: skip


@click.command()
@_DATA
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write the model; classifier/model otherwise.",
)
def train(data: Path, output: Path | None) -> None:
    """Train the classifier, quantize it, export it as integer ONNX, and verify the export."""
    raise NotImplementedError


@click.command(name="eval")
@_DATA
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def evaluate(data: Path, as_json: bool) -> None:
    """Measure the shipped classifier on test sets that training never saw, beside baselines."""
    raise EdgewiseError("not built yet")
