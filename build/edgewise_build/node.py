"""Node.js, which wraps components and bundles the Worker: found, checked, and run with errors in one line."""

import shutil
import subprocess
from pathlib import Path

from edgewise_build.checkout import WORKER
from edgewise_build.errors import BuildError

MINIMUM_NODE = 20


def require_node() -> str:
    """The path of a Node.js that is new enough. Raises BuildError where there is none."""
    node = shutil.which("node")
    if node is None:
        raise BuildError(f"node is not on the PATH: install Node.js {MINIMUM_NODE} or newer")
    version = subprocess.run([node, "--version"], capture_output=True, text=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < MINIMUM_NODE:
        raise BuildError(f"Node.js {version} is too old: install version {MINIMUM_NODE} or newer")
    return node


def run_tool(script: str, *arguments: Path | str) -> str:
    """Run a script of `edge/worker/tools/`; gives what it prints. Raises BuildError with its error."""
    node = require_node()
    if not (WORKER / "node_modules").exists():
        raise BuildError("the Node packages are not installed: run `make setup`, or `npm ci` in edge/worker")
    command = [node, str(WORKER / "tools" / script), *map(str, arguments)]
    run = subprocess.run(command, cwd=WORKER, capture_output=True, text=True)
    if run.returncode:
        errors = [line for line in run.stderr.splitlines() if "Error" in line] or run.stderr.strip().splitlines()
        raise BuildError(f"{script}: {errors[0].strip() if errors else 'failed'}")
    return run.stdout
