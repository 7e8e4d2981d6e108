"""What `edgewise build` can make: which files go where for each target."""

from pathlib import Path

from edgewise_build.aot import build_component
from edgewise_build.checkout import COMPONENT, WORKER, require_checkout
from edgewise_build.weights import pack_weights


def build_target(target: str, output: Path | None = None) -> dict[Path, bytes]:
    """Build a target; gives the files that were made and their bytes.

    `component`: the compiled router, which `worker` makes into what a Cloudflare Worker uploads. Raises BuildError.
    """
    require_checkout()
    if target == "component":
        path = output or COMPONENT
        build_component(pack_weights(), path)
        return {path: path.read_bytes()}
    from edgewise_build.worker import bundle

    return bundle(COMPONENT, output or WORKER / "generated")
