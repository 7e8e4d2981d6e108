"""The py2wasm backend: a WASI command that reads requests and writes decisions, both as JSON lines.

py2wasm compiles Python 3.11 programs only, with the modules of its own Python 3.11; it is unmaintained, and works.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from platformdirs import user_cache_path

from edgewise.config import load_config
from edgewise.packing import pack_policy
from edgewise_build.checkout import ROOT
from edgewise_build.errors import BuildError
from edgewise_build.zig_sdk import make_sdk

PYTHON = (3, 11)
MODULES = ("decision.py", "errors.py", "interpreted.py", "money.py", "reasons.py", "wire.py")


def build_command(weights: bytes, output: Path) -> None:
    """Compile the core, the packed weights and the default policy to a WASI command at `output`.

    Raises BuildError. Nothing is left at `output` by a build that failed.
    """
    tool = _require_tools()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stage(weights, folder)
        made = folder / "command.wasm"
        sdk = _find_sdk()
        paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        environment = {**os.environ, "WASI_SDK_DIR": str(sdk), "PATH": paths, "PYTHONPATH": str(folder)}
        command = [tool, "command.py", "-o", str(made)]
        run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        if run.returncode or not made.exists():
            raise BuildError(_explain(run.stdout + run.stderr))
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, output)


def stage(weights: bytes, folder: Path) -> None:
    """Lay out in the folder all that the command imports."""
    package = ROOT / "edge" / "edgewise"
    shutil.copytree(package / "core", folder / "edgewise" / "core", ignore=shutil.ignore_patterns("__pycache__"))
    for module in MODULES:
        shutil.copy(package / module, folder / "edgewise" / module)
    (folder / "edgewise" / "__init__.py").write_text("")
    shutil.copy(ROOT / "build" / "edgewise_build" / "guest" / "command.py", folder / "command.py")
    (folder / "artifact.py").write_text(f"WEIGHTS = {weights!r}\nPOLICY = {pack_policy(load_config())!r}\n")


def _require_tools() -> str:
    """The path of py2wasm. Raises BuildError that says what is missing."""
    if sys.version_info[:2] != PYTHON:
        running = ".".join(map(str, sys.version_info[:2]))
        raise BuildError(f"py2wasm runs on Python 3.11 only, and this is Python {running}: make a 3.11 environment")
    tool = shutil.which("py2wasm", path=str(Path(sys.executable).parent)) or shutil.which("py2wasm")
    if tool is None:
        raise BuildError("py2wasm is not installed: pip install 'edgewise[build]'")
    return tool


def _find_sdk() -> Path:
    """The wasi-sdk that WASI_SDK_DIR names, or one made from the ziglang wheel and kept in the user's cache."""
    named = os.environ.get("WASI_SDK_DIR")
    if named:
        if not (Path(named) / "bin" / "clang").exists():
            raise BuildError(f"WASI_SDK_DIR is {named}, and there is no bin/clang in it")
        return Path(named)
    try:
        return make_sdk(user_cache_path("edgewise") / f"zig-sdk-{version('ziglang')}")
    except PackageNotFoundError:
        raise BuildError("ziglang is not installed: pip install 'edgewise[build]', or set WASI_SDK_DIR") from None
    except subprocess.CalledProcessError as error:
        raise BuildError(f"zig cannot build its C library: {error.stderr.strip().splitlines()[-1]}") from None


def _explain(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "FATAL" in line]
    return f"py2wasm: {(errors or lines or ['failed'])[0]}"
