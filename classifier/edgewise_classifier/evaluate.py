"""Measures the shipped classifier on sources that training never saw, through the real core: the order of the work.

At most `limit` rows of each source are drawn with a fixed seed. Every head is reported pooled and by source with
bootstrap intervals, and the baselines stand beside it, trained on the same rows. Then come what misrouting costs, what
the language signal brings, and what small changes to a prompt do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.bench import commit, machine
from edgewise.core.layout import Weights
from edgewise_classifier import costs, metrics
from edgewise_classifier.artifact import weights_from_onnx
from edgewise_classifier.bars import bars
from edgewise_classifier.baselines import Scores, decision_times, run_baselines
from edgewise_classifier.data import UNKNOWN, Row, load_sets
from edgewise_classifier.difficulty import difficulty_head
from edgewise_classifier.heads import (
    NOT_POOLED,
    SOURCE_DRAWS,
    Figures,
    accuracy_by_language,
    binary_head,
    domain_head,
    labels_of,
    recency_false_positives,
    task_head,
)
from edgewise_classifier.identification import core_guess, identification_baselines, identification_head, read_texts
from edgewise_classifier.language_gain import catalogues, language_gain
from edgewise_classifier.predictions import Predictions, predict, sample
from edgewise_classifier.robustness import robustness
from edgewise_classifier.runtime import CoreClassifier

MODEL = Path(__file__).resolve().parent.parent / "model" / "edgewise.onnx"
LIMIT = 250
ROWS_OF_A_LANGUAGE = 100
"""Rows of one source and language, where languages are compared."""
SENTENCES = "tatoeba_laser"
"""Sentences in many languages, not asks: for the language only."""

Progress = Callable[[str], None]

_ENGLISH = ("en", "und")
_HIGHEST_LEVEL = 3


@dataclass
class Report:
    """The figures: `heads` and `baselines` as docs/architecture.md has them, and more under `extra`."""

    heads: dict[str, Any] = field(default_factory=dict)
    baselines: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, numbers rounded to four decimals."""
        rounded: dict[str, Any] = _rounded({"heads": self.heads, "baselines": self.baselines, **self.extra})
        return rounded


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6 if abs(value) < 0.1 else 4)
    return value


def evaluate(
    data: Path,
    *,
    model: Path = MODEL,
    limit: int = LIMIT,
    seed: int = 0,
    baselines: bool = True,
    heavy: bool = False,
    progress: Progress = lambda _: None,
) -> Report:
    """Evaluate the artifact on the test sets of `data`.

    `baselines` also trains the light ones (hashed logistic regression, keyword rules) and runs what else is installed
    that identifies languages; `heavy` adds those on MiniLM embeddings, which need torch and transformers and some
    minutes for texts that are not in the cache yet.

    Raises ValueError where `data` holds no test sets.
    """
    progress("reading the test sets")
    everything = load_sets(data, "test")
    if not everything:
        raise ValueError(f"{data}: no test sets in its folder sets/; docs/data.md says what a set looks like")
    rows = [row for row in sample(everything, limit, seed) if row.source != SENTENCES]
    classifier = CoreClassifier(weights_from_onnx(model))
    progress(f"classifying {len(rows)} prompts")
    found = predict(classifier, rows)
    report = Report()
    report.extra |= {"commit": commit(), "machine": machine(), "weights_bytes": Weights.size}
    report.extra |= {"rows": len(rows), "limit": limit}
    report.heads = _heads(rows, found)
    progress("difficulty against outcomes")
    report.heads["difficulty"] = difficulty_head(classifier, data)
    progress("what misrouting costs")
    report.extra["costs"] = _costs(rows, found)
    progress("what small changes to a prompt do")
    report.extra |= _robustness(classifier, rows, seed)
    progress("languages")
    report.extra |= _languages(classifier, everything, seed)
    _identification(report, data, baselines)
    if baselines:
        for name, scores in run_baselines(data, rows, seed=seed, heavy=heavy, progress=progress).items():
            report.baselines[name] = _compared_heads(rows, scores, source_draws=0)
    if heavy:
        progress("time of a decision")
        report.extra["times"] = decision_times(classifier, [row for row in rows if row.task != UNKNOWN], seed)
    report.extra["bars"] = [vars(bar) for bar in bars(report.heads, report.baselines, report.extra)]
    return report


def _heads(rows: Sequence[Row], found: Predictions) -> dict[str, Figures]:
    scores = {"task": found.task, **found.binary, "safety": found.unsafe}
    compared = {head: scores[head] for head in ("task", "code", "recency", "safety", "pii")}
    heads = _compared_heads(rows, compared, SOURCE_DRAWS)
    heads["domain"] = domain_head(rows, found.domain)
    known = np.array([row.task != UNKNOWN for row in rows])
    if known.any():
        labels, answered = np.array([row.task for row in rows]), known & ~found.abstained
        pooled = heads["task"]["pooled"]
        pooled["abstained"] = float(np.mean(found.abstained[known]))
        pooled["accuracy_when_answered"] = metrics.accuracy(labels[answered], found.task.argmax(1)[answered])
    heads["recency"]["false_positives"] = recency_false_positives(rows, found.binary["recency"])
    return heads


def _compared_heads(rows: Sequence[Row], scores: Scores, source_draws: int) -> dict[str, Figures]:
    """The heads that baselines have too."""
    heads = {}
    for head, found in scores.items():
        if head == "task":
            heads[head] = task_head(rows, found, source_draws)
        else:
            heads[head] = binary_head(rows, labels_of(head, rows), found, NOT_POOLED.get(head, ()), source_draws)
    return heads


def _costs(rows: Sequence[Row], found: Predictions) -> Figures:
    """What misrouting costs on the rows that have a task, by the default catalogue."""
    known = np.array([index for index, row in enumerate(rows) if row.task != UNKNOWN], int)
    if len(known) == 0:
        return {}
    difficulty = np.array([rows[index].difficulty for index in known])
    levels = np.where(difficulty < 0, UNKNOWN, np.rint(difficulty * _HIGHEST_LEVEL)).astype(int)
    routed = costs.route_labelled(
        np.array([rows[index].task for index in known]),
        levels,
        found.task[known],
        found.binary["difficulty"][known],
        found.abstained[known],
    )
    return costs.cost_report(routed)


def _robustness(classifier: CoreClassifier, rows: Sequence[Row], seed: int) -> dict[str, Any]:
    by_head = robustness(classifier, rows, seed)
    same = {name: figures["task"] for name, figures in by_head.items() if "task" in figures}
    mean = float(np.mean(list(same.values()))) if same else float("nan")
    return {"robustness": {**same, "mean": mean}, "robustness_by_head": by_head}


def _languages(classifier: CoreClassifier, everything: Sequence[Row], seed: int) -> dict[str, Any]:
    """Task accuracy by language, and what the language signal brings, on as many rows of each language."""
    rows = sample(everything, ROWS_OF_A_LANGUAGE, seed, group=lambda row: (row.source, row.lang))
    asks = [row for row in rows if row.task != UNKNOWN and row.lang != "und" and row.source != SENTENCES]
    right = predict(classifier, asks).task.argmax(1) == np.array([row.task for row in asks])
    foreign = [row for row in rows if row.lang not in _ENGLISH]
    groups = {
        "prompts": [row for row in foreign if row.source != SENTENCES and row.task != UNKNOWN],
        "sentences": [row for row in foreign if row.source == SENTENCES],
    }
    gain = {
        catalogue: {name: language_gain(group, config) for name, group in groups.items()}
        for catalogue, config in catalogues().items()
    }
    return {"task_by_language": accuracy_by_language(asks, right.astype(float)), "language_gain": gain}


def _identification(report: Report, data: Path, baselines: bool) -> None:
    texts = read_texts(data)
    if texts is None:
        return
    guess = core_guess()
    guesses = [guess(text) for _, text in texts.sentences]
    report.heads["language"] = identification_head(texts, guesses, guess)
    if baselines:
        for name, figures in identification_baselines(texts, guesses).items():
            report.baselines[name] = {"language": figures}
