"""The component in real workerd, in Node and in Chromium decides exactly as under wasmtime; so does that with CPython.

Every field is compared, scores as the core's integers, and the JSON that clients get.
"""

from collections.abc import Iterator

import pytest

from edgewise.config import load_config
from edgewise.engine import CoreModuleEngine
from edgewise.errors import EngineError, RequestError
from edgewise.packing import pack_policy
from edgewise.request import Request
from edgewise.traffic import read_traffic
from edgewise_build.checkout import ROOT
from edgewise_build.workerd import JavaScriptEngine, WorkerdEngine, request_lines
from support.prompts import TRAFFIC, sampled_requests

REAL_PROMPTS = 3000


@pytest.fixture(scope="module")
def wasmtime_engine() -> CoreModuleEngine:
    engine = CoreModuleEngine()
    engine.load_policy(pack_policy(load_config()))
    return engine


@pytest.fixture(params=["workerd", "node", "chromium"])
def engine(request: pytest.FixtureRequest) -> JavaScriptEngine:
    """The component in each JavaScript runtime at hand; a test is skipped where one is missing."""
    found: JavaScriptEngine = request.getfixturevalue(f"{request.param}_engine")
    assert found.runtime == request.param
    return found


def assert_identical(requests: list[Request], reference: CoreModuleEngine, engine: JavaScriptEngine) -> None:
    """Decisions and the JSON made of them are equal, request by request."""
    answers = engine.decide_json(request_lines(requests))
    assert len(answers) == len(requests)
    for request, answer in zip(requests, answers, strict=True):
        assert not isinstance(answer, RequestError), (request.id, answer)
        decision, as_json = answer
        expected = reference.decide(request)
        assert decision == expected, request.id
        if decision.status == "ok":
            assert as_json == {"id": request.id, **expected.to_json(), "edgewise": as_json["edgewise"]}, request.id


def test_example_traffic(wasmtime_engine: CoreModuleEngine, engine: JavaScriptEngine) -> None:
    assert_identical(list(read_traffic(TRAFFIC)), wasmtime_engine, engine)


def test_real_prompts(wasmtime_engine: CoreModuleEngine, engine: JavaScriptEngine) -> None:
    requests = sampled_requests(REAL_PROMPTS)
    assert len(requests) >= REAL_PROMPTS
    assert_identical(requests, wasmtime_engine, engine)


def test_example_traffic_with_an_interpreter(
    wasmtime_engine: CoreModuleEngine, componentized_workerd_engine: WorkerdEngine
) -> None:
    assert_identical(list(read_traffic(TRAFFIC)), wasmtime_engine, componentized_workerd_engine)


@pytest.mark.parametrize("count", [100, pytest.param(REAL_PROMPTS, marks=pytest.mark.heavy)])
def test_real_prompts_with_an_interpreter(
    wasmtime_engine: CoreModuleEngine, componentized_workerd_engine: WorkerdEngine, count: int
) -> None:
    requests = sampled_requests(count)
    assert len(requests) >= count
    assert_identical(requests, wasmtime_engine, componentized_workerd_engine)


CONFIGS = sorted((ROOT / "examples" / "configs").glob("*.toml"))


@pytest.fixture
def restored(engine: JavaScriptEngine) -> Iterator[JavaScriptEngine]:
    yield engine
    engine.load_policy(pack_policy(load_config()))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.stem)
def test_other_policies(config: object, restored: JavaScriptEngine) -> None:
    blob = pack_policy(load_config(str(config)))
    reference = CoreModuleEngine()
    reference.load_policy(blob)
    restored.load_policy(blob)
    assert_identical(list(read_traffic(TRAFFIC))[:60], reference, restored)


def test_a_refused_policy_is_an_error(engine: JavaScriptEngine) -> None:
    with pytest.raises(EngineError, match="the core refused the policy: not a policy"):
        engine.load_policy(bytes(8))
    assert engine.decide(Request.parse({"text": "hello"})).status == "ok"
