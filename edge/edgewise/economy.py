"""What routing saves at a catalogue's prices, and how much of that misrouting loses: arithmetic, no traffic needed.

Traffic is of two kinds: easy queries, which a cheap model answers, and hard ones, which go to a frontier model. All
queries are of one size. What is compared with is the frontier model for everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from edgewise.catalogue import strongest
from edgewise.config_models import Config, ModelConfig
from edgewise.core.labels import TASKS
from edgewise.core.policy import DIFFICULTY_BANDS
from edgewise.errors import ConfigError
from edgewise.money import PICODOLLARS_PER_DOLLAR

MISROUTED = (Decimal("0.005"), Decimal("0.01"), Decimal("0.02"), Decimal("0.05"))
EASY_BANDS = range(DIFFICULTY_BANDS // 2)
HARD_BANDS = range(DIFFICULTY_BANDS // 2, DIFFICULTY_BANDS)
"""Easy: what a 7B model is fine for. Hard: what wants a 70B or a frontier model."""


@dataclass(frozen=True)
class Query:
    """How large a query is, in tokens."""

    input_tokens: int = 2_000
    output_tokens: int = 0


@dataclass(frozen=True)
class Misrouting:
    """What is lost when a share of all queries is misrouted, as shares of the saving.

    `to_frontier`: easy queries go to the frontier model. `to_strongest`: they go to the dearest model of the catalogue.
    `to_cheap`: hard queries go to the cheap model; `quality_lost` is the drop in the share of right answers over all
    queries, and counts what an answer is worth, less the money that the cheap model saves.
    """

    share: Decimal
    to_frontier: Decimal
    to_strongest: Decimal
    to_cheap: Decimal
    quality_lost: Decimal


@dataclass(frozen=True)
class Economy:
    """Costs are in USD a query, quality is the share of right answers."""

    cheap: str
    frontier: str
    strongest: str
    cheap_share: Decimal
    query: Query
    answer_value: Decimal
    cost_cheap: Decimal
    cost_frontier: Decimal
    cost_strongest: Decimal
    quality_routed: Decimal
    quality_always: Decimal
    quality_gap: Decimal

    @property
    def cost_routed(self) -> Decimal:
        """The mean cost of a query where easy ones go to the cheap model."""
        return self.cheap_share * self.cost_cheap + (1 - self.cheap_share) * self.cost_frontier

    @property
    def saving(self) -> Decimal:
        """What a query costs less than with the frontier model for everything, in USD."""
        return self.cost_frontier - self.cost_routed

    @property
    def saved_share(self) -> Decimal:
        """The saving as a share of what the frontier model for everything costs; never above `cheap_share`."""
        return self.saving / self.cost_frontier

    def misrouting(self, share: Decimal) -> Misrouting:
        """What is lost when this share of all queries is misrouted."""
        worth_lost = self.quality_gap * self.answer_value - (self.cost_frontier - self.cost_cheap)
        return Misrouting(
            share=share,
            to_frontier=share * (self.cost_frontier - self.cost_cheap) / self.saving,
            to_strongest=share * (self.cost_strongest - self.cost_cheap) / self.saving,
            to_cheap=share * worth_lost / self.saving,
            quality_lost=share * self.quality_gap,
        )

    def cost_that_loses(self, lost: Decimal, share: Decimal) -> Decimal:
        """What a misrouted query must cost, in USD, so that a share of the traffic loses so much of the saving."""
        return lost * self.saving / share + self.cost_cheap

    def to_json(self) -> dict[str, Any]:
        """The economy as JSON."""
        return {
            "cheap": self.cheap,
            "frontier": self.frontier,
            "strongest": self.strongest,
            "cheap_share": float(self.cheap_share),
            "tokens": {"input": self.query.input_tokens, "output": self.query.output_tokens},
            "answer_value_usd": float(self.answer_value),
            "cost_usd": {
                "always_frontier": float(self.cost_frontier),
                "always_cheap": float(self.cost_cheap),
                "routed": float(self.cost_routed),
            },
            "saving": round(float(self.saved_share), 4),
            "quality": {"always_frontier": float(self.quality_always), "routed": float(self.quality_routed)},
            "misrouting": [_misrouting_json(self.misrouting(share)) for share in MISROUTED],
        }


def _misrouting_json(lost: Misrouting) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in vars(lost).items()}


def economy(
    config: Config, cheap: str | None, frontier: str | None, cheap_share: Decimal, query: Query = Query()
) -> Economy:
    """The economy of two models of a configuration; by default the cheapest one and the strongest.

    Raises ConfigError for a model that the configuration does not know, and where the frontier model is not the dearer.
    """
    cheap = cheap or min(config.models, key=lambda name: (_cost(config.models[name], query), name))
    best = strongest(config).name
    frontier = frontier or best
    for name in (cheap, frontier):
        if name not in config.models:
            raise ConfigError(f"unknown model {name}; the configuration has {', '.join(sorted(config.models))}")
    small, large = config.models[cheap], config.models[frontier]
    if _cost(small, query) >= _cost(large, query):
        raise ConfigError(f"{frontier} does not cost more than {cheap}, so there is nothing to save; name two others")
    easy = _quality(large, EASY_BANDS) - _quality(small, EASY_BANDS)
    always = cheap_share * _quality(large, EASY_BANDS) + (1 - cheap_share) * _quality(large, HARD_BANDS)
    return Economy(
        cheap=cheap,
        frontier=frontier,
        strongest=best,
        cheap_share=cheap_share,
        query=query,
        answer_value=config.prices_of_objective(config.policy.objective)[0],
        cost_cheap=_cost(small, query),
        cost_frontier=_cost(large, query),
        cost_strongest=_cost(config.models[best], query),
        quality_routed=always - cheap_share * easy,
        quality_always=always,
        quality_gap=_quality(large, HARD_BANDS) - _quality(small, HARD_BANDS),
    )


def _cost(model: ModelConfig, query: Query) -> Decimal:
    return Decimal(model.cost(query.input_tokens, query.output_tokens)) / PICODOLLARS_PER_DOLLAR


def _quality(model: ModelConfig, bands: Sequence[int]) -> Decimal:
    """The mean of the quality tables over all tasks and some difficulties."""
    return sum((model.quality[task][band] for task in TASKS for band in bands), Decimal(0)) / (len(TASKS) * len(bands))
