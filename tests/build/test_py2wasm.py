"""The py2wasm build: a WASI command that decides as all builds do, and the errors of its build and of its input."""

import json
import sys

import pytest

from edgewise import bench
from edgewise.config import parse_config
from edgewise.decision import Decision
from edgewise.engine import CoreModuleEngine
from edgewise.errors import EngineError
from edgewise.packing import pack_policy
from edgewise.request import Request
from edgewise.traffic import read_traffic
from edgewise.wasi import WasiEngine
from edgewise_build import py2wasm
from edgewise_build.errors import BuildError
from support.engines import differences
from support.prompts import TRAFFIC, sampled_requests

needs_python_3_11 = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="py2wasm runs on Python 3.11 only")


@pytest.fixture(scope="session")
def command(weights: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("py2wasm") / "command.wasm"
    py2wasm.build_command(weights, path)
    return path.read_bytes()


@pytest.fixture
def engine(command: bytes) -> WasiEngine:
    return WasiEngine(command)


def check_identical(requests: list[Request], engine: WasiEngine, reference: CoreModuleEngine) -> None:
    decided: list[Decision] = engine.decide_all(requests)
    assert len(decided) == len(requests)
    for request, decision in zip(requests, decided, strict=True):
        assert not differences(reference.decide(request), decision), request.id


@pytest.mark.heavy
@needs_python_3_11
def test_it_decides_as_the_aot_build(engine, module_engine):
    check_identical(list(read_traffic(TRAFFIC)), engine, module_engine)


@pytest.mark.heavy
@needs_python_3_11
def test_it_decides_real_prompts_as_the_aot_build(engine, module_engine):
    check_identical(sampled_requests(300, seed=4), engine, module_engine)


@pytest.mark.heavy
@needs_python_3_11
def test_another_policy(engine):
    model = {"provider": "p", "price_in": 1, "price_out": 1, "context": 9000, "ttft_ms": 100}
    rows = "\n".join(f"{key} = {json.dumps(value)}" for key, value in model.items())
    config = parse_config(f"[models.only]\n{rows}\nquality.default = 0.5\n")
    engine.load_policy(pack_policy(config))
    assert engine.decide(Request.parse({"text": "Hello"})).model == "only"
    with pytest.raises(EngineError, match="the policy cannot be used: not a policy"):
        engine.load_policy(b"no policy")
    assert engine.decide(Request.parse({"text": "Hello"})).model == "only"


@pytest.mark.heavy
@needs_python_3_11
def test_lines(engine):
    lines = [
        '{"id": "one", "text": "What is the capital of Peru?"}',
        "",
        "not JSON",
        '{"text": 1}',
        '{"messages": []}',
        '{"text": "x", "colour": "red"}',
        '{"messages": [{"role": "user", "content": [{"type": "text", "text": "Ça va?"}]}], "id": "ü"}',
    ]
    first, *wrong, last = [json.loads(line) for line in engine.run([], "\n".join(lines)).splitlines()]
    assert first["id"] == "one"
    assert first["model"]
    assert first["edgewise"]["backend"] == "py2wasm"
    assert len(wrong) == 4
    assert all("error" in answer and "model" not in answer for answer in wrong)
    assert "messages[0].content" in wrong[1]["error"]
    assert "colour" in wrong[3]["error"]
    assert last["id"] == "ü"


@pytest.mark.heavy
@needs_python_3_11
def test_the_bench_measures_it(command, tmp_path, monkeypatch):
    (tmp_path / "command.wasm").write_bytes(command)
    monkeypatch.setitem(bench.BUILDS, "py2wasm", tmp_path / "command.wasm")
    (row,) = bench.bench("py2wasm", "wasmtime", [20], 10)
    assert (row.backend, row.runtime, row.tokens, row.n) == ("py2wasm", "wasmtime-wasi", 20, 10)
    assert row.inside_us is not None
    assert 0 < row.inside_us.p50 < row.call_us.p50
    assert row.gzip_bytes > 2**20
    assert row.memory_bytes > 2**20


def test_another_python_gives_one_line(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(py2wasm.sys, "version_info", (3, 13, 1, "final", 0))
    with pytest.raises(BuildError, match=r"^py2wasm runs on Python 3\.11 only, and this is Python 3\.13: .*$"):
        py2wasm.build_command(weights, tmp_path / "x.wasm")


@needs_python_3_11
def test_an_sdk_that_is_none_gives_one_line(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("WASI_SDK_DIR", str(tmp_path))
    with pytest.raises(BuildError, match=r"^WASI_SDK_DIR is \S+, and there is no bin/clang in it$"):
        py2wasm.build_command(weights, tmp_path / "x.wasm")


@needs_python_3_11
def test_a_missing_tool_is_named(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(py2wasm.shutil, "which", lambda *_, **__: None)
    with pytest.raises(BuildError, match=r"py2wasm is not installed: pip install 'edgewise\[build\]'"):
        py2wasm.build_command(weights, tmp_path / "x.wasm")
