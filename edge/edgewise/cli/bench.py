"""`edgewise bench`: latency percentiles, sizes and cold starts."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from edgewise import bench as measuring
from edgewise.errors import EdgewiseError


def _parse_tokens(_: click.Context, __: click.Parameter, value: str) -> list[int]:
    try:
        counts = [int(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter("write numbers separated by commas, such as 20,100,512") from None
    if min(counts) < 1 or max(counts) > 1_000_000:
        raise click.BadParameter("write numbers from 1 to 1000000")
    return counts


@click.command()
@click.option("--runtime", "runtimes", multiple=True, type=click.Choice(["wasmtime", "wasmtime-component", "workerd"]),
              default=("wasmtime", "wasmtime-component"), show_default=True, help="May be repeated.")  # fmt: skip
@click.option("--tokens", callback=_parse_tokens, default="20,50,100,512", show_default=True, help="Prompt sizes.")
@click.option(
    "-n", "n", type=click.IntRange(10, 1_000_000), default=1000, show_default=True, help="Measurements a row."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the JSON report to this file as well.")
def bench(runtimes: tuple[str, ...], tokens: list[int], n: int, as_json: bool, output: Path | None) -> None:
    """Measure the compiled router: time inside the module apart from the host's overhead, size, cold start, memory."""
    console = Console(highlight=False, stderr=as_json)
    rows: list[measuring.Row] = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("measuring", total=len(runtimes) * len(tokens))
        for runtime in runtimes:
            measure = _in_workerd() if runtime == "workerd" else partial(measuring.bench, runtime)
            rows += measure(tokens, n, lambda: progress.advance(task))
    report = measuring.report(rows)
    if output is not None:
        output.write_text(report + "\n", encoding="utf-8")
    if as_json:
        click.echo(report)
        return
    console.print(_table(rows))
    console.print(f"{measuring.machine()}; commit {measuring.commit() or 'unknown'}; us are microseconds, p50 / p99")


def _in_workerd() -> Callable[[list[int], int, Callable[[], None]], Iterator[measuring.Row]]:
    """The bench of the Worker, which is in the build and needs a checkout with Node packages."""
    try:
        from edgewise_build.worker_bench import bench as bench_worker
    except ImportError as error:
        raise EdgewiseError(f"the bench in workerd needs `pip install 'edgewise[build]'` ({error.name} is missing)") from None
    return bench_worker


def _table(rows: list[measuring.Row]) -> Table:
    table = Table("backend", "runtime", "tokens", "n", "inside us", "call us", "gzip KB", "cold ms", "memory MB")
    for row in rows:
        inside = "-" if row.inside_us is None else f"{row.inside_us[0]} / {row.inside_us[1]}"
        memory = f"{row.memory_bytes / 2**20:.1f}" if row.memory_bytes else "-"
        call = f"{row.call_us[0]} / {row.call_us[1]}"
        size = f"{row.gzip_bytes / 1024:.0f}"
        table.add_row(
            row.backend, row.runtime, str(row.tokens), str(row.n), inside, call, size, str(row.cold_ms), memory
        )
    return table
