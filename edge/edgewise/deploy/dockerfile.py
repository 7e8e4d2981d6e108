"""Dockerfiles: read into stages of instructions, and checked for what a small and safe image needs."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from edgewise.deploy.checks import Check
from edgewise.errors import EdgewiseError

_BUILD_TOOLS = re.compile(
    r"(?<![\w./-])(build-essential|gcc|g\+\+|clang|cmake|make|cargo|rustc|rustup|golang|nodejs|node|npm|git|ziglang"
    r"|pip3? (?:\S+ )*install|[\w.+-]+-dev)(?![\w/-])"
)
_PINNED_TAG = re.compile(r"\d+\.\d+")
_LIGHT = re.compile(r"slim|alpine|distroless|chainguard|scratch")
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S+))?\s+")
_ROOT = {"root", "0"}


@dataclass(frozen=True)
class Instruction:
    """One instruction: its line, its keyword in capitals, its flags such as `from`, and the rest."""

    line: int
    keyword: str
    flags: dict[str, str]
    value: str

    @property
    def words(self) -> list[str] | None:
        """The command in exec form, or None where it is in shell form."""
        try:
            words = json.loads(self.value)
        except json.JSONDecodeError:
            return None
        return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


@dataclass
class Stage:
    """A stage: what it is made from, its name, and its instructions."""

    line: int
    base: str
    name: str | None
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, keyword: str) -> list[Instruction]:
        """The instructions with a keyword, in order."""
        return [one for one in self.instructions if one.keyword == keyword]

    def last(self, keyword: str) -> Instruction | None:
        """The instruction that counts where a keyword may stand several times."""
        return next(reversed(self.all(keyword)), None)


def parse_dockerfile(text: str) -> list[Stage]:
    """The stages of a Dockerfile. Raises EdgewiseError naming the line that cannot be read."""
    stages: list[Stage] = []
    for instruction in _instructions(text):
        if instruction.keyword == "FROM":
            base, _, name = instruction.value.partition(" ")
            stages.append(Stage(instruction.line, base, name.split()[-1] if name else None))
        elif stages:
            stages[-1].instructions.append(instruction)
        elif instruction.keyword != "ARG":
            raise EdgewiseError(f"Dockerfile:{instruction.line}: {instruction.keyword} stands before the first FROM")
    if not stages:
        raise EdgewiseError("Dockerfile: no FROM; begin with a base image")
    return stages


def _instructions(text: str) -> Iterator[Instruction]:
    start, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if not parts:
            start = number
        parts.append(stripped.removesuffix("\\").strip())
        if not stripped.endswith("\\"):
            yield _instruction(start, " ".join(parts))
            parts = []
    if parts:
        raise EdgewiseError(f"Dockerfile:{start}: the last line ends with a backslash")


def _instruction(line: int, text: str) -> Instruction:
    keyword, _, rest = text.partition(" ")
    if "<<" in rest and keyword.upper() in ("RUN", "COPY"):
        raise EdgewiseError(f"Dockerfile:{line}: here-documents are not read; write a command of one line")
    flags: dict[str, str] = {}
    rest = rest.strip()
    while match := _FLAG.match(rest):
        flags[match[1]] = match[2] or ""
        rest = rest[match.end() :]
    return Instruction(line, keyword.upper(), flags, rest)


def check_image(stages: list[Stage]) -> Iterator[Check]:
    """Check that an image is small and safe: pinned bases, no build tools, no root, commands in exec form."""
    final = stages[-1]
    yield _check_bases(stages)
    yield _check_light(final, stages)
    yield _check_tools(final)
    yield _check_user(final)
    yield _check_command(final)
    yield _check_health(final)


def _check_bases(stages: list[Stage]) -> Check:
    names = {stage.name for stage in stages}
    for stage in stages:
        image, _, digest = stage.base.partition("@")
        tag = image.rpartition("/")[2].partition(":")[2]
        if stage.base in names or stage.base == "scratch" or digest.startswith("sha256:") or _PINNED_TAG.search(tag):
            continue
        return _problem(stage, f"the base {stage.base} may change at any time; write a version such as :3.12-slim")
    return Check(f"base images are pinned: {', '.join(dict.fromkeys(stage.base for stage in stages))}")


def _check_light(final: Stage, stages: list[Stage]) -> Check:
    bases = {stage.name: stage.base for stage in stages if stage.name}
    base = bases.get(final.base, final.base)
    if base.startswith("python:") and not _LIGHT.search(base):
        return _problem(final, f"{base} brings compilers into the last stage; take a -slim one")
    return Check(f"the last stage starts small: {base}")


def _check_tools(final: Stage) -> Check:
    for run in final.all("RUN"):
        if tool := _BUILD_TOOLS.search(run.value):
            return _problem(run, f"{tool[1]!r} in the last stage; do it in an earlier one and COPY --from its result")
    return Check("no build tools in the last stage")


def _check_user(final: Stage) -> Check:
    user = final.last("USER")
    if user is None:
        return _problem(final, "the last stage runs as root; write USER 10001:10001 before CMD")
    if user.value.partition(":")[0] in _ROOT:
        return _problem(user, f"USER {user.value} is root; write USER 10001:10001")
    return Check(f"runs as user {user.value}")


def _check_command(final: Stage) -> Check:
    commands = [one for one in (final.last("ENTRYPOINT"), final.last("CMD")) if one]
    if not commands:
        return _problem(final, 'nothing starts the server; write CMD ["edgewise", "serve", ...]')
    for one in commands:
        if one.words is None:
            problem = f"{one.keyword} in shell form: a shell would get SIGTERM, not the server; write a JSON array"
            return _problem(one, problem)
    return Check(f"starts in exec form: {' '.join(command_of(final))}")


def _check_health(final: Stage) -> Check:
    health = final.last("HEALTHCHECK")
    if health is None or health.value.upper() == "NONE":
        return _problem(health or final, "no HEALTHCHECK; write one that asks /healthz")
    keyword, _, command = health.value.partition(" ")
    if keyword.upper() != "CMD" or Instruction(health.line, "CMD", {}, command.strip()).words is None:
        return _problem(health, "HEALTHCHECK in shell form; write HEALTHCHECK CMD and a JSON array")
    return Check("has a health check")


def command_of(stage: Stage) -> list[str]:
    """What a stage starts: the words of ENTRYPOINT and CMD, as far as they are in exec form."""
    return [word for one in (stage.last("ENTRYPOINT"), stage.last("CMD")) if one for word in one.words or ()]


def health_command_of(stage: Stage) -> list[str]:
    """The words of the health check, where it is in exec form."""
    health = stage.last("HEALTHCHECK")
    if health is None:
        return []
    return Instruction(health.line, "CMD", {}, health.value.partition(" ")[2].strip()).words or []


def sources_of(stages: list[Stage]) -> Iterator[tuple[Instruction, str]]:
    """What the stages copy from the build context: the instruction, and a path or pattern."""
    for stage in stages:
        for one in (*stage.all("COPY"), *stage.all("ADD")):
            if "from" not in one.flags:
                for source in (one.words or one.value.split())[:-1]:
                    yield one, source


def _problem(place: Stage | Instruction, problem: str) -> Check:
    return Check("", f"Dockerfile:{place.line}: {problem}")
