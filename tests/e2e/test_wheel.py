"""A wheel, installed alone, routes a prompt: no toolchain, no Node, no checkout."""

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from edgewise import Router
from edgewise.engine import component_bytes
from edgewise_build.checkout import ROOT

COMPONENT = "edgewise/artifacts/edgewise.wasm"
TOOLCHAIN = ("numba", "llvmlite", "ziglang", "onnx", "numpy", "torch")


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)  # type: ignore[call-overload, no-any-return]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    built = run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("edgewise-*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of a new environment that holds the wheel and what it depends on, and nothing else."""
    folder = tmp_path_factory.mktemp("alone")
    venv.create(folder, with_pip=True)
    commands = folder / ("Scripts" if os.name == "nt" else "bin")
    done = run(commands / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    assert done.returncode == 0, done.stderr
    return commands


def test_a_wheel_without_the_component_is_not_made(tmp_path: Path) -> None:
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(".*", "node_modules", "artifacts", "dist", "data", "generated", "tests", "docs")
    shutil.copytree(ROOT, source, ignore=ignored)
    refused = run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", tmp_path, source)
    assert refused.returncode != 0
    assert "edge/edgewise/artifacts/edgewise.wasm is missing: run `make wheel`" in refused.stdout + refused.stderr


def alone(commands: Path) -> dict[str, str]:
    """An environment in which neither the checkout nor Node can be found."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return {**kept, "PATH": str(commands)}


def test_the_wheel_carries_what_the_package_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert archive.read(COMPONENT) == component_bytes()
    assert {"edgewise/default.toml", "edgewise/router.schema.json", "edgewise/core/routing.py"} <= set(names)
    assert not [name for name in names if "test" in name or name.endswith((".jsonl", ".onnx"))]
    assert wheel.stat().st_size < 3_000_000


def test_it_routes_a_prompt_without_a_toolchain(installed: Path, tmp_path: Path) -> None:
    prompt = "Summarize the minutes of the last meeting in three sentences."
    routed = run(installed / "edgewise", "route", prompt, "--json", cwd=tmp_path, env=alone(installed))
    assert routed.returncode == 0, routed.stderr
    decision = json.loads(routed.stdout)
    assert decision["model"] == Router().route(prompt).model
    assert decision["edgewise"]["backend"] == "aot"
    code = f"import importlib.util as u; print([name for name in {TOOLCHAIN!r} if u.find_spec(name)])"
    found = run(installed / "python", "-c", code, cwd=tmp_path, env=alone(installed))
    assert found.stdout.strip() == "[]", "the environment was meant to have no toolchain"


def test_building_says_what_to_install(installed: Path, tmp_path: Path) -> None:
    refused = run(installed / "edgewise", "build", cwd=tmp_path, env=alone(installed))
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert "edgewise" in refused.stderr
