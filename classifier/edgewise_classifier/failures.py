"""What an evaluation says against the classifier, in plain words: the sentences follow the figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgewise.core.labels import TASKS
from edgewise_classifier.baselines import NAMES

Json = dict[str, Any]

_WEAK_SOURCE = 0.6
_WEAK_TASK = 0.5
_ROWS_OF_A_TASK = 20
_WEAK_RECALL = 0.5
_POSITIVES = 10
_CHANCE = 0.55
_FRAGILE = 0.95


def known_failures(report: Json) -> list[str]:
    """One sentence for each kind of failure that the figures show, the heads in the order of the page."""
    return [f"{sentence[0].upper()}{sentence[1:]}." for sentence in _failures(report)]


def _failures(report: Json) -> Iterator[str]:
    task = report["heads"]["task"]
    yield from _better_baselines(report)
    weak = sorted((f["accuracy"], name) for name, f in task["sources"].items() if f["accuracy"] < _WEAK_SOURCE)
    if weak:
        yield f"the task is often wrong on {_list(f'{name} ({accuracy:.2f})' for accuracy, name in weak)}"
    if "confusion" in task["pooled"]:
        yield from _missed_tasks(task["pooled"]["confusion"])
    for head, what in (
        ("code", "asks for code"),
        ("recency", "questions whose answer ages"),
        ("safety", "unsafe texts"),
    ):
        sources = report["heads"][head]["sources"].items()
        missed = [
            f"{name} ({figures['recall']:.0%} found)"
            for name, figures in sources
            if figures["positives"] >= _POSITIVES and figures["recall"] < _WEAK_RECALL
        ]
        if missed:
            yield f"most {what} are missed on {_list(missed)}"
    chance = [
        f"{name} ({figures['auroc']:.2f})"
        for name, figures in report["heads"]["difficulty"]["sources"].items()
        if figures["auroc"] is not None and figures["auroc"] < _CHANCE
    ]
    if chance:
        yield f"difficulty is near chance on {_list(chance)}: take it as a hint there, not as a forecast"
    fragile = sorted((same, name) for name, same in report["robustness"].items() if name != "mean" and same < _FRAGILE)
    for same, name in fragile:
        yield f"the change `{name}` turns {1 - same:.0%} of the task decisions"


def _better_baselines(report: Json) -> Iterator[str]:
    """Where a baseline on the same rows beats the classifier, say so first."""
    for head in ("task", "code", "recency", "safety", "pii"):
        metric, name = ("accuracy", "accuracy") if head == "task" else ("auroc", "AUROC")
        ours = report["heads"][head]["pooled"].get(metric)
        theirs = {
            NAMES[baseline]: heads[head]["pooled"].get(metric)
            for baseline, heads in report["baselines"].items()
            if head in heads
        }
        better = [f"{baseline} ({value:.3f})" for baseline, value in theirs.items() if ours and value and value > ours]
        if better:
            beat = "beats" if len(better) == 1 else "beat"
            yield f"{_list(better)} {beat} our pooled {name} of `{head}` ({ours:.3f})"


def _missed_tasks(confusion: list[list[int]]) -> Iterator[str]:
    for index, row in enumerate(confusion):
        total = sum(row)
        if total >= _ROWS_OF_A_TASK and row[index] / total < _WEAK_TASK:
            others = sorted(((n, TASKS[guess]) for guess, n in enumerate(row) if guess != index), reverse=True)
            taken = _list(f"{name} ({n / total:.0%})" for n, name in others[:2])
            found = f"{row[index] / total:.0%} of the {total} `{TASKS[index]}` prompts"
            yield f"only {found} are found; the others are mostly taken for {taken}"


def _list(items: Any) -> str:
    *firsts, last = list(items)
    return f"{', '.join(firsts)} and {last}" if firsts else str(last)
