"""The bench for readers: docs/benchmarks.md and its plot, made from the bench's JSON."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edgewise.markdown import table

Report = dict[str, Any]
Rows = list[dict[str, Any]]

_KB = 1024
_MB = 1024 * 1024
_COMPONENT = ("wasmtime", "wasmtime-component")

_HOW = """\
`inside` is the time of a decision within the module, from batches that repeat it without leaving the runtime (so the
percentiles are those of batch means); `call` is a whole call from the host, from the parsed request to the decision
object, one at a time except in workerd, whose clock is too coarse for that. `cold` is the time to an engine that can
decide: under wasmtime with its compiled code cached on disk, in workerd an instance with its policy. `gzip` is the
component; in workerd the whole upload. Times are microseconds unless they say otherwise; in brackets the 95% confidence
interval of the median."""

_PEERS = """\
Measured in the same run, on one thread. *same model* is our classifier's integer graph, its hashed features given: so
without reading the request, without language identification and without a policy. *MiniLM int8* is all-MiniLM-L6-v2,
exported and quantized here, with its tokenizer under onnxruntime and without it under onnxruntime-web: one sentence
embedding, no decision. The last column is its median call divided by that of the whole decision under wasmtime (`aot`)
at the same number of tokens."""


@dataclass(frozen=True)
class Budget:
    """What a measurement may be, and what it was; both in the same unit."""

    what: str
    limit: str
    measured: str
    ok: bool


def markdown(report: Report, plot: str = "benchmarks.svg") -> str:
    """The page for a report; `plot` is the file name of the picture beside it."""
    ours, peers = _split(report["rows"])
    parts = [
        "# Benchmarks",
        "Written by `make bench`; do not edit. "
        f"{report['machine']}; commit {report['commit'] or 'unknown'}; load average before the run {report['load']}.",
        _HOW,
        table(
            ["build", "runtime", "tokens", "n", "inside p50", "p99", "call p50", "p99", "gzip", "cold", "memory"],
            [_our_row(row) for row in ours],
        ),
        f"![Median time of a decision by prompt size, on a logarithmic axis]({plot})",
        "## Budgets",
        table(
            ["what", "budget", "measured", ""],
            [[b.what, b.limit, b.measured, "ok" if b.ok else "**over**"] for b in budgets(ours)],
        ),
    ]
    if peers:
        parts += ["## What else could run in the same place", _PEERS, table(
            ["peer", "runtime", "tokens", "n", "p50", "p99", "gzip", "cold", "x our decision"],
            [_peer_row(row, ours) for row in peers],
        )]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def budgets(rows: Rows) -> list[Budget]:
    """The budgets of docs/architecture.md that the rows have something to say about."""
    return list(_budgets(rows))


def _budgets(rows: Rows) -> Iterator[Budget]:
    for row in rows:
        aot, tokens, runtime = row["backend"] == "aot", row["tokens"], row["runtime"]
        inside, call = row["inside_us"], row["call_us"]
        if aot and inside and tokens == 512:
            yield _time(f"one decision inside, 512 tokens, {runtime}, p50", 150, inside["p50"])
            yield _time(f"one decision inside, 512 tokens, {runtime}, p99", 500, inside["p99"])
        if aot and inside and tokens == 50:
            yield _time(f"one decision inside, 50 tokens, {runtime}, p50", 30, inside["p50"])
        if aot and runtime == "wasmtime-component" and tokens == 512:
            yield _time("a call of the typed component API, 512 tokens, p50", 300, call["p50"])
            yield _time("a call of the typed component API, 512 tokens, p99", 2000, call["p99"])
        if row["backend"] == "componentize-py" and tokens == 512:
            yield _time(f"componentize-py, 512 tokens, {runtime}, p99", 10_000, call["p99"])
    for row in _first_of_each_runtime(rows):
        if row["backend"] != "aot":
            continue
        size, memory, runtime = row["gzip_bytes"], row["memory_bytes"], row["runtime"]
        if runtime == "wasmtime":
            yield Budget("component, gzip", "1.2 MB", f"{size / _MB:.2f} MB", size <= 1.2 * _MB)
        if runtime == "workerd":
            yield Budget("Worker upload, gzip", "1.5 MB", f"{size / _MB:.2f} MB", size <= 1.5 * _MB)
            yield Budget("instantiation in workerd", "10 ms", f"{row['cold_ms']} ms", row["cold_ms"] <= 10)
        if memory:
            yield Budget(f"linear memory, {runtime}", "8 MB", f"{memory / _MB:.1f} MB", memory <= 8 * _MB)


def _time(what: str, limit_us: int, measured_us: float) -> Budget:
    return Budget(what, f"{limit_us:,} us", f"{measured_us:,.1f} us", measured_us <= limit_us)


def _first_of_each_runtime(rows: Rows) -> Rows:
    return list({(row["backend"], row["runtime"]): row for row in reversed(rows)}.values())[::-1]


def _split(rows: Rows) -> tuple[Rows, Rows]:
    """Our rows, and those of peers: only a peer has a name with a space in it."""
    return [row for row in rows if " " not in row["backend"]], [row for row in rows if " " in row["backend"]]


def _our_row(row: dict[str, Any]) -> list[str]:
    inside = row["inside_us"]
    memory = f"{row['memory_bytes'] / _MB:.1f} MB" if row["memory_bytes"] else ""
    return [
        row["backend"],
        row["runtime"],
        f"{row['tokens']:,}",
        f"{row['n']:,}",
        _median(inside) if inside else "",
        f"{inside['p99']:,.1f}" if inside else "",
        _median(row["call_us"]),
        f"{row['call_us']['p99']:,.1f}",
        f"{row['gzip_bytes'] / _KB:,.0f} KB",
        f"{row['cold_ms']:.1f} ms",
        memory,
    ]


def _peer_row(row: dict[str, Any], ours: Rows) -> list[str]:
    call = row["call_us"]
    same = [
        one["call_us"]["p50"]
        for one in ours
        if (one["backend"], one["runtime"], one["tokens"]) == ("aot", "wasmtime", row["tokens"])
    ]
    ratio = f"{call['p50'] / same[0]:,.1f}" if same and same[0] else ""
    size, cold = f"{row['gzip_bytes'] / _KB:,.0f} KB", f"{row['cold_ms']:.1f} ms"
    return [row["backend"], row["runtime"], f"{row['tokens']:,}", f"{row['n']:,}", _median(call),
            f"{call['p99']:,.1f}", size, cold, ratio]  # fmt: skip


def _median(latency: dict[str, Any]) -> str:
    low, high = latency["p50_interval"]
    return f"{latency['p50']:,.1f} [{low:,.1f}, {high:,.1f}]"


_WIDTH, _LEFT, _TOP, _ROW = 760, 230, 48, 22
_PLOT = _WIDTH - _LEFT - 96
_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1a2029 }
.quiet { fill: #596372 } .grid { stroke: #d9dde3 } .ours { fill: #0b62c4 } .peer { fill: #9aa5b4 }
@media (prefers-color-scheme: dark) {
text { fill: #e8ebf0 } .quiet { fill: #a3adbb } .grid { stroke: #313945 } .ours { fill: #6db3ff }
.peer { fill: #5d6878 }
}"""


def svg(report: Report) -> str:
    """A bar for the median call of each row on a logarithmic axis, from the smallest prompt to the largest."""
    rows = sorted(report["rows"], key=lambda row: row["tokens"])
    times = [max(0.1, row["call_us"]["p50"]) for row in rows]
    first = math.floor(math.log10(min(times, default=1)))
    last = max(first + 1, math.ceil(math.log10(max(times, default=10))))
    lines, y = [], _TOP
    tokens = None
    for row, time in zip(rows, times, strict=True):
        if row["tokens"] != tokens:
            tokens = row["tokens"]
            y += _ROW
            lines.append(f'<text x="8" y="{y - 6}" font-weight="600">{tokens:,} tokens</text>')
        width = _PLOT * (math.log10(time) - first) / (last - first)
        kind = "peer" if " " in row["backend"] else "ours"
        name = f"{row['backend']}, {row['runtime']}"
        lines += [
            f'<text x="{_LEFT - 8}" y="{y + 12}" text-anchor="end" class="quiet">{name}</text>',
            f'<rect x="{_LEFT}" y="{y + 1}" width="{max(1.0, width):.1f}" height="14" rx="2" class="{kind}"/>',
            f'<text x="{_LEFT + width + 6:.1f}" y="{y + 12}">{_readable(time)}</text>',
        ]
        y += _ROW
    grid = []
    for power in range(first, last + 1):
        x = _LEFT + _PLOT * (power - first) / (last - first)
        grid.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{y}" class="grid"/>')
        grid.append(
            f'<text x="{x:.1f}" y="{_TOP - 8}" text-anchor="middle" class="quiet">{_readable(10.0**power)}</text>'
        )
    title = '<text x="8" y="20" font-weight="600">Median time of one call (logarithmic)</text>'
    size = f'width="{_WIDTH}" height="{y + 12}" viewBox="0 0 {_WIDTH} {y + 12}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="Median time of one call">'
    return "\n".join([head, f"<style>{_STYLE}</style>", title, *grid, *lines, "</svg>"]) + "\n"


def _readable(microseconds: float) -> str:
    if microseconds < 1000:
        return f"{microseconds:,.0f} us"
    return f"{microseconds / 1000:,.1f} ms" if microseconds < 10_000 else f"{microseconds / 1000:,.0f} ms"
