"""The peers of the bench: measured where they are installed, and one clear line where a tool is missing."""

from pathlib import Path

import pytest

from edgewise_build import peers
from edgewise_build.errors import BuildError


def make_tool(folder: Path, name: str, script: str) -> None:
    tool = folder / name
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)


class TestMissingTools:
    @pytest.fixture(autouse=True)
    def _nothing_installed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(peers, "FOLDER", tmp_path)
        monkeypatch.setenv("PATH", str(tmp_path))

    def test_no_node(self) -> None:
        with pytest.raises(BuildError, match=r"^node is not on the PATH: install Node\.js 20 or newer$"):
            peers.install_onnxruntime_web()

    def test_no_npm(self, tmp_path: Path) -> None:
        make_tool(tmp_path, "node", "echo v22.0.0")
        with pytest.raises(BuildError, match=r"^npm is not on the PATH: install Node\.js with npm$"):
            peers.install_onnxruntime_web()

    def test_no_network(self, tmp_path: Path) -> None:
        make_tool(tmp_path, "node", "echo v22.0.0")
        make_tool(tmp_path, "npm", "exit 1")
        with pytest.raises(BuildError, match=r"^npm could not install onnxruntime-web: run `npm ci` in build/peers"):
            peers.install_onnxruntime_web()


def test_each_peer_is_measured() -> None:
    if not (peers.FOLDER / "node_modules").exists():
        pytest.skip("onnxruntime-web is not installed: run `npm ci` in build/peers, or `make bench`")
    rows = list(peers.bench([20], 10))
    assert [(row.backend, row.runtime) for row in rows] == [
        ("same model", "onnxruntime"),
        ("same model", "onnxruntime-web"),
        ("MiniLM int8", "onnxruntime"),
        ("MiniLM int8", "onnxruntime-web"),
    ]
    for row in rows:
        assert row.tokens == 20
        assert 5 <= row.n <= 10
        assert 0 < row.call_us.low <= row.call_us.p50 <= row.call_us.p99
        assert row.gzip_bytes > 100_000
        assert row.cold_ms > 0
