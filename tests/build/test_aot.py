"""The aot backend: one component, the same bytes from the same sources, and nothing imported."""

import gzip

import pytest
import wasmtime

from edgewise.core.classifier import ClassifierWeights
from edgewise.core.layout import Weights
from edgewise.core.types import offset_of
from edgewise.engine import ComponentEngine, core_module_of
from edgewise.traffic import read_traffic
from edgewise_build.abi import EXPORTS, shim
from edgewise_build.aot import build_component
from edgewise_build.errors import BuildError
from support.engines import differences, require_component
from support.prompts import TRAFFIC


@pytest.fixture(scope="module")
def built(weights, tmp_path_factory) -> bytes:
    """A component built here and now, in a process whose own settings for the compiler must not matter."""
    output = tmp_path_factory.mktemp("build") / "new" / "edgewise.wasm"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_DISABLE_JIT", "1")
        patch.setenv("NUMBA_OPT", "3")
        patch.setenv("PYTHONHASHSEED", "77")
        build_component(weights, output)
    return output.read_bytes()


def test_the_build_is_reproducible(built):
    assert built == require_component(), "the component is not what these sources make: run `make build`"


def test_the_component_imports_nothing(built):
    module = wasmtime.Module(wasmtime.Engine(), core_module_of(built))
    assert module.imports == []
    assert {export.name for export in module.exports} == {*EXPORTS, "memory"}
    ComponentEngine(built)  # with an empty linker: whatever it imported would be missing


def test_the_component_is_small(built):
    assert len(gzip.compress(built, 9)) <= 1.2e6
    assert len(core_module_of(built)) - Weights.size < 180_000, "the code, without the weights"


def test_one_bit_of_a_weight_changes_the_component_and_a_decision(built, weights, default_policy):
    """So the comparison of engines can fail: the weights stand in the component once, and all of them count."""
    at = offset_of(ClassifierWeights, "output_bias")
    marker = weights[at : at + 64]
    assert built.count(marker) == 1
    flipped = bytearray(built)
    flipped[built.index(marker) + 1] ^= 4
    engines = [ComponentEngine(built), ComponentEngine(bytes(flipped))]
    for engine in engines:
        engine.load_policy(default_policy)
    requests = list(read_traffic(TRAFFIC))[:20]
    assert any(differences(*(engine.decide(request) for engine in engines)) for request in requests)


def test_weights_of_another_size_are_refused():
    with pytest.raises(ValueError, match=f"the weights take {Weights.size} bytes, these are 3"):
        shim(None, b"abc")


def test_a_compiler_that_fails_leaves_nothing(tmp_path):
    output = tmp_path / "edgewise.wasm"
    with pytest.raises(BuildError, match=f"the weights take {Weights.size} bytes"):
        build_component(b"abc", output)
    assert not output.exists()
