"""The image, without a Docker engine: the steps of the Dockerfile are read from it and performed in a folder.

What is checked is what fly.toml promises of it: it starts with the same command, answers the health check, decides, and
ends when told.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from edgewise import Router
from edgewise.deploy import FlyApp
from edgewise.deploy.context import BuildContext
from edgewise.deploy.dockerfile import Instruction, Stage, command_of, health_command_of
from edgewise.engine import COMPONENT
from edgewise.request import Request
from support.serving import Server

ROOT = Path(__file__).parents[2]
SLOW_SECONDS = 600


@dataclass(frozen=True)
class Image:
    """What the Dockerfile's steps made: a root folder, and how its server is started and asked."""

    root: Path
    environment: dict[str, str]
    command: list[str]
    health_command: list[str]

    def serve(self) -> Server:
        """Start the server as the image does, apart from the port, which is a free one here."""
        command = [*self.command]
        command[command.index("--port") + 1] = "0"
        executable = shutil.which(command[0], path=self.environment["PATH"])
        assert executable
        return Server(
            ["env", "-i", *(f"{key}={value}" for key, value in self.environment.items()), executable, *command[1:]]
        )

    def is_healthy(self, port: str) -> bool:
        """Run the image's health check against a port."""
        command = [re.sub(r":8080\b", f":{port}", word) for word in self.health_command]
        executable = shutil.which(command[0], path=self.environment["PATH"])
        assert executable
        return subprocess.run([executable, *command[1:]], env=self.environment, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    folder = tmp_path_factory.mktemp("image")
    context, base, root = folder / "context", folder / "base", folder / "root"
    app = FlyApp(ROOT)
    assert COMPONENT.exists(), "run `make build` first"
    make_wheel = [str(context / word) if word == "dist" else word for word in app.commands()[0]]
    subprocess.run(make_wheel, cwd=ROOT, check=True, timeout=SLOW_SECONDS)
    shutil.copy(ROOT / ".dockerignore", context)
    subprocess.run([sys.executable, "-m", "venv", str(base)], check=True, timeout=SLOW_SECONDS)
    environment: dict[str, str] = {}
    for stage in app.stages:
        assert stage.base.startswith("python:")
        environment = {"PATH": f"{base / 'bin'}:/usr/bin:/bin"}
        for step in stage.instructions:
            perform(step, stage, BuildContext(context), root, environment)
    final = app.stages[-1]
    yield Image(root, environment, command_of(final), health_command_of(final))
    shutil.rmtree(folder)


def perform(step: Instruction, stage: Stage, context: BuildContext, root: Path, environment: dict[str, str]) -> None:
    """Do what one instruction says inside `root`. All stages share it, so COPY --from finds its source in place."""
    if step.keyword == "COPY" and "from" in step.flags:
        source, target = step.value.split()
        assert source == target
        assert inside(source, root).exists()
    elif step.keyword == "COPY":
        *sources, target = step.value.split()
        inside(target, root).mkdir(parents=True, exist_ok=True)
        for source in sources:
            seen, _ = context.find(source)
            assert seen, f"nothing for COPY {source}"
            for path in seen:
                shutil.copy(path, inside(target, root))
    elif step.keyword == "RUN":
        command = re.sub(r"(?<=[\s\"(=])/(?=opt/|wheels/)", f"{root}/", step.value)
        subprocess.run(["sh", "-ec", command], env=with_pip_settings(environment), check=True, timeout=SLOW_SECONDS)
    elif step.keyword == "ENV":
        for assignment in shlex.split(step.value):
            name, _, value = assignment.partition("=")
            value = value.replace("$PATH", environment["PATH"])
            environment[name] = re.sub(r"^/(?=opt/)", f"{root}/", value)
    else:
        assert step.keyword in ("USER", "EXPOSE", "HEALTHCHECK", "CMD"), (
            f"{stage.line}: {step.keyword} is not performed"
        )


def inside(path: str, root: Path) -> Path:
    return root / path.lstrip("/")


def with_pip_settings(environment: dict[str, str]) -> dict[str, str]:
    """The environment, with the caller's own settings of pip."""
    own = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name in ("HOME", "TMPDIR")}
    return {**own, **environment}


def test_the_image_has_the_router_and_no_tools(image: Image) -> None:
    programs = {path.name for path in (image.root / "opt" / "edgewise" / "bin").iterdir()}
    assert "edgewise" in programs
    assert not programs & {"pip", "pip3", "cmake", "numba", "node", "python-zig"}
    installed = {path.name.lower() for path in image.root.glob("opt/edgewise/lib/python*/site-packages/*")}
    assert {"edgewise", "starlette", "uvicorn", "wasmtime"} <= installed
    assert not installed & {"pip", "numba", "llvmlite", "ziglang", "onnx", "numpy", "torch", "pytest"}


def test_it_starts_is_healthy_decides_and_ends(image: Image) -> None:
    settings = tomllib.loads((ROOT / "fly.toml").read_text(encoding="utf-8"))
    request = {"text": "Prove that the square root of 2 is irrational.", "id": "fly"}
    with image.serve() as server:
        url = httpx.URL(server.url).copy_with(host="127.0.0.1")
        assert image.is_healthy(str(url.port))
        for check in settings["http_service"]["checks"]:
            assert httpx.request(check["method"], url.join(check["path"])).status_code == 200
        answer = httpx.post(url.join("/v1/route"), json=request)
        assert answer.status_code == 200
        router = Router()
        parsed = Request.parse(request)
        assert answer.json() == router.to_json(parsed, router.decide(parsed))
        server.send(signal.Signals[settings["kill_signal"]])
        assert server.wait() == 0
        assert not image.is_healthy(str(url.port))


def test_its_own_configuration_comes_through_the_environment(image: Image, tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "configs" / "minimal.toml", tmp_path / "router.toml")
    configured = {**image.environment, "EDGEWISE_CONFIG": str(tmp_path / "router.toml")}
    with Image(image.root, configured, image.command, image.health_command).serve() as server:
        assert "router.toml" in server.wait_for("listening on")
        url = httpx.URL(server.url).copy_with(host="127.0.0.1")
        models = httpx.get(url.join("/v1/models")).json()["data"]
    expected = Router(tmp_path / "router.toml").config.models
    named = [one["id"] for one in models if not one["id"].startswith("auto")]
    assert named == list(expected)
