"""The table of language identification: its file, its training, and its evaluation through the core."""

import hashlib
import struct
from pathlib import Path

from edgewise.core.language import LANGUAGES, LanguageTable

MODEL = Path(__file__).parent.parent / "model" / "language.bin"

_MAGIC = b"EWLG"
_FORMAT = 1
_HEADER = struct.Struct("<4sIII16s")


class LanguageFileError(Exception):
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
