"""The gateways that `make bench-proxy` measures, each started before the same upstream.

The other gateways are installed into `build/peers/gateways` when they are measured for the first time: LiteLLM into a
virtual environment, Portkey's gateway by npm. Each answers at `URL/chat/completions` from one process, with the
settings that it has when nobody changes them. edgewise has two models to decide between.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from edgewise.config import load_config, parse_config
from edgewise.engine import COMPONENT
from edgewise_build.checkout import ROOT
from edgewise_build.errors import BuildError
from edgewise_build.node import require_node
from edgewise_build.worker import bundle, reconfigured
from edgewise_build.workerd import Workerd

FOLDER = ROOT / "build" / "peers" / "gateways"
LITELLM = "1.106.2"
PORTKEY = "1.15.2"
PYTHON = "edgewise, Python proxy"
WORKER = "edgewise, Worker in workerd"

_START_SECONDS = 120
_STOP_SECONDS = 30


@dataclass(frozen=True)
class Gateway:
    """One way to the upstream: where it listens, what it wants to hear, and its process."""

    name: str
    url: str
    pid: int
    model: str = "mock"
    headers: Mapping[str, str] = field(default_factory=dict)
    ours: bool = False

    @property
    def memory_mb(self) -> float:
        """The resident memory of its process and of all that this one started."""
        return sum(map(_resident_bytes, _family(self.pid))) / 2**20


Start = Callable[[str, Path], AbstractContextManager[Gateway]]
"""Starts a gateway before an upstream, with a folder for its files, until the context ends; raises BuildError where it
cannot be installed or does not start."""


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def upstream() -> Iterator[Gateway]:
    """The mock upstream, as the way to it with nothing between."""
    command = [sys.executable, "-m", "edgewise_build.mock_upstream"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
            yield Gateway("none: the mock upstream", url, process.pid)
        finally:
            process.terminate()


_ROUTER = """
[models.{name}]
provider = "{name}"
price_in = {price}
price_out = {price}
context = 32000
ttft_ms = 50
quality = {quality}
[models.{name}.endpoint]
base_url = "{url}"
"""


def _router_toml(upstream: str) -> str:
    models = (("small", 1, 0.8), ("large", 10, 0.9))
    return "".join(_ROUTER.format(name=name, price=price, quality=q, url=upstream) for name, price, q in models)


@contextlib.contextmanager
def python_proxy(upstream: str, folder: Path) -> Iterator[Gateway]:
    """`edgewise serve`."""
    (folder / "router.toml").write_text(_router_toml(upstream), encoding="utf-8")
    port = free_port()
    command = [sys.executable, "-c", "from edgewise.cli import main; main()", "serve", "--port", str(port)]
    command += ["--config", str(folder / "router.toml"), "--log-level", "warning"]
    with running("edgewise", command, port) as pid:
        yield Gateway(PYTHON, f"http://127.0.0.1:{port}/v1", pid, "auto", ours=True)


@contextlib.contextmanager
def worker(upstream: str, folder: Path) -> Iterator[Gateway]:
    """The Worker as it would be uploaded, in workerd."""
    made = bundle(COMPONENT, load_config(), folder / "default")
    config = parse_config(_router_toml(upstream), "router.toml")
    with Workerd(reconfigured(made, config, folder / "worker")) as server:
        yield Gateway(WORKER, f"http://127.0.0.1:{server.port}/v1", server.pid, "auto", ours=True)


@contextlib.contextmanager
def litellm(upstream: str, folder: Path) -> Iterator[Gateway]:
    """LiteLLM's proxy with one worker."""
    program = FOLDER / ".venv" / "bin" / "litellm"
    if not program.exists():
        _install("LiteLLM", sys.executable, "-m", "venv", str(FOLDER / ".venv"))
        pip = str(FOLDER / ".venv" / "bin" / "pip")
        _install("LiteLLM", pip, "install", "--quiet", f"litellm[proxy]=={LITELLM}")
    parameters = {"model": "openai/mock", "api_base": upstream, "api_key": "none"}
    settings = {"model_list": [{"model_name": "mock", "litellm_params": parameters}]}
    (folder / "litellm.yaml").write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML, too
    port = free_port()
    command = [str(program), "--config", str(folder / "litellm.yaml"), "--port", str(port), "--num_workers", "1"]
    env = {"LITELLM_LOG": "ERROR", "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    with running("LiteLLM", command, port, env) as pid:
        yield Gateway(f"LiteLLM {LITELLM} proxy, one worker", f"http://127.0.0.1:{port}/v1", pid)


@contextlib.contextmanager
def portkey(upstream: str, _folder: Path) -> Iterator[Gateway]:
    """Portkey's gateway under Node."""
    program = FOLDER / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    node = require_node()
    if not program.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise BuildError("npm is not on the PATH: install Node.js with npm")
        _install("Portkey's gateway", npm, "ci", "--silent")
    port = free_port()
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": upstream, "authorization": "Bearer none"}
    with running("Portkey's gateway", [node, str(program), f"--port={port}", "--headless"], port) as pid:
        yield Gateway(f"Portkey {PORTKEY} gateway", f"http://127.0.0.1:{port}/v1", pid, headers=headers)


OURS: tuple[Start, ...] = (python_proxy, worker)
OTHERS: tuple[Start, ...] = (litellm, portkey)


def _install(name: str, program: str, *arguments: str) -> None:
    run = subprocess.run([program, *arguments], cwd=FOLDER, env={**os.environ, "CI": "1"}, capture_output=True)
    if run.returncode:
        command = " ".join([Path(program).name, *arguments])
        where = "in build/peers/gateways where there is a network"
        raise BuildError(f"{name} could not be installed: run `{command}` {where}")


def free_port() -> int:
    """A port of the loopback interface that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def running(name: str, command: Sequence[str], port: int, env: Mapping[str, str] | None = None) -> Iterator[int]:
    """A process, once it listens. Raises BuildError where it does not."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(env or {})}, cwd=FOLDER)
        try:
            if not _listens(process, port):
                log.seek(0)
                raise BuildError(f"{name} does not start: {log.read()[-400:].decode(errors='replace').strip()}")
            yield process.pid
        finally:
            process.terminate()
            process.wait(_STOP_SECONDS)


def _listens(process: "subprocess.Popen[bytes]", port: int) -> bool:
    end = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.1)
    return False
