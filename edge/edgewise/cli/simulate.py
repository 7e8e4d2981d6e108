"""`edgewise simulate`: replays a file of traffic and shows where it went and what it cost."""

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from edgewise.money import to_dollars
from edgewise.router import Router
from edgewise.simulate import Report
from edgewise.simulate import simulate as run
from edgewise.traffic import read_traffic


@click.command()
@click.argument("traffic", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="A router.toml; the default catalogue otherwise.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def simulate(traffic: Path, config: Path | None, as_json: bool) -> None:
    """Replay TRAFFIC, a file of requests (one JSON object per line), through the compiled router."""
    requests = list(read_traffic(traffic))
    report = run(Router(config), requests if as_json else track(requests, "routing", transient=True))
    if as_json:
        click.echo(json.dumps(report.to_json(), ensure_ascii=False, indent=2))
    else:
        show(report, Console(highlight=False))


def show(report: Report, console: Console) -> None:
    """Print the report as tables."""
    data = report.to_json()
    console.print(f"[bold]{report.requests} requests[/bold], {report.unserved} that no model could serve")
    console.print(_mix("model", data), _mix("task", data), _mix("language", data))
    dollars = to_dollars(report.cost)
    always = to_dollars(report.cost_of_strongest)
    console.print(f"cost      ${dollars:.4f}; always {report.strongest}: ${always:.4f}; saved {report.saving:.1%}")
    console.print(
        f"decision  p50 {data['decision_us']['p50']} us, p99 {data['decision_us']['p99']} us (the whole call)"
    )
    console.print(f"abstained {report.abstained}, cut {report.truncated}, first token too late {report.slo_missed}")


def _mix(kind: str, data: dict[str, Any]) -> Table:
    table = Table(kind, "requests", "", title_justify="left")
    counts = data["mix"][kind]
    for name, count in list(counts.items())[:12]:
        table.add_row(name, str(count), "#" * max(1, round(40 * count / max(counts.values()))))
    return table
