"""What gateways add to a call, for readers: docs/proxy-benchmarks.md and its plot, made from the bench's JSON."""

from typing import Any

from edgewise.markdown import table
from edgewise_build.gateways import PYTHON, WORKER
from edgewise_build.mock_upstream import CHUNKS

Report = dict[str, Any]
Row = dict[str, Any]

_PANELS = (("whole_ms", "Added to a whole answer"), ("first_chunk_ms", "Added to the first chunk of a stream"))

_PAGE = """# What the proxy adds to a call

Written by `make bench-proxy`; do not edit. {machine}; commit {commit}; load average before the run {load}.

A mock upstream answers at once. Each gateway stands before it and is asked by the same client over connections that
are kept, with a prompt of some 50 tokens: {n:,} calls of each kind one after the other, and {connections} connections
at a time for throughput, in {rounds} rounds in which the gateways take turns. *Added* is the time of a call less the
median of a direct one ({whole:.2f} ms; {first:.2f} ms to the first chunk of a stream); in brackets the 95% confidence
interval of the median. A stream has {chunks} chunks. Each gateway runs in one process with the settings that it has
when nobody changes them. edgewise decides each request between two models with its classifier and follows each answer
as a session; the others pass requests on to one model.

{figures}

![What each gateway adds to a call, in milliseconds]({plot})

Client, gateway and upstream share the machine's cores: compare rows, not figures of other machines. edgewise reads
every chunk of a stream, which is why it answers far fewer streams a second than whole answers. Portkey's gateway waits
25 ms before the first chunk of a stream: a timer in its own code. Memory is resident, of all processes of a gateway,
before the first request and after the last; that of workerd, for which no limit is set here, levels off near 300 MB
after some ten thousand requests.

## Targets

{targets}
"""


def markdown(report: Report, plot: str = "proxy-benchmarks.svg") -> str:
    """The page for a report; `plot` is the file name of the picture beside it. The first row is the direct way."""
    direct = report["rows"][0]
    head = ["gateway", "added p50, ms", "added p99, ms", "first chunk, added p50, ms", "p99"]
    head += ["answers/s", "streams/s", "memory at rest, MB", "after"]
    met = [[what, limit, measured, "met" if ok else "**missed**"] for what, limit, measured, ok in targets(report)]
    return _PAGE.format(
        machine=report["machine"],
        commit=report["commit"] or "unknown",
        load=report["load"],
        n=direct["n"],
        connections=report["connections"],
        rounds=report["rounds"],
        whole=direct["whole_ms"]["direct_p50"],
        first=direct["first_chunk_ms"]["direct_p50"],
        chunks=CHUNKS,
        figures=table(head, [_cells(row) for row in report["rows"]]),
        plot=plot,
        targets=table(["what", "target", "measured", ""], met) if met else "The other gateways were not measured.",
    )


def targets(report: Report) -> list[tuple[str, str, str, bool]]:
    """Each target whose two gateways were measured: what it is, its limit, what was measured, whether it is met."""
    added = {row["name"]: row["whole_ms"]["p50"] for row in report["rows"]}
    found = []
    for ours, other, share, what in (
        (WORKER, "Portkey", 1.0, "the Worker adds less than Portkey's gateway"),
        (PYTHON, "LiteLLM", 1 / 3, "the Python proxy adds at most a third of LiteLLM's"),
    ):
        theirs = next((value for name, value in added.items() if name.startswith(other)), None)
        if theirs is not None and ours in added:
            limit = theirs * share
            found.append((what, f"{limit:.2f} ms", f"{added[ours]:.2f} ms", added[ours] <= limit))
    return found


def _cells(row: Row) -> list[str]:
    whole, first = row["whole_ms"], row["first_chunk_ms"]
    return [
        row["name"],
        _median(whole),
        f"{whole['p99']:.1f}",
        _median(first),
        f"{first['p99']:.1f}",
        f"{row['whole_per_second']:,}",
        f"{row['streams_per_second']:,}",
        f"{row['memory_at_rest_mb']:,}",
        f"{row['memory_after_mb']:,}",
    ]


def _median(times: Row) -> str:
    low, high = times["p50_interval"]
    return f"{times['p50']:.2f} [{low:.2f}, {high:.2f}]"


def svg(report: Report) -> str:
    """Bars of what each gateway adds at the median: to a whole answer, and to the first chunk of a stream."""
    from edgewise_classifier.plots import OURS, canvas, other_color

    rows = report["rows"][1:][::-1]
    names, colors = [row["name"] for row in rows], [OURS if row["ours"] else other_color(0) for row in rows]
    with canvas(8, 0.34 * len(rows) + 0.9) as (figure, text):
        panels = zip(figure.subplots(1, 2, sharey=True), _PANELS, strict=True)
        for axes, (key, title) in panels:
            values = [row[key]["p50"] for row in rows]
            bars = axes.barh(names, values, color=colors, height=0.6)
            axes.bar_label(bars, labels=[f"{value:.2f}" for value in values], padding=3)
            axes.set(title=title, xlabel="ms, median")
            axes.margins(x=0.18)
    return text.getvalue()
