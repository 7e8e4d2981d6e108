"""The componentize-py backend: a component with CPython inside, of the same WIT world as the aot build.

The guest runs the core's own Python source, and a policy hook of the user's where one is given. componentize-py keeps
the interpreter's memory as it is after all modules were imported, so nothing of that is done again when it starts.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from edgewise.config import load_config
from edgewise.packing import pack_policy
from edgewise_build.checkout import ROOT, WIT
from edgewise_build.errors import BuildError

CORE_MODULES = ("errors.py", "hooks.py", "interpreted.py")
_SAMPLE_TEXTS = 60
_SAMPLE_CHARACTERS = 2000


def build_component(weights: bytes, output: Path, hooks: Path | None = None) -> None:
    """Bundle the core, the packed weights and the hooks with CPython as a component at `output`.

    Raises BuildError. Nothing is left at `output` by a build that failed.
    """
    tool = shutil.which("componentize-py", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if tool is None:
        raise BuildError("componentize-py is not installed: pip install 'edgewise[build]'")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        app = stage(weights, folder / "app", hooks)
        made = folder / "component.wasm"
        command = [tool, "--quiet", "--wit-path", str(WIT), "--world", "router", "componentize", "--stub-wasi"]
        command += ["--python-path", str(app), "--output", str(made), "edgewise_build.guest.app"]
        run = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True)

        if run.returncode:
            raise BuildError(_explain(run.stdout + run.stderr, hooks))
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, output)


def _check_hooks(hooks: Path, app: Path) -> None:
    """Whether the hook can be imported, as far as this Python without its packages can tell: in a second, not a minute.

    Raises BuildError in one line.
    """
    code = "import sys; sys.path.insert(0, sys.argv[1]); import hooks; callable(hooks.adjust) or sys.exit(1)"
    run = subprocess.run([sys.executable, "-IS", "-c", code, str(app)], capture_output=True, text=True)
    if run.returncode:
        error = (run.stderr.strip().splitlines() or [f"exit status {run.returncode}"])[-1]
        error = "it has no function `adjust`" if "has no attribute 'adjust'" in error else error
        raise BuildError(f"{hooks}: the hook cannot be imported: {error}")


def stage(weights: bytes, app: Path, hooks: Path | None) -> Path:
    """Lay out in the folder `app` all that the guest imports; gives the folder."""
    package = ROOT / "edge" / "edgewise"
    guest = ROOT / "build" / "edgewise_build" / "guest"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package / "core", app / "edgewise" / "core", ignore=ignored)
    shutil.copytree(guest, app / "edgewise_build" / "guest", ignore=ignored)
    for module in CORE_MODULES:
        shutil.copy(package / module, app / "edgewise" / module)
    for name in ("edgewise", "edgewise_build"):
        (app / name / "__init__.py").write_text("")
    (app / "weights.bin").write_bytes(weights)
    (app / "policy.bin").write_bytes(pack_policy(load_config()))
    (app / "samples.json").write_text(json.dumps(sample_texts()), encoding="utf-8")
    if hooks is not None:
        shutil.copy(hooks, app / "hooks.py")
        _check_hooks(hooks, app)
    return app


def sample_texts() -> list[str]:
    """Prompts of the committed data, evenly from all its files, with whose words the guest starts."""
    files = sorted((ROOT / "classifier" / "data").glob("*.jsonl"))
    texts: list[str] = []
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        step = max(1, len(lines) * len(files) // _SAMPLE_TEXTS)
        texts += [text for line in lines[::step] if isinstance(text := json.loads(line).get("text"), str)]
    return [text[:_SAMPLE_CHARACTERS] for text in texts]


def _environment() -> dict[str, str]:
    """Without the settings of the host's Python, which must not reach into the guest."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def _explain(output: str, hooks: Path | None) -> str:
    """The guest's exception in one line, said of the hook where the hook raised it."""
    lines = [line.strip() for line in output.strip().splitlines()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Exit|Interrupt)\b", line)]
    error = errors[-1] if errors else (lines[-1] if lines else "componentize-py failed")
    if hooks is not None and any("hooks.py" in line for line in lines):
        return f"{hooks}: the hook cannot be imported: {error}"
    return f"componentize-py: {error}"
