"""Trains the classifier, quantizes it, calibrates it on sources it did not see, exports it, and verifies the export."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from edgewise.core import classifier as core
from edgewise.core.labels import SCORE_ONE, TASK_COUNT
from edgewise_classifier import metrics
from edgewise_classifier.artifact import to_onnx, weights_from_onnx
from edgewise_classifier.augment import variants
from edgewise_classifier.balance import Targets, targets
from edgewise_classifier.data import (
    OWN,
    UNKNOWN,
    Row,
    load_outcomes,
    load_own,
    load_sets,
    shingles,
    test_outcome_shingles,
    test_shingles,
)
from edgewise_classifier.features import Hashed, Reader
from edgewise_classifier.network import Batches, Fit, Network, fit, prepare
from edgewise_classifier.runtime import CoreClassifier, OnnxClassifier
from edgewise_classifier.select import select
from edgewise_classifier.teacher import teach

Array = Any  # numpy arrays of several types
Progress = Callable[[str], None]

NOT_ASKS = frozenset({"lingua_sentences", "lingua_words", "udhr"})
TASK_LIMIT = 700
"""Rows of one source and class that teach the task; more of them teach only the other heads, if they can."""
ROW_LIMIT = 9000
ABSTAIN_PRECISION = 0.75
"""The task precision on unseen sources that the abstention threshold is chosen for."""

HELD_OUT = frozenset(
    {
        "belle_eval",
        "cyberseceval_injection",
        "english_work",
        "gsm8k_train",
        "koala_test",
        "m_ifeval",
        "malicious_instruct_tdc",
        "mbpp",
        "mmlu_pro_q",
        "mtbench101",
        "oasst1_en_val",
        "selfinstruct_seed",
        "selfinstruct_user",
        "toolbench_q",
        "webquestions",
        "writingbench_len",
    }
)
"""Whole sources that the calibration fold leaves out of training, and that experiments are judged on."""


@dataclass(frozen=True)
class Trained:
    """What a training run gives."""

    model: Path
    seconds: float
    rows: int
    held_out: dict[str, float]
    temperatures: tuple[int, ...]
    abstain_below: int


def training_rows(data: Path, own: Path, seed: int) -> list[Row]:
    """The prompts that teach: our own, the public train sets capped by source and class, and outcomes.

    Public sets without labels teach where we gave them a task. Rows that share a run of eight words with a row of a
    test set are left out, even where that is only a stock phrase; outcomes also where a tested outcome has it.
    """
    rng = random.Random(seed)
    avoid = test_shingles(data)
    groups: dict[tuple[str, int, int], list[Row]] = defaultdict(list)
    rows = [row for row in load_own(own) if avoid.isdisjoint(shingles(row.text))]
    labelled = [row for row in load_sets(data, "unlabelled") if row.task != UNKNOWN]
    for row in load_sets(data, "train") + labelled:
        if row.source not in NOT_ASKS and avoid.isdisjoint(shingles(row.text)):
            groups[(row.source, row.task, row.recency)].append(row)
    for (_, task, recency), group in sorted(groups.items()):
        rng.shuffle(group)
        extra = group[TASK_LIMIT:ROW_LIMIT] if task == UNKNOWN or recency != UNKNOWN else []
        rows += group[:TASK_LIMIT] + [replace(row, task=UNKNOWN) for row in extra]
    if (data / "outcomes").is_dir():
        avoid |= test_outcome_shingles(data)
        outcomes = load_outcomes(data, "mmlu_pro", avoid=avoid)
        outcomes += load_outcomes(data, "llmrouter_mix", split="train", avoid=avoid)
        rng.shuffle(outcomes)
        taught: Counter[tuple[str, int]] = Counter()
        for row in outcomes:
            taught[(row.source, row.task)] += 1
            keep = taught[(row.source, row.task)] <= TASK_LIMIT
            rows.append(row if keep else replace(row, task=UNKNOWN))
    return rows


def _join(parts: list[Hashed]) -> Hashed:
    offsets, base = [np.zeros(1, np.int64)], 0
    for part in parts:
        offsets.append(part.offsets[1:] + base)
        base += int(part.offsets[-1])
    return Hashed(
        np.concatenate([part.hashes for part in parts]),
        np.concatenate(offsets),
        np.concatenate([part.ends for part in parts]),
        np.concatenate([part.shapes for part in parts]),
        np.concatenate([part.shared for part in parts]),
    )


def read_versions(rows: list[Row], versions: int, seed: int) -> Hashed:
    """The features of all rows as they are, then of each of their variants."""
    reader = Reader()
    parts = [reader.read_many([row.messages for row in rows])]
    for version in range(1, versions):
        parts.append(reader.read_many([row.messages for row in variants(rows, seed + version)]))
    return _join(parts)


def fit_network(
    rows: list[Row], hashed: Hashed, goal: Targets, order: Array, versions: int, how: Fit, progress: Progress
) -> tuple[Network, npt.NDArray[np.uint8]]:
    """Choose the slots, ask the teacher, and fit the network on the rows of `order`."""
    progress("choosing n-grams")
    both = np.concatenate([order, order + len(rows)]) if versions > 1 else order
    marks = select(hashed, both, goal, seed=how.seed)
    taught = teach(rows, hashed, goal, order, versions, how.seed, progress)
    progress("fitting")
    return fit(Batches(prepare(hashed, marks)), goal, order, versions, how, progress, taught), marks


def _held_targets(rows: list[Row]) -> dict[str, Array]:
    goal = targets(rows)
    labels: dict[str, Array] = {"task": goal.task, "domain": goal.domain}
    for column, name in enumerate(core.BINARY_HEADS):
        labels[name] = goal.binary[:, column]
    return labels


def calibrate(rows: list[Row], logits: Array) -> tuple[tuple[int, ...], int]:
    """A temperature for each head towards the least log loss, every source counting alike; the abstention threshold."""
    # the fold knows fewer sources than the model that ships: half way (on a log scale) to no correction
    scales = [_best_scale(head, rows, logits) ** 0.5 for head in core.HEADS]
    temperatures = [round(scale * core.TEMPERATURE_ONE) for scale in scales]
    labels = _held_targets(rows)
    known = labels["task"] >= 0
    z = logits[known, :TASK_COUNT] * temperatures[0] / core.TEMPERATURE_ONE
    probability = np.exp(z - z.max(1, keepdims=True))
    probability /= probability.sum(1, keepdims=True)
    right = (probability.argmax(1) == labels["task"][known]).astype(float)
    _, threshold = metrics.coverage_at(probability.max(1), right, ABSTAIN_PRECISION)
    return tuple(temperatures), round(min(threshold, 0.6) * SCORE_ONE)


def _best_scale(head: str, rows: list[Row], logits: Array) -> float:
    """What to multiply a head's logits by for the least log loss, every source counting alike; 1 with few labels."""
    labels = _held_targets(rows)[head]
    sources = np.array([row.source for row in rows])
    known = labels >= 0
    if known.sum() < 50:
        return 1.0
    weight = np.zeros(len(rows))
    for source in set(sources[known]):
        chosen = known & (sources == source)
        weight[chosen] = 1 / max(100, chosen.sum())
    index = core.HEADS.index(head)
    losses = [(_log_loss(head, index, labels, logits * scale, weight), scale) for scale in np.geomspace(0.3, 2.5, 60)]
    return float(min(losses)[1])


def _log_loss(head: str, index: int, labels: Array, logits: Array, weight: Array) -> float:
    known = weight > 0
    if head in ("task", "domain"):
        first, last = (0, TASK_COUNT) if head == "task" else (core.FIRST_DOMAIN, core.FIRST_BINARY)
        z = logits[known, first:last]
        top = z.max(1, keepdims=True)
        log_total = np.log(np.exp(z - top).sum(1)) + top[:, 0]
        each = log_total - z[np.arange(len(z)), labels[known].astype(int)]
    else:
        z = logits[known, core.FIRST_BINARY + index - 2]
        each = np.logaddexp(0, z) - labels[known] * z
    return float((each * weight[known]).sum() / weight[known].sum())


def _forget(rows: list[Row], held: Array) -> list[Row]:
    """Rows of held-out sources without any label, so that they weigh nothing."""
    blank: dict[str, Any] = dict.fromkeys(("task", "domain", "code", "recency", "harm", "jailbreak", "pii"), UNKNOWN)
    return [replace(row, difficulty=-1.0, own=False, **blank) if h else row for row, h in zip(rows, held, strict=True)]


def held_out_accuracy(rows: list[Row], logits: Array, limit: int = 250) -> dict[str, float]:
    """Task accuracy by source, at most `limit` rows each, and over all of them."""
    right: dict[str, list[bool]] = defaultdict(list)
    for row, guess in zip(rows, logits[:, :TASK_COUNT].argmax(1), strict=True):
        if row.task != UNKNOWN and len(right[row.source]) < limit:
            right[row.source].append(bool(guess == row.task))
    result = {source: float(np.mean(values)) for source, values in sorted(right.items()) if values}
    result["pooled"] = float(np.mean([value for values in right.values() for value in values]))
    return result


def verify(model: Path, rows: list[Row]) -> None:
    """Raises AssertionError unless onnxruntime and the core give the same logits for every row."""
    classifier = CoreClassifier(weights_from_onnx(model))
    session = OnnxClassifier(model)
    for row in rows:
        classifier.classify(row.messages)
        expected = classifier.scratch["logits"][0]
        if not np.array_equal(session.logits(classifier.graph_inputs()), expected):
            raise AssertionError(f"onnxruntime and the core disagree on {row.id}")


def train(
    data: Path,
    out: Path,
    *,
    own: Path = OWN,
    epochs: int = 8,
    versions: int = 3,
    seed: int = 0,
    calibration: bool = True,
    progress: Progress | None = None,
) -> Trained:
    """Train on `data` and our own prompts; write `out/edgewise.onnx`.

    `versions`: how many versions of each prompt are seen, itself and its variants. `calibration` also trains on a fold
    without the sources of HELD_OUT, which gives temperatures, the abstention threshold and the held-out accuracy.
    Raises ValueError where `data` holds no train sets.
    """
    say = progress or (lambda _: None)
    started = time.monotonic()
    rows = training_rows(data, own, seed)
    if not any(row.task != UNKNOWN for row in rows):
        raise ValueError(f"{data} holds no train sets with tasks: it needs sets/NAME.jsonl with the role train")
    how = Fit(epochs=epochs, seed=seed)
    say(f"reading {len(rows)} prompts in {versions} versions")
    hashed = read_versions(rows, versions, seed)
    temperatures: tuple[int, ...] = (core.TEMPERATURE_ONE,) * len(core.HEADS)
    abstain_below, held_out = 0, {}
    held = np.array([row.source in HELD_OUT for row in rows])
    validation = load_sets(data, "val")
    if calibration and held.any():
        say("the calibration fold, without the held-out sources")
        goal = targets(_forget(rows, held))
        network, marks = fit_network(rows, hashed, goal, np.nonzero(~held)[0], versions, how, say)
        unseen = [row for row, h in zip(rows, held, strict=True) if h] + validation
        batches = Batches(prepare(Reader().read_many([row.messages for row in unseen]), marks))
        logits = batches.logits(network)
        temperatures, abstain_below = calibrate(unseen, logits)
        held_out = held_out_accuracy(unseen, logits)
        say(f"held-out sources: {held_out}; temperatures {temperatures}; abstain below {abstain_below}")
    network, marks = fit_network(rows, hashed, targets(rows), np.arange(len(rows)), versions, how, say)
    if calibration and validation:
        # the task alone has labels in several validation sources, so its temperature can be of the model that ships
        batches = Batches(prepare(Reader().read_many([row.messages for row in validation]), marks))
        scale = _best_scale("task", validation, batches.logits(network))
        temperatures = (round(scale * core.TEMPERATURE_ONE), *temperatures[1:])
    out.mkdir(parents=True, exist_ok=True)
    model = out / "edgewise.onnx"
    onnx.save(to_onnx(network.integers(marks, temperatures, abstain_below)), model)
    say("verifying the export")
    verify(model, rows[:: max(1, len(rows) // 300)])
    return Trained(model, time.monotonic() - started, len(rows), held_out, temperatures, abstain_below)
