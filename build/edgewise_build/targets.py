"""What `edgewise build` can make: what goes where for each target."""

from dataclasses import dataclass
from pathlib import Path

from edgewise.bench import BUILDS, gzip_size
from edgewise.config import load_config
from edgewise_build import aot, componentize, py2wasm
from edgewise_build.checkout import COMPONENT, WORKER, require_checkout
from edgewise_build.errors import BuildError
from edgewise_build.weights import pack_weights
from edgewise_build.worker import bundle


@dataclass(frozen=True)
class Built:
    """What a build made: the file or folder, and its size in bytes, before and after gzip."""

    path: Path
    size: int
    gzip_size: int


def build_target(target: str, output: Path | None = None, backend: str = "aot", hooks: Path | None = None) -> Built:
    """Build the `component`, or the `worker` that carries it and the default catalogue's policy. Raises BuildError."""
    require_checkout()
    if hooks is not None and backend != "componentize-py":
        raise BuildError("--hooks needs --backend componentize-py: the other builds run no user code")
    if target == "component":
        path = output or BUILDS[backend]
        _build(backend, path, hooks)
        data = path.read_bytes()
        return Built(path, len(data), gzip_size(data))
    if backend != "aot":
        raise BuildError(f"--target {target} carries the aot build; --backend {backend} makes a component only")
    made = bundle(COMPONENT, load_config(), output or WORKER / "dist")
    return Built(made.folder, made.upload_bytes, made.upload_gzip_bytes)


def _build(backend: str, path: Path, hooks: Path | None) -> None:
    weights = pack_weights()
    if backend == "componentize-py":
        componentize.build_component(weights, path, hooks)
    elif backend == "py2wasm":
        py2wasm.build_command(weights, path)
    else:
        aot.build_component(weights, path)
