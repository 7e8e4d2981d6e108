"""The bars that the classifier set itself, and whether the figures of an evaluation clear them.

A bar is held when the figure clears it; whether the whole interval does is for the reader to see. Bars whose sets or
baselines were not there are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edgewise_classifier.identification import BUCKETS, ENGLISH_WITH_CODE, SHARED

Json = dict[str, Any]

_FASTTEXT = "fastText lid.176.ftz"
_PERTURBED = ("typos", "lower", "upper", "wrapper")
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Bar:
    """One bar: what is measured, the number to reach (`at_least`) or not to pass, the figure and its interval."""

    what: str
    bar: float
    at_least: bool
    figure: float
    interval: tuple[float, float] | None
    held: bool


def bars(heads: Json, baselines: Json, extra: Json) -> list[Bar]:
    """Every bar that the figures have something to say about; arguments as they stand in the report."""
    return list(_bars(heads, baselines, extra))


def _bars(heads: Json, baselines: Json, extra: Json) -> Iterator[Bar]:
    task = heads["task"]
    yield from _least("task: accuracy, pooled", 0.75, task["pooled"], "accuracy")
    yield from _least("task: macro-F1, pooled", 0.50, task["pooled"], "macro_f1")
    yield from _least("task: accuracy of the 5 clusters, pooled", 0.85, task["pooled"], "cluster_accuracy")
    yield from _least("task: accuracy on arena_hard_v01", 0.72, task["sources"].get("arena_hard_v01"), "accuracy")
    yield from _most("task: calibration error, pooled", 0.05, task["pooled"], "calibration_error")
    yield from _least("task: MiniLM's time over ours", 100, extra.get("times"), "ratio")
    code = heads["code"]
    yield from _least("code: balanced accuracy, pooled", 0.97, code["pooled"], "balanced_accuracy")
    yield from _least("code: AUROC on arena_hard_v2", 0.92, code["sources"].get("arena_hard_v2"), "auroc")
    yield from _language(heads, baselines)
    recency = heads["recency"]
    yield from _least("recency: AUROC on evergreen_test", 0.90, recency["sources"].get("evergreen_test"), "auroc")
    dated = recency["sources"].get("situatedqa_temp_test")
    yield from _least("recency: AUROC on situatedqa_temp_test", 0.88, dated, "auroc")
    for name, figures in recency["false_positives"].items():
        yield from _most(f"recency: false positives on {name} prompts", 0.02, figures, "share")
    safety = heads["safety"]["pooled"]
    yield from _least("safety: AUROC, pooled with the benign mix", 0.95, safety, "auroc")
    yield from _most("safety: false positives, pooled", 0.04, safety, "false_positives")
    yield from _least("difficulty: AUROC on RouteLLM's outcomes", 0.64, heads["difficulty"]["pooled"], "auroc")
    for name in _PERTURBED:
        same = extra["robustness_by_head"].get(name)
        yield from _least(f"robustness: task unchanged under {name}", 0.95, same, "task")
    size = extra["weights_bytes"] / _MEGABYTE
    yield Bar("weights of both models, MB", 1.1, False, size, None, size <= 1.1)


def _language(heads: Json, baselines: Json) -> Iterator[Bar]:
    head, peer = heads.get("language"), baselines.get(_FASTTEXT)
    if head is None:
        return
    sources = head["sources"]
    shared = sources.get(f"tatoeba_laser, {SHARED}")
    yield from _least(f"language: accuracy, {SHARED}, groups that speakers confuse as one", 0.93, shared, "grouped")
    yield from _least(f"language: accuracy, {SHARED}, each by itself", 0.93, shared, "accuracy")
    yield from _least(
        "language: English with code or LaTeX is English", 0.99, sources.get(ENGLISH_WITH_CODE), "accuracy"
    )
    if peer is None:
        return
    for name, _ in BUCKETS:
        theirs, ours = (side["sources"].get(name) for side in (peer["language"], peer["language"]["edgewise"]))
        if theirs is not None:
            yield from _least(f"language: fastText's accuracy, {name}", theirs["accuracy"], ours, "accuracy")


def _least(what: str, bar: float, figures: Json | None, name: str) -> Iterator[Bar]:
    figure = (figures or {}).get(name, math.nan)
    if figures is not None and not math.isnan(figure):
        yield Bar(what, bar, True, figure, figures.get(f"{name}_interval"), figure >= bar)


def _most(what: str, bar: float, figures: Json | None, name: str) -> Iterator[Bar]:
    figure = (figures or {}).get(name, math.nan)
    if figures is not None and not math.isnan(figure):
        yield Bar(what, bar, False, figure, figures.get(f"{name}_interval"), figure <= bar)
