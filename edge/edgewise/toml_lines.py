"""Where keys stand in a TOML file: `tomllib` reads the values but forgets the lines.

Only text that `tomllib` has accepted is scanned, so this needs to know where values end, not whether they are right.
"""

import re
import tomllib
from bisect import bisect_right

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*'""")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_STRING = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?'{3,5}|"(?:[^"\\]|\\.)*"|'[^']*\'''',
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def key_lines(text: str) -> dict[Path, int]:
    """The line of each key, table and array element of valid TOML, counted from 1.

    A table stands where its header is, or without one where it is first mentioned.
    """
    return _Scanner(text).scan()


def locate(lines: dict[Path, int], path: Path) -> int:
    """The line of a path, or of the nearest table around it; 1 where nothing of it is in the file."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class _Scanner:
    """One pass over the text: `position` moves on, `lines` collects."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.lines: dict[Path, int] = {}
        self.array_lengths: dict[Path, int] = {}
        self.newlines = [match.start() for match in re.finditer("\n", text)]

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        self.skip(_BLANK)
        while self.position < len(self.text):
            if self.text[self.position] == "[":
                table = self.scan_header()
            else:
                self.scan_pair(table)
            self.skip(_BLANK)
        return self.lines

    def skip(self, pattern: re.Pattern[str]) -> str:
        """Move past the pattern where it matches, and return what it matched."""
        match = pattern.match(self.text, self.position)
        if match is None:
            return ""
        self.position = match.end()
        return match.group()

    def mention(self, path: Path, start: int) -> None:
        self.lines.setdefault(path, bisect_right(self.newlines, start - 1) + 1)

    def scan_header(self) -> Path:
        """`[table]` or `[[array of tables]]`: the path that the following pairs belong to."""
        start = self.position
        is_array = self.text.startswith("[[", start)
        self.position += 2 if is_array else 1
        *parents, last = self.scan_key()
        path: Path = ()
        for part in parents:
            path = self.enter(path, part, start)
        if is_array:
            array = (*path, last)
            self.mention(array, start)
            self.array_lengths[array] = self.array_lengths.get(array, 0) + 1
        if not is_array:
            self.lines.pop((*path, last), None)
        path = self.enter(path, last, start)
        self.skip(_BLANK)
        self.position += 2 if is_array else 1
        return path

    def enter(self, path: Path, part: str, start: int) -> Path:
        """The path one step further down; in an array of tables, its newest element."""
        path = (*path, part)
        self.mention(path, start)
        if path in self.array_lengths:
            path = (*path, self.array_lengths[path] - 1)
            self.mention(path, start)
        return path

    def scan_pair(self, table: Path) -> None:
        path, start = table, self.position
        for part in self.scan_key():
            path = (*path, part)
            self.mention(path, start)
        self.skip(_BLANK)
        self.position += len("=")
        self.skip(_BLANK)
        self.scan_value(path)

    def scan_key(self) -> list[str]:
        parts = []
        self.skip(_BLANK)
        while True:
            parts.append(_unquote(self.skip(_KEY)))
            if not self.skip(_DOT):
                return parts

    def scan_value(self, path: Path) -> None:
        first = self.text[self.position]
        if first == "[":
            self.scan_items("]", path)
        elif first == "{":
            self.scan_items("}", path)
        elif not self.skip(_STRING):
            self.skip(_SCALAR)

    def scan_items(self, end: str, path: Path) -> None:
        """The elements of an array or the pairs of an inline table, up to and with the closing bracket."""
        self.position += 1
        self.skip(_BLANK)
        index = 0
        while self.text[self.position] != end:
            if end == "}":
                self.scan_pair(path)
            else:
                self.mention((*path, index), self.position)
                self.scan_value((*path, index))
            index += 1
            self.skip(_BLANK)
            if self.text[self.position] == ",":
                self.position += 1
                self.skip(_BLANK)
        self.position += 1


def _unquote(key: str) -> str:
    if key[:1] not in ('"', "'"):
        return key
    unquoted: str = tomllib.loads(f"key = {key}")["key"]
    return unquoted
