"""What `edgewise build` can make: what goes where for each target."""

from dataclasses import dataclass
from pathlib import Path

from edgewise.bench import gzip_size
from edgewise.config import load_config
from edgewise.packing import pack_policy
from edgewise_build.aot import build_component
from edgewise_build.checkout import COMPONENT, WORKER, require_checkout
from edgewise_build.weights import pack_weights
from edgewise_build.worker import bundle


@dataclass(frozen=True)
class Built:
    """What a build made: the file or folder, and its size in bytes, before and after gzip."""

    path: Path
    size: int
    gzip_size: int


def build_target(target: str, output: Path | None = None) -> Built:
    """Build the `component`, or the `worker` that carries it and the default catalogue's policy. Raises BuildError."""
    require_checkout()
    if target == "component":
        path = output or COMPONENT
        build_component(pack_weights(), path)
        data = path.read_bytes()
        return Built(path, len(data), gzip_size(data))
    made = bundle(COMPONENT, pack_policy(load_config()), output or WORKER / "dist")
    return Built(made.folder, made.upload_bytes, made.upload_gzip_bytes)
