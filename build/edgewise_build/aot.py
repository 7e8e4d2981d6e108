"""The aot backend: the routing core, compiled ahead of time to a core module of a few KB plus the trained weights.

The compiler reads its settings from the environment when it is first imported, so it always runs in a process of its
own: `python -m edgewise_build.aot WEIGHTS OUTPUT`. The same sources and weights give the same bytes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgewise.core.layout import Weights
from edgewise_build.checkout import WIT
from edgewise_build.errors import BuildError
from edgewise_build.node import run_tool

# Numba's own optimiser and code generator work for this machine and leave their traces in the IR, such as stack slots
# that numbers and pointers share because both take 64 bits here. So numba optimises nothing; `wasm` does, for wasm32.
COMPILER_ENVIRONMENT = {
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "",
    "NUMBA_OPT": "0",
    "NUMBA_DISABLE_JIT": "0",
    "PYTHONHASHSEED": "0",
}


def compile_core(weights: bytes, folder: Path) -> bytes:
    """The core module for the packed weights, compiled in a process of its own; `folder` takes the temporary files.

    Raises BuildError with the compiler's message.
    """
    if len(weights) != Weights.size:
        raise BuildError(f"the weights take {Weights.size} bytes, these are {len(weights)}")
    source, target = folder / "weights.bin", folder / "core.wasm"
    source.write_bytes(weights)
    command = [sys.executable, "-m", "edgewise_build.aot", str(source), str(target)]
    run = subprocess.run(command, env={**os.environ, **COMPILER_ENVIRONMENT}, capture_output=True, text=True)
    if run.returncode:
        raise BuildError(run.stderr.strip())
    return target.read_bytes()


def build_component(weights: bytes, output: Path) -> None:
    """Compile the core with the packed weights and wrap it as a component at `output`.

    Raises BuildError. Nothing is left at `output` by a build that failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compile_core(weights, folder)
        run_tool("wrap.mjs", folder / "core.wasm", WIT, folder / "component.wasm")
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / "component.wasm", output)


def _compile(weights: bytes) -> bytes:
    from edgewise.core.live import adopt, fits, observe, snapshot_bytes
    from edgewise.core.policy import check_policy
    from edgewise.core.routing import route
    from edgewise.core.session import advance, open_session
    from edgewise.core.stitching import overlap
    from edgewise_build.abi import EXPORTS, CoreFunctions, shim
    from edgewise_build.lower import lower
    from edgewise_build.subset import check
    from edgewise_build.wasm import compile_modules, link

    roots: list[Callable[..., Any]] = [
        *(route, open_session, advance, overlap),
        *(check_policy, adopt, observe, snapshot_bytes, fits),
    ]
    if problems := check(roots):
        raise BuildError("\n".join(map(str, problems)))
    lowered = lower(roots)
    shims = shim(CoreFunctions(**{function.name: function for function in lowered}), weights)
    return link(compile_modules([*(function.ir for function in lowered), shims], EXPORTS), EXPORTS)


def _main() -> None:
    from edgewise_build.lower import LoweringError
    from edgewise_build.wasm import LayoutError, LinkError

    try:
        module = _compile(Path(sys.argv[1]).read_bytes())
    except (BuildError, LoweringError, LayoutError, LinkError) as error:
        sys.exit(str(error))
    Path(sys.argv[2]).write_bytes(module)


if __name__ == "__main__":
    _main()
