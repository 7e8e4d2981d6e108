"""The policy blob: a configuration as the bytes that the core loads.

A Policy record, then the models sorted by name, then the strings. Equal configurations give equal bytes, in whatever
order the file lists its tables, because everything that is numbered is sorted first.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from edgewise.config_models import CHOOSABLE_OBJECTIVES, Config, ModelConfig
from edgewise.core.labels import CLUSTERS, NEED_LIVE_RETRIEVAL, NEEDS, OBJECTIVES, SCORE_ONE, TASKS
from edgewise.core.language import LANGUAGES
from edgewise.core.policy import (
    CHAIN_LENGTH,
    DIFFICULTY_BANDS,
    MAX_POLICY_BYTES,
    NO_MODEL,
    POLICY_MAGIC,
    POLICY_OK,
    POLICY_STATUSES,
    POLICY_VERSION,
    Model,
    Policy,
    check_policy,
)
from edgewise.core.types import Span
from edgewise.errors import ConfigError
from edgewise.money import to_picodollars

_NEVER = SCORE_ONE + 1
_EVERY_LANGUAGE = (1 << len(LANGUAGES)) - 1
_MS_PER_SECOND = 1000


@dataclass(frozen=True)
class _Numbering:
    """What the core knows by number: indexes into these sorted names."""

    models: tuple[str, ...]
    providers: tuple[str, ...]
    regions: tuple[str, ...]


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
    )
    strings = _Strings(Policy.size + len(numbering.models) * Model.size)
    models = [_pack_model(name, config.models[name], numbering, strings) for name in numbering.models]
    policy = _pack_head(config, numbering, strings)
    policy.total_bytes = strings.start + len(strings.data)
    if policy.total_bytes > MAX_POLICY_BYTES:
        raise ConfigError(
            f"the policy takes {policy.total_bytes} bytes, {MAX_POLICY_BYTES} are allowed;"
            f" shorten the names of its {len(numbering.models)} models"
        )
    return b"".join([policy.to_bytes(), *(model.to_bytes() for model in models), bytes(strings.data)])


def _pack_head(config: Config, numbering: _Numbering, strings: _Strings) -> Policy:
    policy, rules = Policy(), config.policy
    policy.magic, policy.version = POLICY_MAGIC, POLICY_VERSION
    policy.models.start, policy.models.length = Policy.size, len(numbering.models)
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
    return policy


def _pack_objectives(config: Config, policy: Policy) -> None:
    for name in CHOOSABLE_OBJECTIVES:
        answer_value, wait = config.prices_of_objective(name)
        policy.answer_value[OBJECTIVES.index(name)] = to_picodollars(answer_value)
        policy.wait_price[OBJECTIVES.index(name)] = to_picodollars(wait / _MS_PER_SECOND)


def _pack_model(name: str, config: ModelConfig, numbering: _Numbering, strings: _Strings) -> Model:
    model = Model()
    strings.place(name, model.name)
    model.price_in, model.price_out = config.picodollars_per_token
    model.regions = _region_bits(config.regions, numbering)
    model.context = config.context
    model.max_output = config.context if config.max_output is None else config.max_output
    model.ttft_ms = config.ttft_ms
    model.provider = numbering.providers.index(config.provider)
    model.abilities = sum(1 << NEEDS.index(ability) for ability in config.abilities)
    model.abilities |= NEED_LIVE_RETRIEVAL if config.live_retrieval else 0
    for index, byte in enumerate(_language_bits(config).to_bytes(len(model.languages), "little")):
        model.languages[index] = byte
    for task, label in enumerate(TASKS):
        for band, quality in enumerate(config.quality[label]):
            model.quality[task * DIFFICULTY_BANDS + band] = _score(quality)
    return model


def _language_bits(config: ModelConfig) -> int:
    if config.languages is None:
        return _EVERY_LANGUAGE
    return sum(1 << LANGUAGES.index(code) for code in config.languages)


def _region_bits(regions: Iterable[str], numbering: _Numbering) -> int:
    """One bit a region, as the signed number that an i64 holds."""
    bits = sum(1 << numbering.regions.index(region) for region in regions)
    return bits - (1 << 64) if bits >> 63 else bits


def _score(share: Decimal) -> int:
    return int((share * SCORE_ONE).to_integral_value(ROUND_HALF_EVEN))


def unpack_policy(blob: bytes) -> tuple[Policy, list[Model]]:
    """The records of a policy blob, as the core run in Python takes them. Raises ConfigError when it is not one."""
    if len(blob) < Policy.size:
        raise ConfigError(f"not a policy: {len(blob)} bytes, its head alone takes {Policy.size}")
    policy = Policy.from_bytes(blob)
    start, count = policy.models.start, policy.models.length
    inside = start >= 0 and count >= 0 and start + count * Model.size <= len(blob)
    models = [Model.from_bytes(blob, start + index * Model.size) for index in range(count if inside else 0)]
    status = check_policy(policy, models, len(blob))
    if status != POLICY_OK:
        raise ConfigError(f"not a policy that this version can load: {POLICY_STATUSES[status].replace('_', ' ')}")
    return policy, models


def text_at(blob: bytes, span: Span) -> str:
    """The string that a span of the blob stands for."""
    return bytes(blob[span.start : span.start + span.length]).decode()
