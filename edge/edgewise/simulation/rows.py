"""Traffic to replay: rows of JSON lines or Parquet, cut into parts that can be read independently of each other."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgewise.core.labels import SCORE_ONE
from edgewise.errors import EdgewiseError, RequestError
from edgewise.request import Request
from edgewise.traffic import parse_json

PART_BYTES = 4 * 1024 * 1024
PARQUET = ".parquet"
SUFFIXES = (".jsonl", ".ndjson", ".json", PARQUET)

_BATCH_ROWS = 1_000


@dataclass(frozen=True)
class Row:
    """One request, and where known how good each model's answer to it is, from 0 to SCORE_ONE."""

    request: Request
    outcomes: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: Any) -> "Row":
        """The row that a JSON object stands for: a request, which may carry `outcomes`, scores from 0 to 1 by model.

        Raises RequestError naming the field that is wrong.
        """
        if not isinstance(data, dict) or "outcomes" not in data:
            return cls(Request.parse(data))
        request = {name: value for name, value in data.items() if name != "outcomes"}
        return cls(Request.parse(request), _read_outcomes(data["outcomes"]))


def _read_outcomes(outcomes: Any) -> dict[str, int]:
    if not isinstance(outcomes, dict):
        raise RequestError('outcomes: write scores from 0 to 1 by model, such as {"gpt-4o": 1}')
    for model, score in outcomes.items():
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise RequestError(f"outcomes.{model}: {json.dumps(score, default=str)} is not a score from 0 to 1")
    return {model: round(score * SCORE_ONE) for model, score in outcomes.items()}


@dataclass(frozen=True)
class Part:
    """A piece of a file: the lines that begin in bytes `start` to `stop`, or the row groups with these numbers."""

    path: Path
    start: int
    stop: int


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, or of all files of a directory by their names, in order. Raises as `read_part` does."""
    for part in parts_of(path):
        yield from read_part(part)


def parts_of(path: Path, part_bytes: int = PART_BYTES) -> list[Part]:
    """The parts of a file, or of all files of a directory by their names, in order: together all rows, each once.

    Raises EdgewiseError where there is nothing to read.
    """
    if not path.is_dir():
        return _parts_of_file(path, part_bytes)
    files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    if not files:
        raise EdgewiseError(f"{path}: no traffic in this directory; it holds no file ending in {', '.join(SUFFIXES)}")
    return [part for file in files for part in _parts_of_file(file, part_bytes)]


def _parts_of_file(file: Path, part_bytes: int) -> list[Part]:
    if file.suffix == PARQUET:
        with _open_parquet(file) as parquet:
            return [Part(file, group, group + 1) for group in range(parquet.num_row_groups)]
    size = file.stat().st_size
    return [Part(file, start, min(size, start + part_bytes)) for start in range(0, size, part_bytes)]


def read_part(part: Part) -> Iterator[Row]:
    """The rows of a part, in order. Raises RequestError naming file and line, or file and row."""
    return _read_groups(part) if part.path.suffix == PARQUET else _read_lines(part)


def _read_lines(part: Part) -> Iterator[Row]:
    """A line belongs to the part in which it begins, wherever it ends."""
    with part.path.open("rb") as file:
        if part.start > 0:
            file.seek(part.start - 1)
            file.readline()
        number = 0
        while file.tell() < part.stop:
            number += 1
            line = file.readline().decode("utf-8", errors="surrogateescape").rstrip("\r\n")
            if line.strip():
                yield _parse_line(line, part, number)


def _parse_line(line: str, part: Part, number: int) -> Row:
    try:
        return parse_json(line, str(part.path), number, Row.parse)
    except RequestError:
        if part.start == 0:
            raise
        return parse_json(line, str(part.path), number + _lines_before(part), Row.parse)


def _lines_before(part: Part) -> int:
    """How many lines begin before the part: counted only where an error has to name one."""
    with part.path.open("rb") as file:
        return file.read(part.start - 1).count(b"\n") + 1


def _open_parquet(file: Path) -> Any:
    try:
        import pyarrow.parquet  # an extra, and slow to import
    except ImportError:
        raise EdgewiseError(f"{file}: reading Parquet needs an extra: pip install 'edgewise[parquet]'") from None
    try:
        return pyarrow.parquet.ParquetFile(file)
    except pyarrow.ArrowInvalid as error:
        raise EdgewiseError(f"{file}: not Parquet: {str(error).splitlines()[0]}") from None


def _read_groups(part: Part) -> Iterator[Row]:
    with _open_parquet(part.path) as parquet:
        number = sum(parquet.metadata.row_group(group).num_rows for group in range(part.start))
        batches = parquet.iter_batches(batch_size=_BATCH_ROWS, row_groups=list(range(part.start, part.stop)))
        for data in _each(batch.to_pylist(maps_as_pydicts="strict") for batch in batches):
            number += 1
            try:
                yield Row.parse(_from_columns(data))
            except RequestError as error:
                raise RequestError(f"{part.path}: row {number}: {error}") from None


def _each(batches: Iterable[list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        yield from batch


def _from_columns(row: dict[str, Any]) -> Any:
    """A row as JSON has it: without nulls, which are columns that other rows fill; nested JSON may be given as text."""
    for name in ("messages", "outcomes"):
        if isinstance(row.get(name), str):
            try:
                row[name] = json.loads(row[name])
            except (ValueError, RecursionError) as error:
                raise RequestError(f"{name}: not JSON: {error}") from None
    return _without_nulls(row)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value
