"""Called by hatch before it packs a wheel: one without the compiled router would install, and decide nothing."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMPONENT = Path("edge", "edgewise", "artifacts", "edgewise.wasm")


class RequireComponent(BuildHookInterface):  # type: ignore[type-arg]
    """Stops the build of a wheel where the component has not been built; editable installs need none yet."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raises RuntimeError saying what to run."""
        if version != "editable" and not (Path(self.root) / COMPONENT).exists():
            raise RuntimeError(f"{COMPONENT.as_posix()} is missing: run `make wheel`, which builds it first")
