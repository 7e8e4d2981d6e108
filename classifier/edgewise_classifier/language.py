"""The table of language identification: its file, its training, and the core that reads it."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
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
