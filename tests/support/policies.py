"""Catalogues made of the core's own records, and choices made with them."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from edgewise.core.endpoints import Endpoint
from edgewise.core.labels import CLUSTER_COUNT, OBJECTIVE_COUNT, REASONS, SCORE_ONE, STATUSES, TASK_COUNT
from edgewise.core.layout import Memory, Request
from edgewise.core.policy import (
    CHAIN_LENGTH,
    DIFFICULTY_BANDS,
    FACTOR_ONE,
    LANGUAGE_SLOTS,
    NO_MODEL,
    POLICY_MAGIC,
    POLICY_VERSION,
    Model,
    Policy,
)
from edgewise.core.selection import choose

ALL_LANGUAGES = (1 << LANGUAGE_SLOTS) - 1


@dataclass
class ModelSpec:
    """A model in plain values; the defaults can serve anything."""

    name: str = "m"
    provider: int = 0
    price_in: int = 1_000_000
    price_out: int = 1_000_000
    context: int = 1_000_000
    max_output: int = 1_000_000
    ttft_ms: int = 100
    abilities: int = 0b11111
    regions: int = 0
    languages: int = ALL_LANGUAGES
    quality: int = 5_000
    quality_when_hard: int | None = None


@dataclass
class PolicySpec:
    """A policy in plain values."""

    models: list[ModelSpec]
    clusters: dict[int, list[int]] = field(default_factory=dict)
    default_model: int = NO_MODEL
    regions: tuple[str, ...] = ()
    strict_regions: int = 0
    time_sensitive_from: int = SCORE_ONE + 1
    difficulty_cap: int = SCORE_ONE
    answer_value: int = 10**12
    wait_price: int = 10**7


@dataclass
class Signals:
    """What was read of the request before the policy sees it."""

    task: int = 0
    task_score: int = SCORE_ONE
    cluster: int = 0
    difficulty: int = 0
    recency: int = 0
    language: int = 0
    language_score: int = SCORE_ONE
    abstained: int = 0
    input_tokens: int = 100
    output_tokens: int = 100


@dataclass
class Choice:
    """What the policy chose, in plain values."""

    status: str
    model: str
    chain: list[str]
    runner_up: str
    margin: int
    cost: int
    dropped: int
    reasons: list[tuple[str, str, int]]

    def codes_of(self, model: str) -> list[str]:
        return [code for code, name, _ in self.reasons if name == model]


def pack(spec: PolicySpec) -> tuple[Policy, list[Model], bytes]:
    """The records and the strings, which stand in a buffer of their own."""
    policy, strings = Policy(), bytearray()
    policy.magic, policy.version = POLICY_MAGIC, POLICY_VERSION
    policy.region_count = len(spec.regions)
    for index, region in enumerate(spec.regions):
        policy.regions[index].start, policy.regions[index].length = len(strings), len(region.encode())
        strings += region.encode()
    policy.strict_regions = spec.strict_regions
    for objective in range(1, OBJECTIVE_COUNT):
        policy.answer_value[objective] = spec.answer_value
        policy.wait_price[objective] = spec.wait_price
    for cluster in range(CLUSTER_COUNT):
        chain = spec.clusters.get(cluster, [])
        for place in range(CHAIN_LENGTH):
            policy.clusters[cluster].models[place] = chain[place] if place < len(chain) else NO_MODEL
    policy.session.first_token_ms = policy.session.stall_ms = policy.session.total_ms = 10_000
    policy.session.attempts = 1
    policy.default_model, policy.default_objective, policy.default_tenant = spec.default_model, 2, -1
    policy.time_sensitive_from, policy.difficulty_cap = spec.time_sensitive_from, spec.difficulty_cap
    models = []
    for one in spec.models:
        model = Model()
        model.name.start, model.name.length = len(strings), len(one.name.encode())
        strings += one.name.encode()
        for name in ("price_in", "price_out", "context", "max_output", "ttft_ms", "provider", "abilities", "regions"):
            setattr(model, name, getattr(one, name))
        model.shift_to = NO_MODEL
        for index in range(LANGUAGE_SLOTS):
            model.languages[index] = FACTOR_ONE * (one.languages >> index & 1)
        hard = one.quality if one.quality_when_hard is None else one.quality_when_hard
        for task in range(TASK_COUNT):
            for band in range(DIFFICULTY_BANDS):
                share = band / (DIFFICULTY_BANDS - 1)
                model.quality[task * DIFFICULTY_BANDS + band] = round(one.quality * (1 - share) + hard * share)
        models.append(model)
    return policy, models, bytes(strings)


def choose_model(spec: PolicySpec, signals: Signals | None = None, region: str = "", **request: Any) -> Choice:
    """Run the policy on a fresh memory."""
    policy, models, strings = pack(spec)
    memory, record = Memory(), Request()
    given = signals or Signals()
    decision = memory.decision
    for name in vars(given):
        if name != "task_score":
            setattr(decision, name, getattr(given, name))
    decision.task_scores[given.task] = given.task_score
    decision.confidence = given.task_score
    for name, value in request.items():
        setattr(record, name, value)
    record.region.length = len(region.encode())
    endpoints = [Endpoint() for _ in range(len(models) * (len(spec.regions) + 1))]
    choose(record, policy, models, [], endpoints, strings, region.encode(), memory)

    def text(span: Any) -> str:
        return strings[span.start : span.start + span.length].decode()

    return Choice(
        status=STATUSES[decision.status],
        model=text(decision.model),
        chain=[text(span) for span in memory.chain[: memory.chain_length]],
        runner_up=text(decision.runner_up),
        margin=decision.margin,
        cost=decision.cost,
        dropped=decision.dropped,
        reasons=[
            (REASONS[reason.code], text(reason.model), reason.value) for reason in memory.reasons[: memory.reason_count]
        ],
    )


def model_specs(index: int) -> st.SearchStrategy[ModelSpec]:
    """Any model; named so that the order by name is that of the index."""
    return st.builds(
        ModelSpec,
        name=st.just(f"model-{index:02}"),
        provider=st.integers(0, 3),
        price_in=st.integers(0, 10**8),
        price_out=st.integers(0, 10**9),
        context=st.sampled_from([50, 200, 4096, 128_000]),
        max_output=st.sampled_from([100, 4096, 128_000]),
        ttft_ms=st.sampled_from([0, 100, 500, 2000]),
        abilities=st.integers(0, 31),
        regions=st.integers(0, 3),
        languages=st.sampled_from([ALL_LANGUAGES, 0b11, 0b101]),
        quality=st.integers(0, SCORE_ONE),
        quality_when_hard=st.integers(0, SCORE_ONE),
    )


@st.composite
def policy_specs(draw: st.DrawFn, most: int = 8) -> PolicySpec:
    """Any policy of a few models."""
    count = draw(st.integers(1, most))
    return PolicySpec(
        models=[draw(model_specs(index)) for index in range(count)],
        clusters=draw(
            st.dictionaries(
                st.integers(0, CLUSTER_COUNT - 1),
                st.lists(st.integers(0, count - 1), unique=True, max_size=CHAIN_LENGTH),
                max_size=2,
            )
        ),
        default_model=draw(st.integers(NO_MODEL, count - 1)),
        regions=("eu", "us"),
        strict_regions=draw(st.integers(0, 3)),
        time_sensitive_from=draw(st.sampled_from([5_000, SCORE_ONE + 1])),
        difficulty_cap=draw(st.sampled_from([3_000, SCORE_ONE])),
        answer_value=draw(st.sampled_from([10**10, 10**12, 10**13])),
        wait_price=draw(st.sampled_from([0, 2 * 10**7, 10**9])),
    )


any_signals = st.builds(
    Signals,
    task=st.integers(0, TASK_COUNT - 1),
    task_score=st.integers(0, SCORE_ONE),
    cluster=st.integers(0, CLUSTER_COUNT - 1),
    difficulty=st.integers(0, SCORE_ONE),
    recency=st.integers(0, SCORE_ONE),
    language=st.integers(0, 3),
    language_score=st.sampled_from([0, 4_999, 5_000, SCORE_ONE]),
    abstained=st.integers(0, 1),
    input_tokens=st.integers(0, 5_000),
    output_tokens=st.integers(0, 2_000),
)

any_constraints = st.fixed_dictionaries(
    {
        "region": st.sampled_from(["", "eu", "us", "mars"]),
        "needs": st.sampled_from([0, 1, 2, 3, 16]),
        "max_output_tokens": st.sampled_from([0, 100, 5_000]),
        "latency_slo_ms": st.sampled_from([0, 100, 1_000]),
        "budget": st.sampled_from([0, 1, 10**8, 10**10, 10**12]),
        "objective": st.integers(0, OBJECTIVE_COUNT - 1),
    }
)
