"""Every engine gives identical decisions: all fields, scores as the core's integers.

Those in workerd, Node and Chromium join in `test_javascript.py`, on the same requests.
"""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.config import parse_config
from edgewise.core.labels import NEEDS, OBJECTIVES, ROLES
from edgewise.core.layout import Decision as DecisionRecord
from edgewise.core.policy import MAX_POLICY_BYTES
from edgewise.engine import ComponentEngine, CoreModuleEngine, PythonEngine
from edgewise.errors import EngineError
from edgewise.packing import pack_policy
from edgewise.request import Request
from edgewise.traffic import read_traffic
from edgewise_build.checkout import ROOT
from support.engines import assert_identical, differences, require_component
from support.prompts import TRAFFIC, sampled_requests

REAL_PROMPTS = 3000


def test_example_traffic(module_engine, component_engine, python_engine):
    requests = list(read_traffic(TRAFFIC))
    assert len(requests) >= 300
    assert_identical(requests, module_engine, component_engine, python_engine)


def test_real_prompts(module_engine, component_engine, python_engine):
    requests = sampled_requests(REAL_PROMPTS)
    assert len(requests) >= REAL_PROMPTS
    assert_identical(requests, module_engine, component_engine, python_engine)


def test_real_prompts_as_conversations(module_engine, component_engine, python_engine):
    """Neighbouring prompts as the turns of one conversation, so that earlier turns vote as well."""
    prompts = [request.messages[0].content for request in sampled_requests(400, seed=11)]
    requests = []
    for start in range(0, len(prompts) - 6, 6):
        turns = [
            {"role": ROLES[(start // 6 + place) % len(ROLES)] if place % 2 else "user", "content": content}
            for place, content in enumerate(prompts[start : start + 6])
        ]
        requests.append(Request.parse({"id": str(start), "messages": turns, "objective": "quality"}))
    assert_identical(requests, module_engine, component_engine, python_engine)


texts = st.text(max_size=1500) | st.lists(
    st.sampled_from(
        ["<system-reminder>", "</system-reminder>", "```\n", "def f(x):", "why? ", "今日", "\n", "a" * 300]
    ),
    max_size=40,
).map("".join)

requests_of_any_kind = st.builds(
    lambda messages, **rest: Request.parse({"messages": messages, **rest}),
    messages=st.lists(
        st.fixed_dictionaries(
            {
                "role": st.sampled_from(ROLES),
                "content": texts.map(lambda text: text.encode(errors="replace").decode().replace("\0", "")),
            }
        ),
        min_size=1,
        max_size=7,
    ),
    needs=st.lists(st.sampled_from(NEEDS), max_size=2),
    objective=st.sampled_from(OBJECTIVES),
    max_tokens=st.integers(0, 2**31 - 1) | st.integers(0, 10_000),
    latency_slo_ms=st.integers(0, 2**31 - 1) | st.integers(0, 1_000),
    budget_usd=st.floats(0, 1e6) | st.floats(0, 0.01),
    region=st.sampled_from(["", "eu-west", "us-east", "mars", "é"]),
)


@settings(max_examples=60)
@given(request=requests_of_any_kind)
def test_any_request(module_engine, component_engine, python_engine, request):
    assert_identical([request], module_engine, component_engine, python_engine)


@pytest.mark.parametrize("config", sorted((ROOT / "examples" / "configs").glob("*.toml")), ids=lambda path: path.stem)
def test_other_policies(config, weights):
    blob = pack_policy(parse_config(config.read_text(encoding="utf-8"), config.name))
    engines = [CoreModuleEngine(require_component()), ComponentEngine(require_component()), PythonEngine(weights)]
    for engine in engines:
        engine.load_policy(blob)
    assert_identical(list(read_traffic(TRAFFIC))[:40], *engines)


def test_a_decision_does_not_depend_on_the_one_before(module_engine, default_policy):
    requests = list(read_traffic(TRAFFIC))[::7]
    forward = [module_engine.decide(request) for request in requests]
    backward = [module_engine.decide(request) for request in reversed(requests)]
    assert forward == backward[::-1]
    for request, decision in list(zip(requests, forward, strict=True))[:5]:
        fresh = CoreModuleEngine(require_component())
        fresh.load_policy(default_policy)
        assert not differences(decision, fresh.decide(request))


def test_before_a_policy_is_loaded_there_is_no_decision(weights):
    request = Request.parse({"text": "hello"})
    engines = [CoreModuleEngine(require_component()), ComponentEngine(require_component()), PythonEngine(weights)]
    assert [engine.decide(request).status for engine in engines] == ["no_policy"] * 3
    assert_identical([request], *engines)


def test_a_request_without_messages_shows_nothing_of_the_one_before(module_engine, component_engine, python_engine):
    """Only the typed interface lets such a request in; hosts refuse it earlier."""
    before = Request.parse({"text": "Refactor this Python function, my name is Jane Doe"})
    nothing = before.model_copy(update={"messages": ()})
    for engine in (module_engine, component_engine, python_engine):
        assert engine.decide(before).status == "ok"
        decision = engine.decide(nothing)
        assert decision.status == "empty_request"
        said = {field.name: getattr(decision, field.name) for field in dataclasses.fields(decision)}
        labels = {"status", "task", "cluster", "domain", "language", "script"}
        assert {name for name, value in said.items() if value and name not in labels} == {"task_scores"}
        assert not any(decision.task_scores)
    assert_identical([nothing], module_engine, component_engine, python_engine)


@settings(max_examples=150)
@given(data=st.data())
def test_a_damaged_policy_has_the_same_fate_everywhere(data, default_policy, weights):
    blob = bytearray(default_policy)
    for _ in range(data.draw(st.integers(0, 4))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    blob = bytes(blob[: data.draw(st.integers(0, len(blob)) | st.just(len(blob)))])
    fates = []
    for engine in _engines_for_damage(weights):
        try:
            engine.load_policy(blob)
            fates.append("ok")
        except EngineError as error:
            fates.append(str(error))
    assert len(set(fates)) == 1, fates


_ENGINES_FOR_DAMAGE: list = []


def _engines_for_damage(weights):
    if not _ENGINES_FOR_DAMAGE:
        component = require_component()
        _ENGINES_FOR_DAMAGE.extend([CoreModuleEngine(component), ComponentEngine(component), PythonEngine(weights)])
    return _ENGINES_FOR_DAMAGE


def test_a_policy_that_is_too_large_is_refused_everywhere(weights):
    for engine in _engines_for_damage(weights):
        with pytest.raises(EngineError, match="too large"):
            engine.load_policy(bytes(MAX_POLICY_BYTES + 1))


def test_a_refused_policy_leaves_the_old_one(default_policy):
    request = Request.parse({"text": "hello"})
    for engine in (CoreModuleEngine(require_component()), ComponentEngine(require_component())):
        engine.load_policy(default_policy)
        before = engine.decide(request)
        with pytest.raises(EngineError, match="not a policy"):
            engine.load_policy(b"\0" * len(default_policy))
        assert engine.decide(request) == before


class TestThatThisSuiteCanFail:
    """What a wrong build would do: the comparison sees each field, and a single flipped bit of a weight."""

    def test_every_field_is_compared(self, module_engine):
        decision = module_engine.decide(Request.parse({"text": "hello"}))
        for field in dataclasses.fields(decision):
            changed = dataclasses.replace(decision, **{field.name: "something else"})
            assert set(differences(decision, changed)) == {field.name}

    def test_every_field_of_the_record_is_a_field_of_the_decision(self, module_engine):
        decision = module_engine.decide(Request.parse({"text": "hello"}))
        assert {field.name for field in DecisionRecord.fields} == {field.name for field in dataclasses.fields(decision)}

    def test_one_bit_of_a_weight_changes_a_decision(self, module_engine, weights, default_policy):
        from edgewise.core.classifier import ClassifierWeights
        from edgewise.core.types import offset_of

        flipped = bytearray(weights)
        flipped[offset_of(ClassifierWeights, "output_bias") + 1] ^= 4
        engine = PythonEngine(bytes(flipped))
        engine.load_policy(default_policy)
        requests = list(read_traffic(TRAFFIC))[:10]
        assert any(differences(module_engine.decide(request), engine.decide(request)) for request in requests)
        with pytest.raises(AssertionError, match="wasmtime and cpython differ in"):
            assert_identical(requests, module_engine, engine)


def test_json_of_engines_is_equal(module_engine, component_engine):
    request = next(iter(read_traffic(TRAFFIC)))
    one, other = (json.dumps(engine.decide(request).to_json()) for engine in (module_engine, component_engine))
    assert one == other
