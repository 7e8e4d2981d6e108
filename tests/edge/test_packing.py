"""The policy blob: it says what the file says, in whatever order, and the core takes it and obeys."""

import contextlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.config import Config, load_config
from edgewise.core.endpoints import Endpoint
from edgewise.core.labels import (
    CLUSTER_OF_TASK,
    CLUSTERS,
    NEED_LIVE_RETRIEVAL,
    NEEDS,
    OBJECTIVES,
    SCORE_ONE,
    STATUS_NO_FEASIBLE_MODEL,
    TASKS,
)
from edgewise.core.language import LANGUAGES
from edgewise.core.layout import MAX_MODELS, MAX_REGIONS, Memory, Request
from edgewise.core.policy import CHAIN_LENGTH, FACTOR_ONE, LANGUAGE_SLOTS, NO_MODEL, Policy, endpoint_count
from edgewise.core.selection import choose
from edgewise.errors import ConfigError
from edgewise.packing import pack_policy, text_at, unpack_policy

FIELDS: dict[str, Any] = {
    "provider": "own",
    "price_in": 1,
    "price_out": 2,
    "context": 1000,
    "ttft_ms": 100,
    "quality": 0.5,
}


def config_of(models: dict[str, dict[str, Any]], **tables: Any) -> Config:
    return Config.model_validate({"models": {name: {**FIELDS, **own} for name, own in models.items()}, **tables})


NAMES = st.text("abcäß-.0漢", min_size=1, max_size=6)
SHARES = st.decimals(0, 1, places=4)
MODELS = st.fixed_dictionaries(
    {
        "provider": st.sampled_from(["p", "q", "r"]),
        "price_in": st.decimals("0.000001", 10_000, places=6),
        "price_out": st.decimals("0.000001", 10_000, places=6),
        "context": st.integers(1, 2**31 - 1),
        "abilities": st.lists(st.sampled_from(NEEDS[:4]), unique=True),
        "live_retrieval": st.booleans(),
        "languages": st.none() | st.lists(st.sampled_from(LANGUAGES[1:]), unique=True, min_size=1, max_size=5),
        "ttft_ms": st.integers(0, 60_000),
        "quality": SHARES | st.lists(SHARES, min_size=4, max_size=4),
    }
)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """The tables of a valid configuration."""
    models: dict[str, dict[str, Any]] = draw(st.dictionaries(NAMES, MODELS, min_size=1, max_size=6))
    regions = draw(st.lists(NAMES, unique=True, max_size=MAX_REGIONS))
    served: list[str] = []
    for model in models.values():
        model["regions"] = draw(st.lists(st.sampled_from(regions), unique=True)) if regions else []
        served += model["regions"]
    names = sorted(models)
    chain = st.lists(st.sampled_from(names), unique=True, min_size=1, max_size=CHAIN_LENGTH)
    return {
        "models": models,
        "clusters": draw(st.dictionaries(st.sampled_from(CLUSTERS), st.fixed_dictionaries({"chain": chain}))),
        "policy": {
            "default_model": draw(st.none() | st.sampled_from(names)),
            "objective": draw(st.sampled_from(OBJECTIVES[1:])),
            "abstain_below": draw(st.none() | SHARES),
            "difficulty_cap": draw(SHARES),
            "regions": regions,
            "strict_regions": sorted(set(draw(st.lists(st.sampled_from(served)) if served else st.just([])))),
        },
    }


def shuffled(table: dict[str, Any], draw: Any) -> dict[str, Any]:
    return {key: table[key] for key in draw(st.permutations(list(table)))}


@given(configs(), st.data())
def test_the_order_of_the_file_does_not_matter(tables: dict[str, Any], data: st.DataObject) -> None:
    other = shuffled(tables, data.draw)
    other["models"] = shuffled(tables["models"], data.draw)
    other["clusters"] = shuffled(tables["clusters"], data.draw)
    other["policy"] = {**tables["policy"], "regions": data.draw(st.permutations(tables["policy"]["regions"]))}
    assert pack_policy(Config.model_validate(other)) == pack_policy(Config.model_validate(tables))


@given(configs())
def test_the_records_say_what_the_file_says(tables: dict[str, Any]) -> None:
    config = Config.model_validate(tables)
    blob = pack_policy(config)
    policy, models, _ = unpack_policy(blob)
    names = sorted(config.models)
    regions = sorted(config.policy.regions)
    assert [text_at(blob, model.name) for model in models] == names
    assert [text_at(blob, policy.regions[index]) for index in range(policy.region_count)] == regions
    assert {regions[bit] for bit in bits(policy.strict_regions)} == set(config.policy.strict_regions)
    assert policy.default_objective == OBJECTIVES.index(config.policy.objective)
    assert policy.difficulty_cap == config.policy.difficulty_cap * SCORE_ONE
    default = config.policy.default_model
    assert policy.default_model == (NO_MODEL if default is None else names.index(default))
    for cluster, label in enumerate(CLUSTERS):
        chain = [names[index] for index in policy.clusters[cluster].models if index != NO_MODEL]
        assert chain == list(config.clusters[label].chain if label in config.clusters else ())
    for name, model in zip(names, models, strict=True):
        check_model(config, name, model, regions)


def check_model(config: Config, name: str, model: Any, regions: list[str]) -> None:
    said = config.models[name]
    assert said.price_in is not None
    assert model.price_in == said.price_in * 10**6
    assert (model.price_in, model.price_out) == said.picodollars_per_token
    assert (model.context, model.max_output, model.ttft_ms) == (said.context, said.context, said.ttft_ms)
    assert {regions[bit] for bit in bits(model.regions)} == set(said.regions)
    known = {index for index in range(LANGUAGE_SLOTS) if model.languages[index]}
    assert {LANGUAGES[index] for index in known} == set(said.languages or LANGUAGES)
    assert all(model.languages[index] == FACTOR_ONE for index in known)
    abilities = {NEEDS[bit] for bit in bits(model.abilities)}
    assert abilities == set(said.abilities) | ({"live_retrieval"} if said.live_retrieval else set())
    assert list(model.quality) == [quality * SCORE_ONE for task in TASKS for quality in said.quality[task]]


def bits(number: int) -> Iterator[int]:
    return (bit for bit in range(128) if number >> bit & 1 and (bit < 64 or number > 0))


def test_money_and_thresholds() -> None:
    tables = {"objectives": {"cost": {"answer_value_usd": Decimal("0.001"), "wait_usd_per_second": Decimal("0.5")}}}
    policy, models, _ = unpack_policy(pack_policy(config_of({"a": {}, "b": {"live_retrieval": True}}, **tables)))
    cost = OBJECTIVES.index("cost")
    assert policy.answer_value[cost] == 10**9
    assert policy.wait_price[cost] == 500_000_000
    assert policy.time_sensitive_from == 5_000
    assert policy.abstain_below == 0
    assert models[0].price_in == 10**6
    assert models[1].abilities == NEED_LIVE_RETRIEVAL
    rules = {"time_sensitive_from": "never", "abstain_below": 0}
    policy, _, _ = unpack_policy(pack_policy(config_of({"a": {}}, policy=rules)))
    assert policy.time_sensitive_from > SCORE_ONE
    assert policy.abstain_below == 1, "0 leaves the threshold to the classifier"


def test_equal_strings_are_stored_once() -> None:
    names = {"model-with-a-long-name": {"regions": ["model-with-a-long-name"]}}
    blob = pack_policy(config_of(names, policy={"regions": ["model-with-a-long-name"]}))
    assert blob.count(b"model-with-a-long-name") == 1


def test_free_models_cost_nothing() -> None:
    _, models, _ = unpack_policy(pack_policy(config_of({"a": {"price_in": None, "price_out": None, "free": True}})))
    assert (models[0].price_in, models[0].price_out) == (0, 0)


def test_limits() -> None:
    many = {f"m{index}": {} for index in range(MAX_MODELS)}
    regions = [f"r{index}" for index in range(MAX_REGIONS)]
    blob = pack_policy(config_of(many, policy={"regions": regions}))
    assert len(unpack_policy(blob)[1]) == MAX_MODELS
    with pytest.raises(ConfigError, match=r"takes \d+ bytes, \d+ are allowed; shorten the names of its 1024 models"):
        pack_policy(config_of({f"{index:0400}": {} for index in range(MAX_MODELS)}))
    with pytest.raises(ValueError, match="at most 1024"):
        config_of({**many, "one-more": {}})


def test_languages_fit_their_slots() -> None:
    assert len(LANGUAGES) <= LANGUAGE_SLOTS


@given(st.binary(max_size=2000))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ConfigError, match=r"^not a policy"):
        unpack_policy(data)


@given(st.integers(0, 2**31 - 1), st.integers(0, len(pack_policy(load_config())) - 1))
def test_damaged_bytes_never_break_the_reader(value: int, at: int) -> None:
    blob = bytearray(pack_policy(load_config()))
    blob[at : at + 4] = value.to_bytes(4, "little")
    with contextlib.suppress(ConfigError):
        unpack_policy(bytes(blob))


class Chooser:
    """The core's policy on a packed configuration, for requests whose signals are given."""

    def __init__(self, config: Config) -> None:
        self.names = sorted(config.models)
        self.blob = pack_policy(config)
        self.policy: Policy
        self.policy, self.models, self.tenants = unpack_policy(self.blob)
        self.endpoints = [Endpoint() for _ in range(endpoint_count(self.policy))]

    def choose(self, task: str = "chat", difficulty: float = 0.1, region: str = "", **signals: Any) -> list[str]:
        """The chain of models; empty where none is feasible."""
        memory, request = Memory(), Request()
        decision = memory.decision
        decision.task = TASKS.index(task)
        decision.cluster = CLUSTER_OF_TASK[decision.task]
        decision.task_scores[decision.task] = SCORE_ONE
        decision.difficulty = round(difficulty * SCORE_ONE)
        decision.input_tokens, decision.output_tokens = 200, 300
        decision.language, decision.language_score = LANGUAGES.index(signals.pop("language", "en")), 9_900
        request.region.length = len(region.encode())
        request.objective = OBJECTIVES.index(signals.pop("objective", "unset"))
        for name, value in signals.items():
            setattr(decision, name, value)
        tables = (self.policy, self.models, self.tenants, self.endpoints, bytearray(self.blob))
        choose(request, *tables, bytearray(region.encode()), memory)
        if decision.status == STATUS_NO_FEASIBLE_MODEL:
            return []
        return [self.names[memory.chain_models[place]] for place in range(memory.chain_length)]


@pytest.fixture(scope="module")
def catalogue() -> Chooser:
    return Chooser(load_config())


CHEAP = {"qwen2.5-7b", "gpt-4o-mini", "claude-haiku", "qwen2.5-72b", "deepseek-v3", "mistral-large"}
FRONTIER = {"gpt-4o", "claude-opus-4"}


@pytest.mark.parametrize("task", TASKS)
def test_the_catalogue_sends_easy_requests_to_cheap_models_and_hard_ones_to_frontier_models(
    catalogue: Chooser, task: str
) -> None:
    assert catalogue.choose(task, 0.0)[0] in CHEAP
    assert catalogue.choose(task, 0.3)[0] in CHEAP
    assert catalogue.choose(task, 0.95)[0] in FRONTIER


def test_the_objectives_of_the_catalogue_differ(catalogue: Chooser) -> None:
    assert catalogue.choose("code", 0.95, objective="cost")[0] in CHEAP
    assert catalogue.choose("code", 0.95, objective="quality")[0] == "claude-opus-4"
    assert catalogue.choose("chat", 0.2, objective="latency")[0] == "qwen2.5-7b"


def test_time_sensitive_requests_go_to_live_retrieval(catalogue: Chooser) -> None:
    assert catalogue.choose(recency=5_000) == ["gemini-2.0"]
    assert Chooser(config_of({"a": {}})).choose(recency=SCORE_ONE) == ["a"]


def test_languages_exclude(catalogue: Chooser) -> None:
    assert "qwen2.5-7b" in catalogue.choose("summarize", language="ja")
    assert "qwen2.5-7b" not in catalogue.choose("summarize", language="sw")


def test_strict_regions_exclude() -> None:
    models = {"here": {"regions": ["eu"]}, "there": {"regions": ["us"], "quality": 1}, "unsaid": {"quality": 1}}
    chooser = Chooser(config_of(models, policy={"regions": ["us", "eu"], "strict_regions": ["eu"]}))
    assert chooser.choose(region="eu") == ["here"]
    assert len(chooser.choose(region="us")) == len(chooser.choose()) == 3


def test_the_last_region_is_a_region_like_others() -> None:
    regions = [f"r{index:02}" for index in range(MAX_REGIONS)]
    models = {"here": {"regions": ["r63"]}, "there": {"regions": ["r62"]}}
    chooser = Chooser(config_of(models, policy={"regions": regions, "strict_regions": ["r63"]}))
    assert chooser.choose(region="r63") == ["here"]
    assert len(chooser.choose(region="r62")) == 2


def test_chains_and_defaults() -> None:
    models = {"a": {"quality": 1}, "b": {"quality": 0.1}, "c": {"quality": 0.2}}
    rules = {"default_model": "c"}
    chooser = Chooser(config_of(models, clusters={"code": {"chain": ["b", "c"]}}, policy=rules))
    assert chooser.choose("code") == ["b", "c", "a"]
    assert chooser.choose("chat")[0] == "a"
    assert chooser.choose("chat", abstained=1)[0] == "c"
