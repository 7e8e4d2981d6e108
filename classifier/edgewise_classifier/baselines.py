"""What the classifier is compared with: models trained on the same rows, and rules that need no training."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.core.labels import TASK_COUNT, TASKS
from edgewise_classifier.balance import targets
from edgewise_classifier.data import OWN, UNKNOWN, Row
from edgewise_classifier.embeddings import MiniLM, embed
from edgewise_classifier.metrics import Array
from edgewise_classifier.runtime import CoreClassifier

ROWS_OF_A_CLASS = 300
"""Rows of one source and class that a baseline is trained on."""
HEADS = {"task": 0, "code": 2, "recency": 3, "safety": 4, "pii": 6}
"""The heads that the trained baselines have, by the column of `Targets.weights` that holds their weights."""
TIMED = 200
NAMES = {
    "keyword_rules": "keyword rules",
    "hashed_logistic": "logistic on hashes",
    "minilm_logistic": "logistic on MiniLM",
    "minilm_knn": "neighbours on MiniLM",
    "hashed_and_minilm": "logistic on hashes and MiniLM",
}
"""The baselines by what readers call them."""

Progress = Callable[[str], None]
Scores = dict[str, Array]
"""By head: prompts x TASK_COUNT for the task, one score a prompt for the others; from 0 to 1."""

_RULES: tuple[tuple[str, str], ...] = (
    ("translate", r"\btranslat|traduc|traduis|übersetz|перевед|翻译|翻訳|번역"),
    ("summarize", r"\bsummar|tl;?dr|key points|résum|resum|zusammenfass|кратк|总结|要約|요약"),
    ("rewrite", r"\brewrite|rephrase|paraphras|proofread|fix the grammar|make (it|this) (more|less|shorter)|改写"),
    (
        "code",
        r"```|\bdef |\bclass |#include|\bpython|javascript|\bsql\b|\bfunction\b|\bcode\b|\bbug\b|\bapi\b|代码|コード",
    ),
    ("extract", r"\bextract|list all|find all|according to the (text|passage)|classify|based on the (text|passage)"),
    ("reasoning", r"\bsolve|calculate|how many|prove|\\frac|\$.*\$|probability|equation|\d+\s*[-+*/=]\s*\d+"),
    ("creative", r"\bpoem|story|essay|lyrics|write (a|an|me)|\bletter|blog|slogan|poema|gedicht|小说|诗"),
    ("brainstorm", r"\bideas?\b|suggest|brainstorm|recommend|tips|give me (\d+|some|a list)|plan"),
    ("tool", r"\bbook\b|\bremind|schedule|set (a|an) (alarm|timer)|turn (on|off)|send (a|an) (email|message)|search"),
    ("chat", r"^(hi|hello|hey|thanks|thank you|good (morning|night))\b|how are you|i feel|\bu\b"),
)


def keyword_rules(rows: Sequence[Row]) -> Array:
    """The first rule that matches; factual where none does."""
    compiled = [(TASKS.index(task), re.compile(pattern, re.IGNORECASE)) for task, pattern in _RULES]
    scores = np.zeros((len(rows), TASK_COUNT))
    for index, row in enumerate(rows):
        task = next((task for task, rule in compiled if rule.search(row.text[:4000])), TASKS.index("factual"))
        scores[index, task] = 1.0
    return scores


@dataclass(frozen=True)
class Lesson:
    """What the baselines learn from: rows, and for each head which of them, with their labels and weights."""

    rows: list[Row]
    chosen: dict[str, Array]
    labels: dict[str, Array]
    weights: dict[str, Array]


def lesson(rows: Sequence[Row], seed: int) -> Lesson:
    """Our own prompts, and at most ROWS_OF_A_CLASS of each source and class for each head."""
    all_targets = targets(list(rows))
    unsafe = all_targets.binary[:, 2:4].max(1)
    columns = [all_targets.task, all_targets.binary[:, 0], all_targets.binary[:, 1], unsafe, all_targets.binary[:, 4]]
    labels = {head: column.astype(int) for head, column in zip(HEADS, columns, strict=True)}
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    picked = {head: _pick(rows, order, labels[head]) for head in HEADS}
    used = sorted(set().union(*picked.values()))
    place = {row: index for index, row in enumerate(used)}
    kept = [rows[row] for row in used]
    weights = targets(kept).weights
    chosen = {head: np.array([place[row] for row in picked[head]], int) for head in HEADS}
    return Lesson(
        rows=kept,
        chosen=chosen,
        labels={head: labels[head][picked[head]] for head in HEADS},
        weights={head: weights[chosen[head], column] for head, column in HEADS.items()},
    )


def _pick(rows: Sequence[Row], order: Sequence[int], labels: Array) -> list[int]:
    """The first rows of each source and class in `order`, which all heads share so that they share most rows."""
    taken: Counter[tuple[str, int]] = Counter()
    picked = []
    for index in order:
        key = (rows[index].source, int(labels[index]))
        if labels[index] != UNKNOWN and (rows[index].own or taken[key] < ROWS_OF_A_CLASS):
            taken[key] += 1
            picked.append(index)
    return sorted(picked)


def _learn(model: Callable[[], Any], known: Any, asked: Any, taught: Lesson, *, weighted: bool = True) -> Scores:
    """The scores of one kind of model, trained once for each head that has both classes in the lesson."""
    scores = {}
    for head in HEADS:
        rows, labels = taught.chosen[head], taught.labels[head]
        if len(set(labels.tolist())) > 1:
            weights = {"sample_weight": taught.weights[head]} if weighted else {}
            fitted = model().fit(known[rows], labels, **weights)
            found = fitted.predict_proba(asked)
            scores[head] = _in_order(found, fitted.classes_) if head == "task" else found[:, 1]
    return scores


def _in_order(scores: Array, classes: Array) -> Array:
    out = np.zeros((len(scores), TASK_COUNT))
    out[:, classes] = scores
    return out


def _hashed(rows: Sequence[Row]) -> Any:
    """Words and pairs, runs of 2 to 5 characters, in 2 x 2**18 buckets."""
    from scipy.sparse import hstack  # type: ignore[import-untyped]
    from sklearn.feature_extraction.text import HashingVectorizer

    texts = [row.text[:3000] for row in rows]
    words = HashingVectorizer(ngram_range=(1, 2), n_features=2**18, alternate_sign=False)
    grams = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 5), n_features=2**18, alternate_sign=False)
    return hstack([words.transform(texts), grams.transform(texts)]).tocsr()


def run_baselines(data: Path, rows: Sequence[Row], *, seed: int, heavy: bool, progress: Progress) -> dict[str, Scores]:
    """The scores that each baseline gives to the last turns of the rows.

    `keyword_rules` for the task alone; `hashed_logistic`, a logistic regression by averaged gradient steps on hashed
    words and characters. `heavy` adds those on MiniLM embeddings: `minilm_logistic`, `minilm_knn` (15 neighbours by
    cosine), and `hashed_and_minilm`, a logistic regression on both kinds of features.
    """
    from edgewise_classifier.train import training_rows

    progress("baseline: keyword rules")
    results = {"keyword_rules": {"task": keyword_rules(rows)}}
    taught = lesson(training_rows(data, OWN, seed), seed)
    progress(f"baseline: hashed logistic regression on {len(taught.rows)} rows")
    known, asked = _hashed(taught.rows), _hashed(rows)
    results["hashed_logistic"] = _learn(lambda: _sgd(seed), known, asked, taught)
    if heavy:
        results.update(_on_minilm(rows, taught, known, asked, seed, progress))
    return results


def _on_minilm(
    rows: Sequence[Row], taught: Lesson, known_hashes: Any, asked_hashes: Any, seed: int, progress: Progress
) -> dict[str, Scores]:
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    known = embed([row.text for row in taught.rows], progress)
    asked = embed([row.text for row in rows], progress)
    progress("baselines: logistic regression and nearest neighbours on MiniLM")
    both_known = hstack([known_hashes, csr_matrix(known)]).tocsr()
    both_asked = hstack([asked_hashes, csr_matrix(asked)]).tocsr()
    return {
        "minilm_logistic": _learn(lambda: LogisticRegression(max_iter=300, C=10.0), known, asked, taught),
        "minilm_knn": _learn(
            lambda: KNeighborsClassifier(n_neighbors=15, weights="distance", metric="cosine"),
            known,
            asked,
            taught,
            weighted=False,
        ),
        "hashed_and_minilm": _learn(lambda: _sgd(seed), both_known, both_asked, taught),
    }


def _sgd(seed: int) -> Any:
    from sklearn.linear_model import SGDClassifier

    return SGDClassifier(loss="log_loss", alpha=1e-5, max_iter=12, tol=None, average=True, random_state=seed)


def decision_times(classifier: CoreClassifier, rows: Sequence[Row], seed: int) -> dict[str, float]:
    """The median processor time for one prompt in microseconds: the core's whole classification, and MiniLM.

    Of MiniLM it is one float32 embedding under torch, tokenizer included, and no head; on the same TIMED prompts.
    """
    chosen = random.Random(seed).sample(list(rows), min(TIMED, len(rows)))
    model = MiniLM()
    model([chosen[0].text])
    core = [_microseconds(lambda: classifier.classify(row.messages)) for row in chosen]  # noqa: B023
    minilm = [_microseconds(lambda: model([row.text])) for row in chosen]  # noqa: B023
    found = {"edgewise_us": float(np.median(core)), "minilm_us": float(np.median(minilm)), "n": len(chosen)}
    return {**found, "ratio": found["minilm_us"] / found["edgewise_us"]}


def _microseconds(work: Callable[[], object]) -> float:
    started = time.thread_time_ns()  # what else runs on the machine does not count
    work()
    return (time.thread_time_ns() - started) / 1000
