"""`edgewise simulate`: replays traffic and shows where it went, what it cost, and how long it took."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from edgewise.config import Config, load_config
from edgewise.router import Router
from edgewise.simulation import Report, Scenario, load_scenario, read_rows, replay
from edgewise.simulation.arrivals import arrivals
from edgewise.simulation.distributed import replay_on_ray
from edgewise.simulation.events import Simulation
from edgewise.simulation.html import Page
from edgewise.simulation.replay import empty_report
from edgewise.simulation.rows import parts_of

T = TypeVar("T")

_MAX_ROWS = 12
_BAR = 40


@click.command()
@click.argument("traffic", type=click.Path(exists=True, path_type=Path))
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="A router.toml; the default otherwise.")
@click.option("--scenario", "scenario_file", type=click.Path(path_type=Path), help="A file that says what happens.")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Replay in this process, or on the Ray cluster of RAY_ADDRESS (without one, on a local cluster).",
)
@click.option("--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with plots.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def simulate(
    traffic: Path,
    config_file: Path | None,
    scenario_file: Path | None,
    engine: str,
    html_file: Path | None,
    as_json: bool,
) -> None:
    """Replay TRAFFIC through the compiled router: requests as JSON lines or Parquet, in a file or a directory.

    Without a scenario each request is decided by itself, and costs what the decision expects. With one, time passes:
    endpoints slow down and fail, prices change and budgets run out, and the router sees what hosts see.
    """
    if scenario_file is not None and engine == "ray":
        raise click.UsageError(
            "a scenario is one world, in which each answer changes what the next decision knows, so it cannot be cut"
            " into parts: leave out --scenario, or --engine ray"
        )
    if html_file is not None and not html_file.parent.is_dir():
        raise click.UsageError(f"--html {html_file}: there is no directory {html_file.parent}; make it first")
    page = Page() if html_file is not None else None
    config = load_config(config_file)
    scenario = load_scenario(scenario_file, config) if scenario_file is not None else None
    report = _replay(traffic, config, scenario, engine)
    if page is not None and html_file is not None:
        html_file.write_text(page.render(report, traffic.name, scenario), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(report.to_json(), ensure_ascii=False, indent=2))
    else:
        show(report, Console(highlight=False))


def _replay(traffic: Path, config: Config, scenario: Scenario | None, engine: str) -> Report:
    if engine == "ray":
        parts, report = parts_of(traffic), empty_report(config)
        for one in _track(replay_on_ray(config, parts), "parts", len(parts)):
            report.add(one)
        return report
    if scenario is not None:
        coming = _track(arrivals(scenario, read_rows(traffic)), "simulating")
        return Simulation(config, scenario, iter(coming)).run()
    return replay(Router(config), _track(read_rows(traffic), "routing"))


def _track(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """Show progress where someone looks; never in the output itself."""
    return track(items, what, total=total, transient=True, console=Console(stderr=True))


def show(report: Report, console: Console) -> None:
    """Print the report as tables."""
    data = report.to_json()
    console.print(
        f"[bold]{data['requests']} requests[/bold], {data['refused']} that no model could serve,"
        f" {data['failed']} that nobody answered"
    )
    console.print(_mix("model", data), _mix("task", data), _mix("language", data), _regions(data))
    for title, table in (("what the router gave up", data["gave_up"]), ("calls", data["attempts"])):
        if table:
            console.print(_lists(title, table))
    if data["changes"]:
        console.print(_changes(data))
    for line in _figures(data):
        console.print(line)


def _figures(data: dict[str, Any]) -> list[str]:
    ttft, decision, quality = data["ttft_ms"], data["decision_us"], data["quality"]
    lines = [
        f"cost      ${data['cost_usd']:.4f}; always {data['strongest']}:"
        f" ${data['cost_usd_always_strongest']:.4f}; saved {data['saving']:.1%}",
        f"to the first token  p50 {ttft['p50']} ms, p95 {ttft['p95']} ms, p99 {ttft['p99']} ms;"
        f" too late for {data['slo_missed']} of {data['slo_asked']} with an objective",
        f"decision  p50 {decision['p50']} us, p99 {decision['p99']} us (the whole call)",
        f"abstained {data['abstained']}, cut {data['truncated']}, answered by a fallback {data['fell_back']}",
    ]
    if quality["judged"]:
        strongest = "" if quality["strongest"] is None else f"; {data['strongest']}: {quality['strongest']}"
        lines.append(f"quality   {quality['mean']} over {quality['judged']} answers where it is known{strongest}")
    return lines


def _mix(kind: str, data: dict[str, Any]) -> Table:
    table = Table(kind, "requests", "", title_justify="left")
    counts = data["mix"][kind]
    for name, count in list(counts.items())[:_MAX_ROWS]:
        table.add_row(name, str(count), "#" * max(1, round(_BAR * count / max(counts.values()))))
    return table


def _regions(data: dict[str, Any]) -> Table:
    table = Table("region", "requests", "p50 ms", "p95 ms", "p99 ms", "too late")
    for name, region in list(data["regions"].items())[:_MAX_ROWS]:
        times = (str(region["ttft_ms"][percent]) for percent in ("p50", "p95", "p99"))
        table.add_row(name, str(region["requests"]), *times, str(region["slo_missed"]))
    return table


def _lists(title: str, tables: dict[str, dict[str, int]]) -> Table:
    table = Table(title, "", title_justify="left")
    for name, counts in tables.items():
        listed = [f"{one.replace('_', ' ')} {count}" for one, count in list(counts.items())[:_MAX_ROWS]]
        table.add_row(name.replace("_", " "), ", ".join(listed))
    return table


def _changes(data: dict[str, Any]) -> Table:
    table = Table("at", "what", "model", "region")
    for change in data["changes"][:_MAX_ROWS]:
        table.add_row(change["at"], change["what"].replace("_", " "), change["model"], change["region"] or "all")
    if len(data["changes"]) > _MAX_ROWS:
        table.add_row("", f"and {len(data['changes']) - _MAX_ROWS} more, in --json and --html", "", "")
    return table
