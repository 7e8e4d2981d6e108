"""The plots of the report, as SVG."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from edgewise.core.labels import SCORE_ONE
from edgewise.money import to_dollars
from edgewise.percentiles import percentile_of_counts
from edgewise.simulation.report import Report, most_common
from edgewise.simulation.scenario import DAY_MS
from edgewise.simulation.tally import Tally

Span = tuple[str, int, int]
"""A name, and from when to when, Unix time in ms."""
Steps = Sequence[tuple[int, Tally]]
"""Sums over time, each with the middle of its time, Unix time in ms."""

_MAX_REGIONS = 8
_STYLE: Any = {
    "date.converter": "concise",
    "timezone": "UTC",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}


def draw_charts(report: Report, spans: Sequence[Span]) -> dict[str, str]:
    """The plots by their titles; none where the traffic has no times. `spans` are shaded."""
    steps = [(start + report.step_ms // 2, tally) for start, tally in report.steps()]
    if len(steps) < 2:
        return {}
    charts = {
        "Time to the first token: 95th percentile by region": _draw_ttft(report, steps, spans),
        "Who answered": _draw_shares(report, steps, spans),
        f"Cost so far, against always {report.strongest}": _draw_cost(report, steps, spans),
    }
    if report.total.judged:
        charts["Quality of the answers, where it is known"] = _draw_quality(report, steps, spans)
    return charts


def _draw_ttft(report: Report, steps: Steps, spans: Sequence[Span]) -> str:
    with _axes("ms", steps, spans) as (axes, svg):
        for region in list(most_common(report.total.regions))[:_MAX_REGIONS]:
            points = [(at, percentile_of_counts(tally.ttft_counts(region), 0.95)) for at, tally in steps]
            seen = [(at, p95) for at, p95 in points if p95]
            axes.plot(_days([at for at, _ in seen]), [p95 for _, p95 in seen], label=region, linewidth=1.3)
        axes.set_ylim(bottom=0)
    return svg.getvalue()


def _draw_shares(report: Report, steps: Steps, spans: Sequence[Span]) -> str:
    with _axes("share of answers", steps, spans) as (axes, svg):
        models = list(most_common(report.total.models))
        shares = [[tally.models[model] / max(1, tally.served) for _, tally in steps] for model in models]
        axes.stackplot(_days([at for at, _ in steps]), shares, labels=models, alpha=0.85)
        axes.set_ylim(0, 1)
    return svg.getvalue()


def _draw_cost(report: Report, steps: Steps, spans: Sequence[Span]) -> str:
    with _axes("USD", steps, spans) as (axes, svg):
        times = _days([at + report.step_ms // 2 for at, _ in steps])
        for label, costs in (
            (f"always {report.strongest}", [tally.cost_of_strongest for _, tally in steps]),
            ("routed", [tally.cost for _, tally in steps]),
        ):
            axes.plot(times, [to_dollars(cost) for cost in accumulate(costs)], label=label)
        axes.set_ylim(bottom=0)
    return svg.getvalue()


def _draw_quality(report: Report, steps: Steps, spans: Sequence[Span]) -> str:
    with _axes("mean score", steps, spans) as (axes, svg):
        for label, sums in (
            (report.strongest, [(at, t.quality_of_strongest, t.judged_of_strongest) for at, t in steps]),
            ("routed", [(at, t.quality, t.judged) for at, t in steps]),
        ):
            known = [(at, score / (count * SCORE_ONE)) for at, score, count in sums if count]
            axes.plot(_days([at for at, _ in known]), [mean for _, mean in known], label=label)
        axes.set_ylim(0, 1.02)
    return svg.getvalue()


@contextmanager
def _axes(unit: str, steps: Steps, spans: Sequence[Span]) -> Iterator[tuple[Any, io.StringIO]]:
    """Axes over time to draw on; at the end the picture stands in the buffer."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": unit}):
        figure = Figure(figsize=(9.5, 3.4), layout="constrained")
        axes, svg = figure.subplots(), io.StringIO()
        yield axes, svg
        for name, begin, end in spans:
            left, right = _days([begin, end])
            axes.axvspan(left, right, color="0.5", alpha=0.15, linewidth=0)
            axes.text(left, 1.01, name, fontsize=8, color="0.35", transform=axes.get_xaxis_transform())
        axes.set_ylabel(unit)
        axes.xaxis_date()
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=9)
        figure.savefig(svg, format="svg", metadata={"Creator": None, "Date": None})


def _days(times_ms: Sequence[int]) -> list[float]:
    """Times as matplotlib counts them: in days from 1970."""
    return [at_ms / DAY_MS for at_ms in times_ms]
