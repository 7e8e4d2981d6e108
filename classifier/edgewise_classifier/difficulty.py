"""How well the difficulty score ranks prompts by whether a small model really failed on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgewise_classifier import metrics
from edgewise_classifier.data import Row, load_outcomes, read_jsonl
from edgewise_classifier.heads import SOURCE_DRAWS, Figures, summarize
from edgewise_classifier.metrics import Array
from edgewise_classifier.predictions import predict
from edgewise_classifier.runtime import CoreClassifier

_WEAK_OF_ROUTELLM = "mixtral-8x7b-instruct"
_SMALL_SIZES = ("7b", "8b")


def difficulty_head(classifier: CoreClassifier, data: Path) -> Figures:
    """AUROC of the difficulty score, and of the length alone, for "the small model fails", on every outcome set.

    Pooled are the outcomes of RouteLLM, MMLU and GSM8K together. Where a result is a share of wins (alpaca_eval2),
    failing means losing more often than on the median prompt.
    """
    if not (data / "outcomes").is_dir():
        return {"pooled": {"n": 0}, "sources": {}}
    routellm = list(_routellm(data))
    groups = {"routellm": routellm}
    for name in ("routellm_mmlu", "routellm_gsm8k"):
        groups[name] = [row for row in routellm if row.source == name]
    groups["llmrouter_mix"] = load_outcomes(data, "llmrouter_mix", split="test")
    groups["alpaca_eval2"] = list(_alpaca_eval(data))
    sources = {name: _figures(classifier, rows) for name, rows in groups.items() if rows}
    return {"pooled": sources.get("routellm", {"n": 0}), "sources": sources}


def _figures(classifier: CoreClassifier, rows: Sequence[Row]) -> Figures:
    scores = predict(classifier, rows).binary["difficulty"]
    failed = np.array([row.difficulty for row in rows])
    threshold = float(np.median(failed)) if rows[0].source == "alpaca_eval2" else 0.5
    labels = (failed > threshold).astype(int)
    length = np.array([len(row.text) for row in rows], float)

    def measure(chosen: Array) -> dict[str, float]:
        return {
            "auroc": metrics.auroc(labels[chosen], scores[chosen]),
            "auroc_of_length": metrics.auroc(labels[chosen], length[chosen]),
        }

    return {**summarize(measure, np.arange(len(rows)), SOURCE_DRAWS), "positives": int(labels.sum())}


def _routellm(data: Path) -> Iterator[Row]:
    for raw in read_jsonl(data / "outcomes" / "routellm_mmlu_gsm8k.jsonl"):
        source = "routellm_gsm8k" if raw["category"].startswith("gsm8k") else "routellm_mmlu"
        yield _row(raw, source, 1 - float(raw["scores"][_WEAK_OF_ROUTELLM]))


def _alpaca_eval(data: Path) -> Iterator[Row]:
    for raw in read_jsonl(data / "outcomes" / "alpaca_eval2.jsonl"):
        scores = raw["scores"].items()
        small = [float(score) for model, score in scores if any(size in model.lower() for size in _SMALL_SIZES)]
        if small:
            yield _row(raw, "alpaca_eval2", 1 - sum(small) / len(small))


def _row(raw: dict[str, Any], source: str, difficulty: float) -> Row:
    text = str(raw["text"])
    return Row(str(raw["id"]), source, text, "en", "test", difficulty=difficulty, messages=(("user", text),))
