"""What a catalogue of models says: prices of answers, which model is strongest, and the whole in words."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from edgewise.config_models import CHOOSABLE_OBJECTIVES, Config, ModelConfig
from edgewise.core.labels import TASKS


@dataclass(frozen=True)
class NamedModel:
    """One model of a catalogue."""

    name: str
    config: ModelConfig

    def cost(self, input_tokens: int, output_tokens: int) -> int:
        """The price of an answer in picodollars."""
        return self.config.cost(input_tokens, output_tokens)


def quality_when_hard(model: ModelConfig) -> Decimal:
    """The quality at the highest difficulty, averaged over the tasks."""
    return sum((model.quality[task][-1] for task in TASKS), Decimal(0)) / len(TASKS)


def strongest(config: Config) -> NamedModel:
    """The model that is best at the hardest requests; of equals the cheaper, then the first by name.

    What "always the strongest model" means where costs are compared.
    """

    def rank(model: NamedModel) -> tuple[Decimal, int, str]:
        return -quality_when_hard(model.config), model.cost(1, 1), model.name

    return min((NamedModel(name, model) for name, model in config.models.items()), key=rank)


def describe(config: Config) -> str:
    """The configuration in words and a table, for `edgewise config check`."""
    models = config.models
    providers = len({model.provider for model in models.values()})
    parts = [
        f"{_count(len(models), 'model')} of {_count(providers, 'provider')}",
        f"default model {config.policy.default_model or 'none'}",
        f"objective {config.policy.objective}",
        f"strongest model {strongest(config).name}",
    ]
    return "\n".join(["; ".join(parts), "", *_model_rows(models), "", *_rules(config)])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _model_rows(models: Mapping[str, ModelConfig]) -> list[str]:
    head = ("model", "provider", "USD/M in", "out", "context", "ttft ms", "quality", "what it can do")
    rows = [head, *(_model_row(name, models[name]) for name in sorted(models))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head) - 1)]
    aligned = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        aligned.append("  ".join([*cells, row[-1]]).rstrip())
    if any(model.example for model in models.values()):
        aligned.append("* example price")
    return aligned


def _model_row(name: str, model: ModelConfig) -> tuple[str, ...]:
    mark = "*" if model.example else ""
    qualities = [quality for bands in model.quality.values() for quality in bands]
    abilities = [*model.abilities, *(["live retrieval"] if model.live_retrieval else [])]
    if model.knowledge_cutoff:
        abilities.append(f"knows up to {model.knowledge_cutoff}")
    if model.languages is not None:
        abilities.append(_count(len(model.languages), "language"))
    return (
        name,
        model.provider,
        "free" if model.free else f"{model.price_in}{mark}",
        "free" if model.free else f"{model.price_out}{mark}",
        str(model.context),
        str(model.usual_ttft_ms),
        f"{math.floor(min(qualities) * 100)}-{math.floor(max(qualities) * 100)}%",
        ", ".join(abilities),
    )


def _rules(config: Config) -> list[str]:
    lines = []
    for name in CHOOSABLE_OBJECTIVES:
        answer_value, wait = config.prices_of_objective(name)
        lines.append(
            f"objective {name}: a right answer is worth {answer_value} USD, a second of waiting costs {wait} USD"
        )
    lines += [f"cluster {name}: {' -> '.join(config.clusters[name].chain)}" for name in sorted(config.clusters)]
    recency = config.time_sensitive_from
    if recency is None:
        lines.append("time-sensitive requests: any model")
    else:
        lines.append(f"time-sensitive requests (score {recency} and more): models with live retrieval only")
    if config.policy.abstain_below is not None:
        lines.append(f"unsure below a confidence of {config.policy.abstain_below}")
    if config.policy.difficulty_cap < 1:
        lines.append(f"the text of a prompt can claim a difficulty of {config.policy.difficulty_cap} at most")
    lines += _rules_of_others(config)
    if config.policy.strict_regions:
        lines.append(f"requests from these regions stay there: {', '.join(sorted(config.policy.strict_regions))}")
    return lines


def _rules_of_others(config: Config) -> list[str]:
    """What holds for tenants, tiers, unsafe requests and slow models."""
    lines = []
    if config.policy.target_quality is not None:
        lines.append(
            f"target quality {config.policy.target_quality}: the cheapest model that reaches that share of the best"
        )
    if config.policy.target_saving is not None:
        lines.append(
            f"target saving {config.policy.target_saving}: the best model that saves that share of the best's price"
        )
    for name in sorted(config.tiers):
        lines.append(f"tier {name}: objective {config.tiers[name].objective}")
    for name in sorted(config.tenants):
        budget, models = config.tenants[name].daily_budget_usd, config.tenants[name].models
        spends = "any amount" if budget is None else f"{budget} USD a day"
        lines.append(f"tenant {name}: {spends}, of {_listed(models)}")
    for score, ability in (("harm", "guarded"), ("jailbreak", "guarded"), ("pii", "private")):
        threshold = getattr(config.safety, f"{score}_from")
        if threshold is not None:
            lines.append(f"{score} {threshold} and more: models with {ability} only")
    return lines + _shifting_rule(config)


def _listed(models: tuple[str, ...] | None) -> str:
    return "all models" if models is None else f"{', '.join(models)} only"


def _shifting_rule(config: Config) -> list[str]:
    rule = config.shifting
    if rule is None:
        return []
    hours = "" if rule.peak is None else f", {_clock(rule.peak[0])}-{_clock(rule.peak[1])} UTC"
    share = f"{(rule.share * 100).normalize():f}%"
    return [
        f"slow above {rule.above_ms} ms (p95){hours}: {share} of the requests go elsewhere, back below {rule.end_ms} ms"
    ]


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
