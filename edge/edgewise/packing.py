"""The policy blob: a configuration as the bytes that the core loads.

A Policy record, then the models and the tenants sorted by name, the expected times to the first token where they
differ by region, and the strings. Equal configurations give equal bytes, in whatever order the file lists its tables,
because everything that is numbered is sorted first.
"""

import itertools
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from edgewise.config_models import CHOOSABLE_OBJECTIVES, Config, LevelConfig, ModelConfig, ProviderConfig
from edgewise.core.endpoints import LiveRules
from edgewise.core.labels import (
    CLUSTERS,
    DOMAINS,
    NEED_LIVE_RETRIEVAL,
    NEEDS,
    OBJECTIVES,
    SCORE_ONE,
    TASKS,
    TIERS,
)
from edgewise.core.language import LANGUAGES
from edgewise.core.policy import (
    CHAIN_LENGTH,
    DIFFICULTY_BANDS,
    FACTOR_ONE,
    LENGTH_BANDS,
    MAX_POLICY_BYTES,
    NO_MODEL,
    POLICY_MAGIC,
    POLICY_OK,
    POLICY_STATUSES,
    POLICY_VERSION,
    Model,
    Policy,
    SessionRules,
    Tenant,
    check_policy,
)
from edgewise.core.stream import MonitorRules
from edgewise.core.types import Span, records_at
from edgewise.errors import ConfigError
from edgewise.money import price_per_token, to_picodollars

_NEVER = SCORE_ONE + 1
_MS_PER_SECOND = 1000
_MAX_PRIOR_MS = 65_535
_NO_TENANT = -1


@dataclass(frozen=True)
class _Numbering:
    """What the core knows by number: indexes into these sorted names."""

    models: tuple[str, ...]
    providers: tuple[str, ...]
    regions: tuple[str, ...]
    tenants: tuple[str, ...]


class _Strings:
    """The strings at the end of the blob, each of them once."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.data = bytearray()
        self.offsets: dict[str, int] = {}

    def place(self, text: str, span: Span) -> None:
        """Point the span at the text, which is added where it is new."""
        encoded = text.encode()
        if text not in self.offsets:
            self.offsets[text] = len(self.data)
            self.data += encoded
        span.start, span.length = self.start + self.offsets[text], len(encoded)


def pack_policy(config: Config) -> bytes:
    """The policy blob of a configuration. Raises ConfigError when it is larger than the core can hold."""
    numbering = _Numbering(
        models=tuple(sorted(config.models)),
        providers=tuple(sorted({model.provider for model in config.models.values()})),
        regions=tuple(sorted(config.policy.regions)),
        tenants=tuple(sorted(config.tenants)),
    )
    policy, priors = Policy(), _pack_priors(config, numbering)
    tables = ((policy.models, len(numbering.models), Model.size), (policy.tenants, len(numbering.tenants), Tenant.size))
    end = Policy.size
    for span, count, size in (*tables, (policy.priors, len(priors) // 2, 2)):
        span.start, span.length = end, count
        end += count * size
    strings = _Strings(end)
    models = [_pack_model(name, config.models[name], numbering, strings) for name in numbering.models]
    tenants = [_pack_tenant(name, config, numbering, strings) for name in numbering.tenants]
    _pack_head(policy, config, numbering, strings)
    policy.total_bytes = strings.start + len(strings.data)
    if policy.total_bytes > MAX_POLICY_BYTES:
        raise ConfigError(
            f"the policy takes {policy.total_bytes} bytes, {MAX_POLICY_BYTES} are allowed;"
            f" shorten the names of its {len(numbering.models)} models"
        )
    records = [policy.to_bytes(), *(record.to_bytes() for record in (*models, *tenants))]
    return b"".join([*records, priors, bytes(strings.data)])


def _pack_priors(config: Config, numbering: _Numbering) -> bytes:
    """The expected times to the first token, network included; nothing where the models' own say it all."""
    if not config.providers and all(isinstance(model.ttft_ms, int) for model in config.models.values()):
        return b""
    rows = [_pack_row(config, numbering, region) for region in (None, *numbering.regions)]
    return b"".join(rows)


def _pack_row(config: Config, numbering: _Numbering, region: str | None) -> bytes:
    models = [config.models[name] for name in numbering.models]
    hops = [config.providers.get(model.provider, ProviderConfig()).hop_in(region) for model in models]
    times = [min(_MAX_PRIOR_MS, model.ttft_in(region) + hop) for model, hop in zip(models, hops, strict=True)]
    return struct.pack(f"<{len(times)}H", *times)


def _pack_tenant(name: str, config: Config, numbering: _Numbering, strings: _Strings) -> Tenant:
    tenant, rules = Tenant(), config.tenants[name]
    strings.place(name, tenant.name)
    tenant.daily_budget = 0 if rules.daily_budget_usd is None else max(1, to_picodollars(rules.daily_budget_usd))
    tenant.restricted = rules.models is not None
    for model in rules.models or ():
        index = numbering.models.index(model)
        tenant.models[index >> 3] |= 1 << (index & 7)
    return tenant


def _pack_head(policy: Policy, config: Config, numbering: _Numbering, strings: _Strings) -> None:
    rules = config.policy
    policy.magic, policy.version = POLICY_MAGIC, POLICY_VERSION
    policy.region_count = len(numbering.regions)
    for index, region in enumerate(numbering.regions):
        strings.place(region, policy.regions[index])
    policy.strict_regions = _region_bits(rules.strict_regions, numbering)
    _pack_objectives(config, policy)
    for cluster, name in enumerate(CLUSTERS):
        chain = config.clusters[name].chain if name in config.clusters else ()
        for place in range(CHAIN_LENGTH):
            known = numbering.models.index(chain[place]) if place < len(chain) else NO_MODEL
            policy.clusters[cluster].models[place] = known
    default = rules.default_model
    policy.default_model = NO_MODEL if default is None else numbering.models.index(default)
    policy.default_objective = OBJECTIVES.index(rules.objective)
    policy.abstain_below = 0 if rules.abstain_below is None else max(1, _score(rules.abstain_below))
    recency = config.time_sensitive_from
    policy.time_sensitive_from = _NEVER if recency is None else _score(recency)
    policy.difficulty_cap = _score(rules.difficulty_cap)
    policy.difficulty_per_turn = _score(rules.difficulty_per_turn)
    policy.target_quality = _threshold(rules.target_quality)
    policy.target_saving = _threshold(rules.target_saving)
    policy.harm_from = _threshold(config.safety.harm_from)
    policy.jailbreak_from = _threshold(config.safety.jailbreak_from)
    policy.pii_from = _threshold(config.safety.pii_from)
    for name, tier in config.tiers.items():
        policy.tier_objectives[TIERS.index(name)] = OBJECTIVES.index(tier.objective)
    default = "default"
    policy.default_tenant = numbering.tenants.index(default) if default in numbering.tenants else _NO_TENANT
    _pack_rules(config, policy.rules)
    _pack_session(config, policy.session)
    _pack_levels(config, policy)


def _threshold(share: Decimal | None) -> int:
    """A score from which a rule holds; 0 turns it off."""
    return 0 if share is None else max(1, _score(share))


def _pack_rules(config: Config, rules: LiveRules) -> None:
    health, shifting = config.health, config.shifting
    rules.half_life_ms = health.half_life_s * _MS_PER_SECOND
    rules.stale_ms = health.stale_s * _MS_PER_SECOND
    rules.open_ms = health.open_s * _MS_PER_SECOND
    rules.cooldown_ms = health.cooldown_s * _MS_PER_SECOND
    rules.trip_failures = health.trip_failures
    rules.trip_rate = _threshold(health.trip_rate)
    rules.probe_share = _threshold(health.probe_share)
    if shifting is not None:
        rules.shift_share = _threshold(shifting.share)
        rules.shift_above_ms = shifting.above_ms
        rules.shift_back_ms = shifting.end_ms
        rules.shift_dwell_ms = shifting.dwell_s * _MS_PER_SECOND
        rules.peak_from, rules.peak_to = shifting.peak or (0, 0)


def _pack_session(config: Config, rules: SessionRules) -> None:
    session = config.session
    rules.first_token_ms, rules.stall_ms, rules.total_ms = session.first_token_ms, session.stall_ms, session.total_ms
    rules.backoff_ms, rules.attempts = session.backoff_ms, session.attempts


def _pack_levels(config: Config, policy: Policy) -> None:
    names = sorted(config.monitor.all_levels)
    for index, name in enumerate(names):
        _pack_level(config.monitor.all_levels[name], policy.levels[index])
    for task, domain in itertools.product(range(len(TASKS)), range(len(DOMAINS))):
        level = config.monitor.level_of(TASKS[task], DOMAINS[domain])
        policy.level_of[task * len(DOMAINS) + domain] = names.index(level)


def _pack_level(level: LevelConfig, rules: MonitorRules) -> None:
    rules.hold_back_ms, rules.hold_back_tokens = level.hold_back_ms, level.hold_back_tokens
    rules.window_tokens = level.window_tokens
    confidence = level.low_confidence
    rules.low_confidence = 0 if confidence is None else max(1, round(-1000 * math.log(confidence)))
    rules.repetition = level.repetition or 0
    rules.refusal, rules.language_drift = level.refusal, level.language_drift
    rules.broken_json, rules.stale_knowledge = level.broken_json, level.stale_knowledge


def _pack_objectives(config: Config, policy: Policy) -> None:
    for name in CHOOSABLE_OBJECTIVES:
        answer_value, wait = config.prices_of_objective(name)
        policy.answer_value[OBJECTIVES.index(name)] = to_picodollars(answer_value)
        policy.wait_price[OBJECTIVES.index(name)] = to_picodollars(wait / _MS_PER_SECOND)


def _pack_model(name: str, config: ModelConfig, numbering: _Numbering, strings: _Strings) -> Model:
    model = Model()
    strings.place(name, model.name)
    model.price_in, model.price_out = config.picodollars_per_token
    cached = config.price_cached_in
    model.price_cached_in = model.price_in if cached is None else price_per_token(cached)
    model.regions = _region_bits(config.regions, numbering)
    model.context = config.context
    model.max_output = config.context if config.max_output is None else config.max_output
    model.ttft_ms = config.usual_ttft_ms
    model.shift_to = NO_MODEL if config.shift_to is None else numbering.models.index(config.shift_to)
    model.provider = numbering.providers.index(config.provider)
    model.abilities = sum(1 << NEEDS.index(ability) for ability in config.abilities)
    model.abilities |= NEED_LIVE_RETRIEVAL if config.live_retrieval else 0
    for index, code in enumerate(LANGUAGES):
        model.languages[index] = _language_factor(config, code)
    for index, domain in enumerate(DOMAINS):
        for band, offset in enumerate(config.offsets_in(domain)):
            model.domain_offsets[index * LENGTH_BANDS + band] = _score(offset)
    for task, label in enumerate(TASKS):
        for band, quality in enumerate(config.quality[label]):
            model.quality[task * DIFFICULTY_BANDS + band] = _score(quality)
    return model


def _language_factor(config: ModelConfig, code: str) -> int:
    """What the quality is multiplied with in a language, out of FACTOR_ONE; 0 where the model does not know it."""
    if config.languages is None:
        return FACTOR_ONE
    if isinstance(config.languages, dict):
        return _factor(config.languages, code, Decimal(0))
    return FACTOR_ONE if code in config.languages else 0


def _factor(factors: dict[str, Decimal], name: str, otherwise: Decimal) -> int:
    return int((factors.get(name, factors.get("default", otherwise)) * FACTOR_ONE).to_integral_value(ROUND_HALF_EVEN))


def _region_bits(regions: Iterable[str], numbering: _Numbering) -> int:
    """One bit a region, as the signed number that an i64 holds."""
    bits = sum(1 << numbering.regions.index(region) for region in regions)
    return bits - (1 << 64) if bits >> 63 else bits


def _score(share: Decimal) -> int:
    return int((share * SCORE_ONE).to_integral_value(ROUND_HALF_EVEN))


def unpack_policy(blob: bytes) -> tuple[Policy, list[Model], list[Tenant]]:
    """The records of a policy blob, as the core run in Python takes them. Raises ConfigError when it is not one."""
    if len(blob) < Policy.size:
        raise ConfigError(f"not a policy: {len(blob)} bytes, its head alone takes {Policy.size}")
    policy = Policy.from_bytes(blob)
    models, tenants = records_at(Model, blob, policy.models), records_at(Tenant, blob, policy.tenants)
    status = check_policy(policy, models, tenants, bytearray(blob), len(blob))
    if status != POLICY_OK:
        raise ConfigError(f"not a policy that this version can load: {POLICY_STATUSES[status].replace('_', ' ')}")
    return policy, models, tenants


def text_at(blob: bytes, span: Span) -> str:
    """The string that a span of the blob stands for."""
    return bytes(blob[span.start : span.start + span.length]).decode()
