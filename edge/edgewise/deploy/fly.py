"""Fly.io: `fly.toml` and the Dockerfile checked together, and the commands that ship them."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgewise.deploy.checks import Check
from edgewise.deploy.context import BuildContext
from edgewise.deploy.dockerfile import (
    Stage,
    check_image,
    command_of,
    health_command_of,
    parse_dockerfile,
    sources_of,
)
from edgewise.deploy.fly_settings import check_settings, problem, table
from edgewise.errors import EdgewiseError

DEFAULT_PORT = 8080

_COMPONENT = "edgewise/artifacts/edgewise.wasm"
_WHEELS = "dist/edgewise-*.whl"
_STDERR = 2
_EVERYWHERE = ("0.0.0.0", "::")
_PORT_IN_URL = re.compile(r"https?://[^/\s'\"]*:(\d+)")


class FlyApp:
    """An app in a folder: its `fly.toml`, and the Dockerfile that it names.

    Raises EdgewiseError where one of them is missing or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.settings: dict[str, Any] = tomllib.loads(_read(folder / "fly.toml"))
        except tomllib.TOMLDecodeError as error:
            raise EdgewiseError(f"fly.toml: {error}") from None
        dockerfile = table(self.settings, "build").get("dockerfile", "Dockerfile")
        self.stages: list[Stage] = parse_dockerfile(_read(folder / str(dockerfile)))
        self.context = BuildContext(folder)

    def check(self) -> list[Check]:
        """Every check of both files, in the order in which a reader meets what it is about."""
        return [*check_settings(self.settings, self.folder), *check_image(self.stages), *self._check_together()]

    @property
    def builds_wheel(self) -> bool:
        """Whether the image takes a wheel that this folder's own sources make."""
        wants = any(source == _WHEELS for _, source in sources_of(self.stages))
        return wants and (self.folder / "pyproject.toml").exists()

    def commands(self) -> list[list[str]]:
        """What a deployment runs, in order, in the folder."""
        wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "dist", "."]
        deploy = [_flyctl() or "flyctl", "deploy", "--config", "fly.toml"]
        return [wheel, deploy] if self.builds_wheel else [deploy]

    def deploy(self) -> None:
        """Run the commands. Raises EdgewiseError where flyctl is missing, the wheel is not whole, or one fails."""
        if _flyctl() is None:
            raise EdgewiseError(
                "flyctl is not on the PATH: install it (https://fly.io/docs/flyctl/install), then log in"
            )
        for command in self.commands():
            if subprocess.run(command, cwd=self.folder, stdout=_STDERR).returncode:
                raise EdgewiseError(f"failed: {' '.join(command)}")
            for check in self.check_wheel():
                if check.problem:
                    raise EdgewiseError(check.problem)

    def check_wheel(self) -> Iterator[Check]:
        """Check the wheel that the image takes, where there is one: it is the only one, and holds the component."""
        wheels = sorted(self.folder.glob(_WHEELS))
        if len(wheels) > 1:
            names = ", ".join(wheel.name for wheel in wheels)
            yield Check("", f"dist: {len(wheels)} wheels where the image takes one; remove the others of {names}")
        for wheel in wheels[:1]:
            if _COMPONENT in zipfile.ZipFile(wheel).namelist():
                yield Check(f"{wheel.name} holds the compiled component")
            else:
                yield Check("", f"dist/{wheel.name}: no compiled component in it; run `make build wheel`")

    def _check_together(self) -> Iterator[Check]:
        yield self._check_ports()
        if command_of(self.stages[-1]):
            yield self._check_host()
        yield self._check_sources()
        yield from self.check_wheel()

    def _check_ports(self) -> Check:
        final = self.stages[-1]
        internal = table(self.settings, "http_service").get("internal_port")
        if not isinstance(internal, int):
            return problem("http_service.internal_port", f"missing; write {DEFAULT_PORT}")
        health = [port for word in health_command_of(final) for port in _PORT_IN_URL.findall(word)]
        command = command_of(final)
        places = {
            "CMD": [_option(command, "--port") or str(DEFAULT_PORT)] if command else [],
            "EXPOSE": [port.partition("/")[0] for one in final.all("EXPOSE") for port in one.value.split()],
            "HEALTHCHECK": health,
        }
        for place, ports in places.items():
            if ports and str(internal) not in ports:
                wrong = f"{internal}, but the Dockerfile's {place} says {', '.join(ports)}; write the same in both"
                return problem("http_service.internal_port", wrong)
        return Check(f"ports agree: {internal}")

    def _check_host(self) -> Check:
        host = _option(command_of(self.stages[-1]), "--host") or "127.0.0.1"
        if host not in _EVERYWHERE:
            return Check("", f'Dockerfile: CMD listens on {host}, where nobody reaches it; write "--host", "0.0.0.0"')
        return Check(f"listens on {host}")

    def _check_sources(self) -> Check:
        for instruction, source in sources_of(self.stages):
            seen, hidden = self.context.find(source)
            made_later = source == _WHEELS and self.builds_wheel and self.context.includes(source.replace("*", "0"))
            if hidden and not seen:
                return Check(
                    "", f"Dockerfile:{instruction.line}: .dockerignore leaves out {source}; write !{source} there"
                )
            if not seen and not made_later:
                return Check("", f"Dockerfile:{instruction.line}: there is no {source}; run `make wheel`")
        return Check("what the image copies is there, or is made first")


def _flyctl() -> str | None:
    return shutil.which("flyctl") or shutil.which("fly")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else (error.strerror or str(error)).lower()
        raise EdgewiseError(f"{path}: {reason}; name the folder of the app with --directory") from None


def _option(words: list[str], name: str) -> str | None:
    """The value of an option in a command line, in either spelling."""
    for index, word in enumerate(words):
        if word == name and index + 1 < len(words):
            return words[index + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None
