"""What a build needs, and how it says that it is missing."""

import shutil
import subprocess

import pytest

from edgewise.core.layout import Weights
from edgewise_build import checkout, node, targets, workerd
from edgewise_build.errors import BuildError
from edgewise_build.weights import pack_weights


def test_an_installed_package_cannot_build(monkeypatch, tmp_path):
    monkeypatch.setattr(checkout, "WIT", tmp_path / "router.wit")
    with pytest.raises(BuildError, match="edgewise builds from a checkout of its repository"):
        targets.build_target("component")


def test_a_missing_node_is_named(monkeypatch):
    monkeypatch.setattr(node.shutil, "which", lambda name: None)
    with pytest.raises(BuildError, match=r"node is not on the PATH: install Node.js 20 or newer"):
        node.require_node()


def test_an_old_node_is_named(monkeypatch, tmp_path):
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v18.19.1\n")
    old.chmod(0o755)
    monkeypatch.setattr(node.shutil, "which", lambda name: str(old))
    with pytest.raises(BuildError, match=r"Node.js v18.19.1 is too old: install version 20 or newer"):
        node.require_node()


def test_missing_node_packages_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(node, "WORKER", tmp_path)
    with pytest.raises(BuildError, match="the Node packages are not installed: run `make setup`"):
        node.run_tool("wrap.mjs")


def test_a_tool_that_fails_is_named(tmp_path):
    with pytest.raises(BuildError, match=r"^wrap\.mjs: "):
        node.run_tool("wrap.mjs", tmp_path / "no.wasm", tmp_path / "no.wit", tmp_path / "out.wasm")


def test_a_missing_workerd_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(workerd, "WORKER", tmp_path)
    with pytest.raises(BuildError, match=r"^workerd is not installed: run `make setup`, or `npm ci` in edge/worker$"):
        workerd.workerd_binary()


@pytest.mark.parametrize(
    ("npm", "message"),
    [
        ("", "the Worker needs Node.js 20 or newer, with npm"),
        ("#!/bin/sh\nexit 1\n", "npm could not install what edge/worker needs: is there a network?"),
    ],
)
def test_setup_without_npm_or_network_says_so(tmp_path, npm, message):
    if npm:
        (tmp_path / "npm").write_text(npm)
        (tmp_path / "npm").chmod(0o755)
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make on the PATH")
    target = "edge/worker/node_modules/.package-lock.json"
    command = [make, "--what-if", "edge/worker/package-lock.json", target]
    run = subprocess.run(command, cwd=checkout.ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert run.returncode != 0
    assert message in run.stderr.splitlines()


def test_missing_artifacts_are_named(tmp_path):
    with pytest.raises(BuildError, match=r"edgewise\.onnx is missing: run `edgewise train`"):
        pack_weights(tmp_path)


def test_the_weights_are_one_record(weights):
    assert len(weights) == Weights.size
    assert weights == pack_weights()
