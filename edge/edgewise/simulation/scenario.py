"""Scenario files: what the world does while traffic is replayed, which `router.toml` cannot know.

A scenario speaks `router.toml`'s words. What it leaves out is as the configuration says it.
"""

import json
import pathlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from edgewise.config import Config
from edgewise.config_errors import Problem, ProblemsError, explain, explain_decoding, read_toml, suggest
from edgewise.config_models import (
    ByRegion,
    Flag,
    ModelConfig,
    Name,
    Number,
    Price,
    ProviderConfig,
    Score,
    Share,
)
from edgewise.config_models import Peak as HoursOfDay
from edgewise.errors import ConfigError
from edgewise.toml_lines import Path

DAY_MS = 86_400_000
MINUTE_MS = 60_000

_DEFAULT_START = datetime(2026, 1, 5, tzinfo=UTC)
_DEFAULT_SPREAD = 1.5
_MAX_REQUESTS_PER_MINUTE = 1_000_000
_MAX_MINUTES = 60 * 24 * 366
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


def _read_minute(value: Any) -> int:
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("not a time of the day")
    return int(match[1]) * 60 + int(match[2])


def clock(minute: int) -> str:
    """A minute of the day as one writes it."""
    return f"{minute // 60:02}:{minute % 60:02}"


def _read_time(value: Any) -> Any:
    if not isinstance(value, datetime):
        raise ValueError("not a date and a time, which is written without quotes")
    return value


Minute = Annotated[int, PlainValidator(_read_minute)]
Time = Annotated[AwareDatetime, BeforeValidator(_read_time)]
Factor = Annotated[Number, Field(gt=0, le=1_000)]
PerMinute = Annotated[Number, Field(gt=0, le=_MAX_REQUESTS_PER_MINUTE)]
Day = Annotated[int, Field(strict=True, ge=1, le=366)]


class _Table(BaseModel):
    """A table of the file: it never changes, and holds nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# The descriptions below stand after "write" in errors.


class Hours(_Table):
    """When something happens: on every day or on one of them, all day or between two times, by UTC."""

    hours: HoursOfDay | None = Field(default=None, description='the hours of the day, by UTC, such as "08:00-18:00"')
    day: Day | None = Field(default=None, description="the number of the one day on which it happens, 1 for the first")

    def holds(self, at_ms: int, first_day: int) -> bool:
        """Whether it happens at a time; `first_day` is the number of days from 1970 to the first of the scenario."""
        today = at_ms // DAY_MS
        return any(self._holds_on(day, at_ms, first_day) for day in (today, today - 1))

    def _holds_on(self, day: int, at_ms: int, first_day: int) -> bool:
        begin, end = self.hours or (0, 24 * 60)
        if self.day is not None and day != first_day + self.day - 1:
            return False
        end += 24 * 60 if end <= begin else 0
        return begin * MINUTE_MS <= at_ms - day * DAY_MS < end * MINUTE_MS


class Disruption(Hours):
    """What happens to some endpoints for some time. Without `models` and `providers`: to all."""

    models: tuple[str, ...] | None = Field(default=None, min_length=1, description="a list of models of router.toml")
    providers: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="a list of providers of router.toml"
    )
    regions: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="a list of the regions, out of policy.regions, whose requests it hits"
    )

    def hits(self, model: str, provider: str, region: str) -> bool:
        """Whether an endpoint is among those."""
        everyone = self.models is None and self.providers is None
        named = model in (self.models or ()) or provider in (self.providers or ())
        return (everyone or named) and (self.regions is None or region in self.regions)


class Slowdown(Disruption):
    """Endpoints take `factor` times as long to the first token, and for every token after it."""

    factor: Factor = Field(description="what the time to the first token is multiplied with")


class Outage(Disruption):
    """Endpoints answer nothing: an error at once or, where they hang, nothing, until the session loses patience."""

    hangs: Flag = Field(default=False, description="true where they are never answered, false where they fail at once")


class ErrorBurst(Disruption):
    """Endpoints fail now and then, on top of their own error rate."""

    rate: Score = Field(description="the share of requests that fail, above 0 up to 1")


class RateLimit(Disruption):
    """All requests that it hits, together, are refused past a number a minute."""

    per_minute: Annotated[int, Field(strict=True, gt=0)] = Field(description="how many requests a minute are taken")


class PriceChange(_Table):
    """From a time on a model costs something else; `router.toml` is read again at the same moment."""

    model: str = Field(description="a model of router.toml")
    at: Minute = Field(description='the time of the day, by UTC, such as "12:00"')
    day: Day = Field(default=1, description="the number of the day, 1 for the first")
    price_in: Price = Field(gt=0, description="the new price in USD per million input tokens")
    price_out: Price = Field(gt=0, description="the new price in USD per million output tokens")


class ModelWorld(_Table):
    """How a model really is."""

    ttft_ms: ByRegion | None = Field(
        default=None,
        description="the median time to its first token, without the network, in milliseconds: a number, or a table by"
        " region and default; without it, ttft_ms of router.toml",
    )
    ttft_p95_ms: ByRegion | None = Field(
        default=None,
        description="the 95th percentile of the same, not less than the median; without it, 1.5 times the median",
    )
    tokens_per_s: Annotated[int, Field(strict=True, gt=0, le=8_000)] = Field(
        default=60, description="how many tokens it writes in a second"
    )
    error_rate: Share = Field(default=Decimal(0), description="the share of requests that fail, from 0 to 1")

    def latency_in(self, region: str, config: ModelConfig) -> tuple[int, int]:
        """The median and the 95th percentile of the time to the first token in a region, in milliseconds."""
        median = config.ttft_in(region or None) if self.ttft_ms is None else _in_region(self.ttft_ms, region)
        if self.ttft_p95_ms is None:
            return median, round(median * _DEFAULT_SPREAD)
        return median, _in_region(self.ttft_p95_ms, region)


def _in_region(value: int | dict[str, int], region: str) -> int:
    return value if isinstance(value, int) else value.get(region, value["default"])


class Arrivals(_Table):
    """Requests come at random, so many a minute: the traffic's rows one after the other, and again from the first."""

    per_minute: PerMinute = Field(description="how many requests come in a minute, on average")
    minutes: Annotated[int, Field(strict=True, gt=0, le=_MAX_MINUTES)] = Field(description="for how many minutes")
    regions: dict[Name, Annotated[Number, Field(gt=0)]] = Field(
        default={},
        description="a table of regions and their weights, such as { us-east = 3, eu-west = 1 };"
        " without it, the traffic's own regions",
    )


class Peak(Hours):
    """Hours in which more requests come, or fewer."""

    factor: Factor = Field(description="what arrivals.per_minute is multiplied with")


class Scenario(_Table):
    """A whole scenario file."""

    seed: Annotated[int, Field(strict=True, ge=0)] = Field(default=0, description="a number that all chance depends on")
    start: Time = Field(
        default=_DEFAULT_START,
        description="when the first request may come, with its zone, such as 2026-01-05T08:00:00Z; only for [arrivals]",
    )
    arrivals: Arrivals | None = Field(
        default=None, description="a table with per_minute and minutes; without it, requests come at their own at_ms"
    )
    peaks: dict[Name, Peak] = Field(default={}, description="tables such as [peaks.morning] with hours and factor")
    models: dict[Name, ModelWorld] = Field(
        default={}, description="tables such as [models.gpt-4o] with ttft_ms, ttft_p95_ms, tokens_per_s, error_rate"
    )
    providers: dict[Name, ProviderConfig] = Field(
        default={}, description="tables such as [providers.openai] with the real hop_ms"
    )
    slowdowns: dict[Name, Slowdown] = Field(default={}, description="tables such as [slowdowns.peak] with factor")
    outages: dict[Name, Outage] = Field(default={}, description="tables such as [outages.noon]")
    error_bursts: dict[Name, ErrorBurst] = Field(default={}, description="tables such as [error_bursts.noon] with rate")
    rate_limits: dict[Name, RateLimit] = Field(
        default={}, description="tables such as [rate_limits.openai] with per_minute"
    )
    price_changes: dict[Name, PriceChange] = Field(
        default={}, description="tables such as [price_changes.cheaper] with model, at, price_in and price_out"
    )

    @property
    def start_ms(self) -> int:
        """The start as Unix time in milliseconds."""
        return int(self.start.timestamp() * 1000)

    @property
    def disruptions(self) -> dict[str, Disruption]:
        """All that happens to endpoints, by kind and name, such as `outages.noon`."""
        kinds: dict[str, dict[str, Any]] = {
            "slowdowns": self.slowdowns,
            "outages": self.outages,
            "error_bursts": self.error_bursts,
            "rate_limits": self.rate_limits,
        }
        return {f"{kind}.{name}": one for kind, tables in kinds.items() for name, one in tables.items()}

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        """Check what takes two tables, or the configuration, to see."""
        problems = list(self._find_arrival_problems())
        if info.context is not None:
            problems += [*_find_unknown_names(self, info.context), *_find_spread_problems(self, info.context)]
        if problems:
            raise ProblemsError(problems)
        return self

    def _find_arrival_problems(self) -> Iterator[Problem]:
        """What only says something about drawn arrivals."""
        for key in ("start", "peaks"):
            if self.arrivals is None and key in self.model_fields_set:
                yield Problem((key,), "requests come at their own at_ms; add [arrivals], or remove this")


def _find_spread_problems(scenario: Scenario, config: Config) -> Iterator[Problem]:
    for name in sorted(scenario.models.keys() & config.models.keys()):
        model = scenario.models[name]
        times = {model.latency_in(region, config.models[name]) for region in ("", *config.policy.regions)}
        too_low = sorted((median, p95) for median, p95 in times if p95 < median)
        if too_low:
            median, p95 = too_low[0]
            problem = f"{p95} is less than the median, {median}; write the 95th percentile in milliseconds"
            yield Problem(("models", name, "ttft_p95_ms"), problem)


def _find_unknown_names(scenario: Scenario, config: Config) -> Iterator[Problem]:
    models, regions = tuple(config.models), config.policy.regions
    providers = tuple(sorted({model.provider for model in config.models.values()}))
    named: list[tuple[str, str, Path, tuple[str, ...]]] = [
        *(("model", name, ("models", name), models) for name in scenario.models),
        *(("provider", name, ("providers", name), providers) for name in scenario.providers),
        *(
            ("model", one.model, ("price_changes", name, "model"), models)
            for name, one in scenario.price_changes.items()
        ),
        *(("region", name, path, regions) for name, path in _regions_named(scenario)),
    ]
    for key, one in scenario.disruptions.items():
        path: Path = tuple(key.split(".", 1))
        known = {"models": models, "providers": providers, "regions": regions}
        for field, names in known.items():
            named += [(field[:-1], name, (*path, field, i), names) for i, name in enumerate(getattr(one, field) or ())]
    for kind, name, place, names in named:
        if name not in names:
            shown = json.dumps(name, ensure_ascii=False)
            yield Problem(place, f"unknown {kind} {shown} in the router.toml; {suggest(name, names)}")


def _regions_named(scenario: Scenario) -> Iterator[tuple[str, Path]]:
    """The regions in the tables by region, each with its path."""
    tables = [
        *((("models", name, "ttft_ms"), model.ttft_ms) for name, model in scenario.models.items()),
        *((("models", name, "ttft_p95_ms"), model.ttft_p95_ms) for name, model in scenario.models.items()),
        *((("providers", name, "hop_ms"), provider.hop_ms) for name, provider in scenario.providers.items()),
        (("arrivals", "regions"), scenario.arrivals.regions if scenario.arrivals else None),
    ]
    for path, table in tables:
        for region in table if isinstance(table, dict) else ():
            if region != "default":
                yield region, (*path, region)


def parse_scenario(text: str, config: Config, name: str = "scenario.toml") -> Scenario:
    """The scenario that the text of a TOML file says, for a configuration; `name` stands in errors.

    Raises ConfigError, which lists every problem as `name:line: key: what is wrong; what to write`.
    """
    data = read_toml(text, name)
    try:
        return Scenario.model_validate(data, context=config)
    except ValidationError as error:
        raise ConfigError(explain(error, Scenario, text, name)) from None


def load_scenario(path: pathlib.Path | str, config: Config) -> Scenario:
    """The scenario in a file. Raises ConfigError as `parse_scenario` does, and when the file cannot be read."""
    try:
        text = pathlib.Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from None
    except UnicodeDecodeError as error:
        raise ConfigError(explain_decoding(error, str(path))) from None
    return parse_scenario(text, config, str(path))
