"""`edgewise economy`: what routing saves at the prices of a router.toml, and what misrouting loses of it."""

import json
from decimal import Decimal
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from edgewise.config import load_config
from edgewise.economy import MISROUTED, Economy, Query, economy
from edgewise.errors import EdgewiseError


@click.command(name="economy")
@click.option("-c", "--config", type=click.Path(path_type=Path),
              help="The router.toml whose prices count; by default the catalogue of edgewise.")  # fmt: skip
@click.option("--cheap", help="Who answers the easy queries; by default the cheapest model.")
@click.option("--frontier", help="Who answers the hard ones; by default the strongest model.")
@click.option(
    "--cheap-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.7,
    show_default=True,
    help="The share of easy queries.",
)
@click.option("--tokens", type=click.IntRange(1), default=2_000, show_default=True, help="Input tokens of a query.")
@click.option("--output-tokens", type=click.IntRange(0), default=0, show_default=True, help="Tokens of its answer.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--docs", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Write economy.md and its plot, for the catalogue of edgewise, into this folder.")  # fmt: skip
def show_economy(
    config: Path | None,
    cheap: str | None,
    frontier: str | None,
    cheap_share: float,
    tokens: int,
    output_tokens: int,
    as_json: bool,
    docs: Path | None,
) -> None:
    """Show what routing saves a query, and how much of the saving is lost to misrouting.

    Everything follows from prices and quality tables; what your own traffic would cost says `edgewise simulate`.
    """
    found = economy(load_config(config), cheap, frontier, Decimal(str(cheap_share)), Query(tokens, output_tokens))
    if docs is not None:
        _write(docs)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        _show(found)


def _show(found: Economy) -> None:
    console = Console(highlight=False)
    console.print(
        f"{found.query.input_tokens:,} tokens in, {found.query.output_tokens:,} out; {found.cheap_share:.0%} of the "
        f"queries to {found.cheap}, the others to {found.frontier}"
    )
    table = Table("a query", "USD", "right answers")
    table.add_row(f"always {found.frontier}", f"{found.cost_frontier:.6f}", f"{found.quality_always:.1%}")
    table.add_row("routed", f"{found.cost_routed:.6f}", f"{found.quality_routed:.1%}")
    table.add_row("saving", f"{found.saving:.6f} ({found.saved_share:.1%})", "")
    console.print(table)
    dearest = [] if found.strongest == found.frontier else [f"easy to {found.strongest}"]
    lost = Table("misrouted", f"easy to {found.frontier}", *dearest, f"hard to {found.cheap}", "answers lost with it",
                 title="of the saving is lost", title_justify="left")  # fmt: skip
    for one in map(found.misrouting, MISROUTED):
        shares = [one.share, one.to_frontier, *([one.to_strongest] if dearest else []), one.to_cheap]
        lost.add_row(*(f"{share:.1%}" for share in shares), f"{one.quality_lost:.2%}")
    console.print(lost)
    console.print(
        f"A right answer counts {found.answer_value.normalize():f} USD; what the cheap model saves counts against it."
    )


def _write(docs: Path) -> None:
    try:
        from edgewise.economy_page import markdown, plot
    except ImportError as error:
        raise EdgewiseError(f"--docs needs `pip install 'edgewise[train]'` ({error.name} is missing)") from None
    (docs / "economy.svg").write_text(plot(), encoding="utf-8")
    (docs / "economy.md").write_text(markdown(), encoding="utf-8")
