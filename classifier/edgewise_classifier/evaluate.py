"""Measures the shipped classifier on sources that training never saw, through the real core.

At most `limit` rows of each source are drawn with a fixed seed. Every head is reported by source and pooled, with
bootstrap intervals for the pooled figures, and the baselines stand beside them, trained on the same rows.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.core import classifier as core
from edgewise.core.labels import CLUSTER_OF_TASK, DOMAIN_COUNT, SCORE_ONE, TASKS
from edgewise_classifier import metrics
from edgewise_classifier.artifact import weights_from_onnx
from edgewise_classifier.data import UNKNOWN, Row, load_outcomes, load_sets, read_jsonl
from edgewise_classifier.perturb import PERTURBATIONS
from edgewise_classifier.runtime import CoreClassifier

MODEL = Path(__file__).resolve().parent.parent / "model" / "edgewise.onnx"
LIMIT = 250
Array = metrics.Array
Progress = Callable[[str], None]

_CODE = TASKS.index("code")
_REASONING, _CREATIVE = TASKS.index("reasoning"), TASKS.index("creative")
_NOT_POOLED = {"recency": {"realtimeqa"}}
"""realtimeqa asks about past events in the wording of a quiz: shown, not pooled."""


@dataclass
class Report:
    """The figures: `heads` and `baselines` as DESIGN section 10 has them, and more under `extra`."""

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
        return None if math.isnan(value) else round(value, 4)
    return value


@dataclass
class Predictions:
    """The scores of many rows, from 0 to 1."""

    task: Array
    domain: Array
    binary: dict[str, Array]
    abstained: Array


def predict(classifier: CoreClassifier, rows: Sequence[Row]) -> Predictions:
    """Classify rows through the compiled core."""
    task = np.zeros((len(rows), len(TASKS)), np.float64)
    domain = np.zeros((len(rows), DOMAIN_COUNT), np.float64)
    binary = {name: np.zeros(len(rows), np.float64) for name in core.BINARY_HEADS}
    abstained = np.zeros(len(rows), bool)
    for index, row in enumerate(rows):
        scores = classifier.classify(row.messages)
        task[index] = scores["task"][0] / SCORE_ONE
        domain[index] = scores["domain"][0] / SCORE_ONE
        for name in core.BINARY_HEADS:
            binary[name][index] = scores[name][0] / SCORE_ONE
        abstained[index] = task[index].max() * SCORE_ONE < scores["abstain_below"][0]
    return Predictions(task, domain, binary, abstained)


def sample(rows: Sequence[Row], limit: int, seed: int) -> list[Row]:
    """At most `limit` rows of each source, in a fixed order."""
    by_source: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_source[row.source].append(row)
    drawn: list[Row] = []
    for source in sorted(by_source):
        group = by_source[source]
        rng = random.Random(f"{seed}-{source}")
        drawn += group if len(group) <= limit else rng.sample(group, limit)
    return drawn


def _by_source(rows: Sequence[Row], known: Array, measure: Callable[[Array], dict[str, float]]) -> dict[str, Any]:
    sources = np.array([row.source for row in rows])
    result = {}
    for source in sorted(set(sources[known])):
        chosen = np.nonzero(known & (sources == source))[0]
        result[source] = {**measure(chosen), "n": len(chosen)}
    return result


def _task_head(rows: Sequence[Row], scores: Array) -> dict[str, Any]:
    labels = np.array([row.task for row in rows])
    known = labels != UNKNOWN
    predicted = scores.argmax(1)
    clusters = np.array(CLUSTER_OF_TASK)

    def measure(chosen: Array) -> dict[str, float]:
        truth, guess = labels[chosen], predicted[chosen]
        return {
            "accuracy": metrics.accuracy(truth, guess),
            "macro_f1": metrics.macro_f1(truth, guess),
            "cluster_accuracy": metrics.accuracy(clusters[truth], clusters[guess]),
        }

    pooled_rows = np.nonzero(known)[0]
    truth, guess = labels[pooled_rows], predicted[pooled_rows]
    confidence = scores[pooled_rows].max(1)
    sources = _by_source(rows, known, measure)
    pooled: dict[str, Any] = measure(pooled_rows)
    pooled["mean_of_sources"] = float(np.mean([entry["accuracy"] for entry in sources.values()]))
    pooled["accuracy_interval"] = metrics.interval(metrics.accuracy, truth, guess)
    pooled["macro_f1_interval"] = metrics.interval(metrics.macro_f1, truth, guess)
    pooled["calibration_error"] = metrics.calibration_error(confidence, (truth == guess).astype(float))
    pooled["coverage"] = {
        str(target): metrics.coverage_at(confidence, (truth == guess).astype(float), target)[0]
        for target in (0.8, 0.85, 0.9, 0.95)
    }
    pooled["n"] = len(pooled_rows)
    table = np.zeros((len(TASKS), len(TASKS)), int)
    np.add.at(table, (truth, guess), 1)
    pooled["confusion"] = table.tolist()
    pooled["languages"] = _languages(rows, pooled_rows, labels, predicted)
    return {"pooled": pooled, "sources": sources}


def _languages(rows: Sequence[Row], chosen: Array, labels: Array, predicted: Array) -> dict[str, Any]:
    groups: dict[str, list[int]] = defaultdict(list)
    for index in chosen:
        groups[rows[index].lang].append(int(index))
    return {
        lang: {"accuracy": metrics.accuracy(labels[group], predicted[group]), "n": len(group)}
        for lang, group in sorted(groups.items())
        if len(group) >= 20
    }


def _domain_head(rows: Sequence[Row], scores: Array) -> dict[str, Any]:
    labels = np.array([row.domain for row in rows])
    known = labels != UNKNOWN
    predicted = scores.argmax(1)

    def measure(chosen: Array) -> dict[str, float]:
        truth, guess = labels[chosen], predicted[chosen]
        return {"accuracy": metrics.accuracy(truth, guess), "macro_f1": metrics.macro_f1(truth, guess)}

    return {"pooled": measure(np.nonzero(known)[0]), "sources": _by_source(rows, known, measure)}


def _binary_head(
    rows: Sequence[Row], labels: Array, scores: Array, skip: frozenset[str] = frozenset(), threshold: float = 0.5
) -> dict[str, Any]:
    known = labels != UNKNOWN

    def measure(chosen: Array) -> dict[str, float]:
        truth, score = labels[chosen], scores[chosen]
        guess = (score >= threshold).astype(int)
        positives, negatives = truth == 1, truth == 0
        return {
            "accuracy": metrics.accuracy(truth, guess),
            "balanced_accuracy": metrics.balanced_accuracy(truth, guess),
            "auroc": metrics.auroc(truth, score),
            "recall": float(np.mean(guess[positives])) if positives.any() else float("nan"),
            "false_positives": float(np.mean(guess[negatives])) if negatives.any() else float("nan"),
            "positives": int(positives.sum()),
        }

    pooled = np.nonzero(known & ~np.isin([row.source for row in rows], list(skip)))[0]
    if len(pooled) == 0:
        return {"pooled": {"n": 0}, "sources": {}}
    truth, score = labels[pooled], scores[pooled]
    result: dict[str, Any] = measure(pooled)
    result["auroc_interval"] = metrics.interval(metrics.auroc, truth, score, samples=200)
    result["balanced_accuracy_interval"] = metrics.interval(
        metrics.balanced_accuracy, truth, (score >= threshold).astype(int), samples=200
    )
    confidence = np.maximum(score, 1 - score)
    result["calibration_error"] = metrics.calibration_error(confidence, ((score >= 0.5) == (truth == 1)).astype(float))
    result["n"] = len(pooled)
    return {"pooled": result, "sources": _by_source(rows, known, measure)}


def _safety_labels(rows: Sequence[Row]) -> Array:
    """1 for unsafe prompts, 0 for those labelled safe and for the prompts of task sets, which are the benign mix."""
    labels = []
    for row in rows:
        if row.harm != UNKNOWN:
            labels.append(int(row.harm == 1 or row.jailbreak == 1))
        else:
            labels.append(0 if row.task != UNKNOWN else UNKNOWN)
    return np.array(labels)


def _recency_false_positives(rows: Sequence[Row], scores: Array) -> dict[str, float]:
    tasks = np.array([row.task for row in rows])
    dated = np.array([row.recency for row in rows]) == 1
    return {
        TASKS[task]: float(np.mean(scores[(tasks == task) & ~dated] >= 0.5))
        for task in (_CODE, _REASONING, _CREATIVE)
        if ((tasks == task) & ~dated).any()
    }


def _difficulty(classifier: CoreClassifier, data: Path, limit: int, seed: int) -> dict[str, Any]:
    """AUROC of the difficulty score for "the small model fails", on every outcome set that is for testing."""
    sources: dict[str, Any] = {}
    if not (data / "outcomes").is_dir():
        return {"pooled": {"n": 0}, "sources": {}}
    routellm = []
    for raw in read_jsonl(data / "outcomes" / "routellm_mmlu_gsm8k.jsonl"):
        small = float(raw["scores"]["mixtral-8x7b-instruct"])
        text = str(raw["text"])
        turns = (("user", text),)
        source = "routellm_gsm8k" if raw["category"].startswith("gsm8k") else "routellm_mmlu"
        routellm.append(Row(raw["id"], source, text, "en", "test", difficulty=1 - small, messages=turns))
    rng = random.Random(seed)
    groups = {"routellm": rng.sample(routellm, min(len(routellm), max(2000, limit)))}
    for name in ("routellm_mmlu", "routellm_gsm8k"):
        groups[name] = [row for row in groups["routellm"] if row.source == name]
    groups["llmrouter_mix"] = load_outcomes(data, "llmrouter_mix", split="test")
    groups["alpaca_eval2"] = _alpaca_eval(data)
    for name, rows in groups.items():
        scores = predict(classifier, rows).binary["difficulty"]
        failed = np.array([row.difficulty for row in rows])
        threshold = float(np.median(failed)) if name == "alpaca_eval2" else 0.5
        labels = (failed > threshold).astype(int)
        length = np.array([len(row.text) for row in rows], float)
        sources[name] = {
            "auroc": metrics.auroc(labels, scores),
            "auroc_of_length": metrics.auroc(labels, length),
            "auroc_interval": metrics.interval(metrics.auroc, labels, scores, samples=200),
            "n": len(rows),
        }
    return {"pooled": sources["routellm"], "sources": sources}


def _alpaca_eval(data: Path) -> list[Row]:
    rows = []
    for raw in read_jsonl(data / "outcomes" / "alpaca_eval2.jsonl"):
        small = [float(v) for k, v in raw["scores"].items() if any(size in k for size in ("7B", "8B", "7b", "8b"))]
        if small:
            text = str(raw["text"])
            fails = 1 - sum(small) / len(small)
            rows.append(
                Row(raw["id"], "alpaca_eval2", text, "en", "test", difficulty=fails, messages=(("user", text),))
            )
    return rows


def _robustness(classifier: CoreClassifier, rows: Sequence[Row], scores: Array, seed: int) -> dict[str, float]:
    """The share of task decisions that stay the same under each perturbation of the last turn."""
    known = [index for index, row in enumerate(rows) if row.task != UNKNOWN]
    rng = random.Random(seed)
    chosen = sorted(rng.sample(known, min(len(known), 1500)))
    result = {}
    for name, perturb in PERTURBATIONS.items():
        same = 0
        for index in chosen:
            turns = rows[index].messages
            changed = (*turns[:-1], (turns[-1][0], perturb(turns[-1][1], rng)))
            same += int(classifier.classify(changed)["task"][0].argmax() == scores[index].argmax())
        result[name] = same / len(chosen)
    result["mean"] = float(np.mean(list(result.values())))
    return result


def evaluate(
    data: Path,
    *,
    model: Path = MODEL,
    limit: int = LIMIT,
    seed: int = 0,
    baselines: bool = True,
    heavy: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Evaluate the artifact on the test sets of `data`.

    `baselines` also trains the light ones (hashed logistic regression, keyword rules); `heavy` adds those on MiniLM
    embeddings, which need torch and transformers and take some minutes.
    """
    say = progress or (lambda _: None)
    say("reading the test sets")
    rows = sample(load_sets(data, "test"), limit, seed)
    rows = [row for row in rows if row.source != "tatoeba_laser"]
    classifier = CoreClassifier(weights_from_onnx(model))
    say(f"classifying {len(rows)} prompts")
    found = predict(classifier, rows)
    report = Report()
    report.heads["task"] = _task_head(rows, found.task)
    known = np.array([row.task != UNKNOWN for row in rows])
    correct = found.task.argmax(1) == np.array([row.task for row in rows])
    answered = known & ~found.abstained
    report.heads["task"]["pooled"]["abstained"] = float(np.mean(found.abstained[known]))
    report.heads["task"]["pooled"]["accuracy_when_answered"] = float(np.mean(correct[answered]))
    report.heads["domain"] = _domain_head(rows, found.domain)
    report.heads["code"] = _binary_head(rows, np.array([row.code for row in rows]), found.binary["code"])
    recency = np.array([row.recency for row in rows])
    skip = frozenset(_NOT_POOLED["recency"])
    report.heads["recency"] = _binary_head(rows, recency, found.binary["recency"], skip)
    report.heads["recency"]["false_positives"] = _recency_false_positives(rows, found.binary["recency"])
    unsafe = np.maximum(found.binary["harm"], found.binary["jailbreak"])
    report.heads["safety"] = _binary_head(rows, _safety_labels(rows), unsafe)
    report.heads["pii"] = _binary_head(rows, np.array([row.pii for row in rows]), found.binary["pii"])
    say("difficulty against outcomes")
    report.heads["difficulty"] = _difficulty(classifier, data, limit, seed)
    say("robustness")
    report.extra["robustness"] = _robustness(classifier, rows, found.task, seed)
    if baselines:
        from edgewise_classifier.baselines import run_baselines

        for name, scores in run_baselines(data, rows, seed=seed, heavy=heavy, progress=say).items():
            report.baselines[name] = {"task": _task_head(rows, scores)}
    report.extra["rows"] = len(rows)
    return report
