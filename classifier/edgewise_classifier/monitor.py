"""How well the mid-query monitor does on texts that models and people really wrote.

Models are split in two: limits were chosen on the outputs of one half (and on prompts that are not of the test role);
the figures to quote are those of the other. What a loop is, is decided without the monitor: by comparing the whole text
with itself shifted by every distance, and, for loops that change a little each time, by how far zlib compresses the
end.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.bench import commit, machine
from edgewise.core.language import LANGUAGES, LanguageResult, LanguageScratch, LanguageTable
from edgewise.core.repetition import WORDS_BYTES
from edgewise.core.stream import FINDINGS, Monitor, MonitorRules, begin, close, watch
from edgewise_build.lower import native, record_dtype
from edgewise_classifier.language import read_table

Json = dict[str, Any]

TRAIN_FAMILIES = ("Mistral", "Mixtral", "Phi", "Qwen", "Yi", "mathstral")
"""The models whose outputs limits may be chosen on: whole families, so that relatives stand on one side."""

TIMES = (2, 3, 4)
LOOP_TIMES, LOOP_BYTES, LONGEST_PERIOD = 3, 100, 2000
TAIL_BYTES, SHORTEST_TAIL, COMPRESSIBLE = 1000, 400, 0.25
LANGUAGE_BYTES = 512
"""A text for the language check is so long or longer: four looks."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a model wrote, in UTF-8, and whether the answer in it was right."""

    model: str
    text: bytes
    correct: bool

    @property
    def split(self) -> str:
        """The half of the models it belongs to: train or test."""
        return "train" if self.model.startswith(TRAIN_FAMILIES) else "test"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run of bytes that repeats with a period."""

    start: int
    length: int
    period: int


@dataclass(frozen=True, slots=True)
class Found:
    """A finding, by name, and how many bytes had been read by then."""

    finding: str
    at: int

    def __bool__(self) -> bool:
        return self.finding != FINDINGS[0]


class Watcher:
    """The core's monitor, compiled for this machine, over whole answers."""

    def __init__(self) -> None:
        self._begin, self._watch, self._close = (native(function) for function in (begin, watch, close))
        self._table = np.frombuffer(read_table(), record_dtype(LanguageTable))[0]
        kinds = (LanguageScratch, LanguageResult, Monitor, MonitorRules)
        self._scratch, self._spoken, self._monitor, self._rules = (np.zeros(1, record_dtype(kind))[0] for kind in kinds)

    def __call__(self, text: bytes, language: str = "", **rules: int) -> Found:
        """Read a text that should be in `language` ("": any), with the rules that are named; the others are off."""
        for field in MonitorRules.fields:
            self._rules[field.name] = rules.get(field.name, 0)
        data, none = np.frombuffer(text or b" ", np.uint8), np.zeros(1, np.int32)
        self._begin(self._monitor, LANGUAGES.index(language) if language else -1, 0)
        chunk = (data, 0, len(text), none, 0, 0)
        self._watch(self._monitor, self._rules, *chunk, self._table, self._scratch, self._spoken)
        found = self._close(self._monitor, self._rules)
        return Found(FINDINGS[found], int(self._monitor["loop"]["length"]))


def longest_loop(text: bytes) -> Stretch | None:
    """The longest stretch that comes LOOP_TIMES in a row or more, LOOP_BYTES at least; None where there is none.

    Of periods that give about the same length it is the shortest.
    """
    data = np.frombuffer(text, np.uint8)
    best: Stretch | None = None
    for period in range(1, min(LONGEST_PERIOD, len(data) // LOOP_TIMES) + 1):
        equal = data[period:] == data[:-period]
        shortest = max(LOOP_BYTES, LOOP_TIMES * period) - period
        if np.count_nonzero(equal) < shortest:
            continue
        ends = np.concatenate(([-1], np.flatnonzero(~equal), [len(equal)]))
        longest = int(np.argmax(np.diff(ends)))
        run = int(ends[longest + 1] - ends[longest]) - 1
        if run >= shortest and (best is None or run + period > best.length * 1.1):
            best = Stretch(int(ends[longest]) + 1, run + period, period)
    return best


def is_compressible(text: bytes) -> bool:
    """Whether the end of a text says next to nothing new."""
    tail = text[-TAIL_BYTES:]
    return len(tail) >= SHORTEST_TAIL and len(zlib.compress(tail, 9)) < COMPRESSIBLE * len(tail)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95% interval of a share (Wilson 1927); sound for shares near 0 and 1."""
    z = 1.96
    middle, spread = hits + z * z / 2, z * (hits * (n - hits) / n + z * z / 4) ** 0.5
    return (middle - spread) / (n + z * z), (middle + spread) / (n + z * z)


def share(hits: Iterable[bool]) -> Json:
    """How many of how many, as a share with its interval."""
    each = list(hits)
    low, high = wilson(sum(each), len(each)) if each else (float("nan"), float("nan"))
    return {"hits": sum(each), "n": len(each), "share": sum(each) / max(1, len(each)), "interval": [low, high]}


def read_outputs(data: Path) -> list[Output]:
    """The outputs of DATA/outcomes/model_outputs.jsonl. Raises ValueError where the file is missing."""
    path = data / "outcomes" / "model_outputs.jsonl"
    if not path.is_file():
        raise ValueError(f"{path} is missing: the monitor is measured on what models wrote")
    return [Output(row["model"], row["text"].encode(), bool(row["correct"])) for row in _rows(path)]


def read_texts(data: Path) -> list[bytes]:
    """What people wrote, of the test role, as long as the shortest loop or longer."""
    rows = (row for path in sorted((data / "sets").glob("*.jsonl")) for row in _rows(path) if row["role"] == "test")
    return [text for row in rows if len(text := row["text"].encode()) >= WORDS_BYTES]


def read_languages(data: Path) -> list[tuple[str, bytes]]:
    """Texts by language: sentences of tatoeba_laser in a row, as many as it takes."""
    texts: list[tuple[str, bytes]] = []
    parts: dict[str, list[str]] = {}
    for row in _rows(data / "sets" / "tatoeba_laser.jsonl"):
        if (language := row["lang"]) in LANGUAGES:
            parts.setdefault(language, []).append(row["text"])
            if len(text := " ".join(parts[language]).encode()) >= LANGUAGE_BYTES:
                texts.append((language, text))
                parts[language] = []
    return texts


def _rows(path: Path) -> Iterator[Json]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def evaluate(data: Path, progress: Callable[[str], None] = lambda _: None) -> Json:
    """Every figure of docs/monitor.md. Raises ValueError where data is missing."""
    outputs = read_outputs(data)
    progress("compiling the monitor")
    watcher = Watcher()
    progress(f"comparing {len(outputs):,} outputs with themselves")
    loops = [longest_loop(output.text) for output in outputs]
    progress("watching them")
    report: Json = {"commit": commit(), "machine": machine(), "loops": {}, "phrases": {}}
    for split in ("train", "test"):
        chosen = [(output, loop) for output, loop in zip(outputs, loops, strict=True) if output.split == split]
        report["loops"][split] = {str(times): _loops(chosen, watcher, times) for times in TIMES}
        report["phrases"][split] = _phrases([output for output, _ in chosen], watcher)
    texts = read_texts(data)
    report["people"] = {str(times): share(bool(watcher(text, repetition=times)) for text in texts) for times in TIMES}
    report["language"] = _language(outputs, read_languages(data), watcher)
    return report


def _loops(outputs: list[tuple[Output, Stretch | None]], watcher: Watcher, times: int) -> Json:
    """Detection by kind of output, how much of the loop was read by then, and what stopping there would have saved."""
    found = [(output, loop, watcher(output.text, repetition=times)) for output, loop in outputs]
    caught = [(output, loop, hit) for output, loop, hit in found if loop and hit]
    read = [max(0, hit.at - loop.start) / loop.length for _, loop, hit in caught]
    saved = [1 - hit.at / len(output.text) for output, _, hit in caught]
    return {
        "models": len({output.model for output, _ in outputs}),
        "looping": share(bool(hit) for _, loop, hit in found if loop),
        "nearly_looping": share(bool(hit) for output, loop, hit in found if not loop and is_compressible(output.text)),
        "neither": share(bool(hit) for output, loop, hit in found if not loop and not is_compressible(output.text)),
        "right_when_found": share(output.correct for output, _, hit in found if hit),
        "right_when_not": share(output.correct for output, _, hit in found if not hit),
        "read_of_loop": _quartiles(read),
        "saved_of_output": _quartiles(saved),
    }


def _quartiles(values: list[float]) -> list[float]:
    return [float(value) for value in np.percentile(values, [25, 50, 75])] if values else []


def _phrases(outputs: list[Output], watcher: Watcher) -> Json:
    """How often refusals and disclaimers are seen in answers to exam questions, in which there are next to none."""
    return {
        name: share(watcher(output.text, "", **{name: 1}).finding == name for output in outputs)
        for name in ("refusal", "stale_knowledge")
    }


def _language(outputs: list[Output], texts: list[tuple[str, bytes]], watcher: Watcher) -> Json:
    """Drift where there is none (the text's own language is expected), and where all of it is (another one is)."""
    answers = [output.text for output in outputs if output.split == "test"]
    long = [text for text in answers if len(text) >= LANGUAGE_BYTES]

    def drifts(text: bytes, expected: str) -> bool:
        return watcher(text, expected, language_drift=1).finding == "language_drift"

    wrong = [(text, "en" if language != "en" else "de") for language, text in texts]
    return {
        "languages": len({language for language, _ in texts}),
        "own_sentences": share(drifts(text, language) for language, text in texts),
        "other_sentences": share(drifts(text, expected) for text, expected in wrong),
        "own_answers": share(drifts(text, "en") for text in answers),
        "other_answers": share(drifts(text, "fr") for text in long),
    }
