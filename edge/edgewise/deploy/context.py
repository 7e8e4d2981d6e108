"""The build context: which files of a folder a build sees, by its `.dockerignore`."""

import re
from pathlib import Path


class BuildContext:
    """A folder, less what its `.dockerignore` leaves out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignore = folder / ".dockerignore"
        lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.exists() else []
        patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        self._rules = [(_compile(one.removeprefix("!")), not one.startswith("!")) for one in patterns]

    def includes(self, path: str) -> bool:
        """Whether a build sees a path: the last pattern that matches it, or a folder above it, decides."""
        ignored = False
        for pattern, ignores in self._rules:
            if pattern.fullmatch(path):
                ignored = ignores
        return not ignored

    def find(self, pattern: str) -> tuple[list[Path], list[Path]]:
        """The paths that a COPY's source stands for: those that a build sees, and those that it does not."""
        found = sorted(self.folder.glob(pattern.removeprefix("./").strip("/") or "."))
        seen = [path for path in found if self.includes(path.relative_to(self.folder).as_posix())]
        return seen, [path for path in found if path not in seen]


def _compile(pattern: str) -> re.Pattern[str]:
    """A pattern of `.dockerignore`: `*` within a name, `**` across folders; a folder stands for all that is in it."""
    parts = re.split(r"(\*\*/?|\*|\?)", pattern.strip("/"))
    special = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(special.get(part, re.escape(part)) for part in parts) + "(?:/.*)?")
