"""The plots of an evaluation as SVG, from its JSON."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from edgewise_classifier.baselines import NAMES
from edgewise_classifier.identification import BUCKETS

Json = dict[str, Any]

OURS = "#0b62c4"
_OTHERS = ("#8a94a3", "#c0504d", "#5b9a52", "#8d6bb8", "#c58a2b")
_ROWS_OF_A_BIN = 10
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "edgewise",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e6ea",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def plots(report: Json) -> dict[str, str]:
    """SVG by file name; those of what the report has figures for."""
    found = {}
    if report["heads"]["task"]["sources"]:
        found["evaluation-confidence.svg"] = _confidence(report)
        found["evaluation-sources.svg"] = _sources(report)
        found["evaluation-robustness.svg"] = _robustness(report)
    if "language" in report["heads"]:
        found["evaluation-language.svg"] = _language(report)
    if report["costs"]:
        found["evaluation-misrouting.svg"] = _misrouting(report)
    return found


@contextmanager
def canvas(width: float, height: float) -> Iterator[tuple[Figure, io.StringIO]]:
    """A figure in inches, and where its SVG goes."""
    text = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, text
        figure.savefig(text, format="svg", metadata={"Date": None})  # so that the same figures give the same file


def other_color(place: int) -> str:
    """The color of the others, by their place."""
    return _OTHERS[place % len(_OTHERS)]


def _others(report: Json, head: str) -> dict[str, Json]:
    """The baselines that have this head, by a name for readers."""
    return {NAMES.get(name, name): heads[head] for name, heads in report["baselines"].items() if head in heads}


def _confidence(report: Json) -> str:
    """How much can be answered at which precision; and whether the confidence says how often a head is right."""
    with canvas(9, 3.6) as (figure, text):
        left, right = figure.subplots(1, 2)
        task = report["heads"]["task"]["pooled"]
        for place, (name, head) in enumerate(_others(report, "task").items()):
            if name != "keyword rules":
                left.plot(
                    *zip(*head["pooled"]["abstention_curve"], strict=True), color=other_color(place), lw=1, label=name
                )
        left.plot(*zip(*task["abstention_curve"], strict=True), color=OURS, lw=2, label="edgewise")
        left.set(
            xlabel="share of prompts answered, the surest first", ylabel="share of them right", title="Abstaining: task"
        )
        left.legend(fontsize=8)
        right.plot([0, 1], [0, 1], color="#8a94a3", lw=1, ls="--")
        for place, binary in enumerate(("code", "recency", "safety", "pii")):
            _reliability(right, report["heads"][binary]["pooled"], binary, other_color(place), 1)
        _reliability(right, task, "task", OURS, 2)
        right.set(xlabel="confidence", ylabel="share right", title="Calibration", xlim=(0, 1), ylim=(0, 1))
        right.legend(fontsize=8)
    return text.getvalue()


def _reliability(axes: Any, pooled: Json, name: str, color: str, width: float) -> None:
    bins = [each for each in pooled.get("reliability", []) if each["n"] >= _ROWS_OF_A_BIN]
    axes.plot(
        [b["confidence"] for b in bins],
        [b["accuracy"] for b in bins],
        color=color,
        lw=width,
        marker="o",
        ms=3,
        label=name,
    )


def _sources(report: Json) -> str:
    """The accuracy of the task by source, with intervals."""
    sources = report["heads"]["task"]["sources"]
    names = sorted(sources, key=lambda name: sources[name]["accuracy"])
    with canvas(8, 0.26 * len(names) + 1.2) as (figure, text):
        axes = figure.subplots()
        for place, (name, head) in enumerate(_others(report, "task").items()):
            values = [head["sources"][source]["accuracy"] for source in names]
            axes.scatter(values, names, color=other_color(place), s=14, marker="|", label=name)
        values = [sources[source]["accuracy"] for source in names]
        bounds = [sources[source]["accuracy_interval"] for source in names]
        axes.errorbar(
            values, names, xerr=_errors(values, bounds), fmt="o", color=OURS, ms=5, lw=1.5, label="edgewise, 95%"
        )
        axes.set(xlabel="accuracy", title="Task by source", xlim=(0, 1.02))
        axes.legend(fontsize=8, loc="upper left")
    return text.getvalue()


def _errors(values: Sequence[float], bounds: Sequence[Sequence[float]]) -> list[list[float]]:
    low = [max(0.0, value - bound[0]) for value, bound in zip(values, bounds, strict=True)]
    high = [max(0.0, bound[1] - value) for value, bound in zip(values, bounds, strict=True)]
    return [low, high]


def _robustness(report: Json) -> str:
    """The share of decisions that stay the same, by perturbation and head."""
    changes = report["robustness_by_head"]
    with canvas(8, 3) as (figure, text):
        axes = figure.subplots()
        for place, head in enumerate(("domain", "code", "recency", "safety", "language", "task")):
            color, size = (OURS, 7) if head == "task" else (other_color(place), 5)
            values = [figures[head] for figures in changes.values()]
            axes.plot(list(changes), values, "o", color=color, ms=size, alpha=0.9, label=head)
        axes.axhline(0.95, color="#1a2029", lw=0.8, ls="--")
        axes.set(ylabel="decisions unchanged", title="Small changes to the prompt")
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return text.getvalue()


def _language(report: Json) -> str:
    """The accuracy by length, against every peer on the languages shared with it."""
    peers = _others(report, "language")
    with canvas(max(4.0, 3 * len(peers)), 3.2) as (figure, text):
        panels = figure.subplots(1, max(1, len(peers)), sharey=True, squeeze=False)[0]
        for axes, (name, head) in zip(panels, peers.items(), strict=False):
            for sources, label, color in (
                (head["sources"], name, _OTHERS[0]),
                (head["edgewise"]["sources"], "edgewise", OURS),
            ):
                shown = [bucket for bucket, _ in BUCKETS if bucket in sources]
                values = [sources[bucket]["accuracy"] for bucket in shown]
                bounds = [sources[bucket]["accuracy_interval"] for bucket in shown]
                places = [bucket.replace(" characters or fewer", " or less") for bucket in shown]
                axes.errorbar(
                    places, values, yerr=_errors(values, bounds), color=color, marker="o", ms=4, lw=1.5, label=label
                )
            axes.set(title=f"{head['languages']} languages", xlabel="characters")
            axes.tick_params(axis="x", labelsize=7)
            axes.legend(fontsize=8, loc="lower right")
        panels[0].set_ylabel("accuracy")
    return text.getvalue()


def _misrouting(report: Json) -> str:
    """What is lost of the saving when a share of the traffic is misrouted."""
    curve = report["costs"]["misrouting"]
    ways = {
        "to_strongest": "to the strongest model: money",
        "to_cheapest": "to the cheapest model: quality",
        "as_here": "as this classifier errs: both",
    }
    with canvas(6, 3.2) as (figure, text):
        axes = figure.subplots()
        for place, (way, label) in enumerate(ways.items()):
            color = OURS if way == "as_here" else other_color(place)
            axes.plot(
                [0, *(100 * p["share"] for p in curve)],
                [0, *(100 * p[way] for p in curve)],
                color=color,
                marker="o",
                ms=4,
                label=label,
            )
        axes.axhline(100 / 3, color="#1a2029", lw=0.8, ls="--")
        axes.text(0, 100 / 3, "a third", va="bottom", fontsize=8)
        axes.set(xlabel="misrouted, % of the traffic", ylabel="lost, % of the saving", title="What misrouting loses")
        axes.legend(fontsize=8)
    return text.getvalue()
