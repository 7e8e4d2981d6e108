"""Where things are in a checkout of the repository: building needs one, using edgewise does not."""

from pathlib import Path

from edgewise_build.errors import BuildError

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "classifier" / "model"
WIT = ROOT / "edge" / "wit" / "router.wit"
WORKER = ROOT / "edge" / "worker"
COMPONENT = ROOT / "edge" / "edgewise" / "artifacts" / "edgewise.wasm"


def require_checkout() -> None:
    """Raises BuildError where the sources that a build reads are absent."""
    if not WIT.exists():
        raise BuildError("edgewise builds from a checkout of its repository, and this is an installed package")
