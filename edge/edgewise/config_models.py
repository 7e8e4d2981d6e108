"""What a `router.toml` may say: its tables, their keys, and what must hold between them.

A `Config` says what the file says, in the file's units. `packing` turns it into what the core loads.
"""

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    PlainValidator,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from edgewise.config_errors import Problem, ProblemsError, suggest
from edgewise.core.labels import CLUSTER_OF_TASK, CLUSTERS, DOMAINS, NEEDS, OBJECTIVES, TASKS, TIERS
from edgewise.core.language import LANGUAGES
from edgewise.core.layout import MAX_MODELS, MAX_REGIONS, MAX_TENANTS, RECENT_CHUNKS
from edgewise.core.policy import CHAIN_LENGTH, DIFFICULTY_BANDS, LENGTH_BANDS, MAX_LEVELS, PROMPT_TOKENS
from edgewise.core.stream import MAX_WINDOW_TOKENS
from edgewise.money import price_per_token
from edgewise.toml_lines import Path

ABILITIES = tuple(need for need in NEEDS if need != "live_retrieval")
CHOOSABLE_OBJECTIVES = OBJECTIVES[1:]
DEFAULT_TIME_SENSITIVE_FROM = Decimal("0.5")

MAX_PRICE = 10_000
MAX_ANSWER_VALUE_USD = 100_000
MAX_WAIT_USD_PER_SECOND = 1_000
MAX_TTFT_MS = 60_000
MAX_SHIFT_MS = 60_000
MAX_WAIT_MS = 3_600_000
_MAX_BUDGET_USD = 1_000_000
_MAX_SECONDS = 86_400
_MAX_REQUESTS_PER_MINUTE = 1_000_000
_BACK_OF_ABOVE = Decimal("0.8")
_MAX_TOKENS = 2**31 - 1
"""With these limits no sum of the core passes 2**62: 10,000 USD per million x 60 million tokens is 6e17 picodollars."""

_Bands = tuple[Decimal, ...]


def _read_number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("not a number, which is written without quotes")
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    if not number.is_finite():
        raise ValueError("not a finite number")
    return number


def _check_price(value: Decimal) -> Decimal:
    if value != round(value, 6):
        raise ValueError(f"{value} is finer than a picodollar a token; give at most 6 decimals")
    return value


def _check_name(name: str) -> str:
    if not name or not name.isprintable() or " " in name:
        raise ValueError(f"{json.dumps(name)} is not a name; use letters, digits and marks, without spaces")
    return name


def _one_of(kind: str, names: tuple[str, ...]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in names:
            raise ValueError(f"unknown {kind} {json.dumps(value, default=str)}; {suggest(str(value), names)}")
        return str(value)

    return check


def _enum(names: tuple[str, ...]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(names)})


Number = Annotated[Decimal, BeforeValidator(_read_number)]
Share = Annotated[Number, Field(ge=0, le=1)]
Price = Annotated[Number, Field(ge=0, le=MAX_PRICE), AfterValidator(_check_price)]
Score = Annotated[Number, Field(gt=0, le=1)]
Seconds = Annotated[int, Field(strict=True, gt=0, le=_MAX_SECONDS)]
Count = Annotated[int, Field(strict=True, gt=0, le=_MAX_TOKENS)]
Flag = Annotated[bool, Field(strict=True)]
Name = Annotated[str, AfterValidator(_check_name)]
Ability = Annotated[str, PlainValidator(_one_of("ability", ABILITIES)), _enum(ABILITIES)]
Cluster = Annotated[str, PlainValidator(_one_of("cluster", CLUSTERS)), _enum(CLUSTERS)]
Task = Annotated[str, PlainValidator(_one_of("task", TASKS)), _enum(TASKS)]
Domain = Annotated[str, PlainValidator(_one_of("domain", DOMAINS)), _enum(DOMAINS)]
Language = Annotated[str, PlainValidator(_one_of("language", LANGUAGES[1:])), _enum(LANGUAGES[1:])]
Tier = Annotated[str, PlainValidator(_one_of("tier", TIERS[1:])), _enum(TIERS[1:])]
Objective = Annotated[str, PlainValidator(_one_of("objective", CHOOSABLE_OBJECTIVES)), _enum(CHOOSABLE_OBJECTIVES)]


def _read_quality(value: Any) -> dict[str, _Bands]:
    """Quality in any of its forms, as four numbers for every task."""
    if not isinstance(value, dict):
        bands = _read_bands(value, ())
        return dict.fromkeys(TASKS, bands)
    problems = [
        Problem((name,), f"unknown task {json.dumps(name)}; {suggest(name, (*TASKS, 'default'))}")
        for name in value
        if name not in TASKS and name != "default"
    ]
    missing = [task for task in TASKS if task not in value]
    if missing and "default" not in value and not problems:
        problems.append(Problem((), f"nothing for {', '.join(missing)}; add them, or default for all the others"))
    if problems:
        raise ProblemsError(problems)
    bands_of = {name: _read_bands(one, (name,)) for name, one in value.items()}
    return {task: bands_of[task] if task in bands_of else bands_of["default"] for task in TASKS}


def _read_bands(value: Any, path: tuple[str | int, ...]) -> _Bands:
    if not isinstance(value, list | tuple):
        return (_read_share(value, path),) * DIFFICULTY_BANDS
    if len(value) != DIFFICULTY_BANDS:
        raise ProblemsError(
            [Problem(path, f"{len(value)} numbers; write {DIFFICULTY_BANDS}, for the difficulties 0, 1/3, 2/3, 1")]
        )
    return tuple(_read_share(one, (*path, index)) for index, one in enumerate(value))


def _read_share(value: Any, path: tuple[str | int, ...]) -> Decimal:
    try:
        number = _read_number(value)
        if not 0 <= number <= 1:
            raise ValueError("not between 0 and 1")
    except ValueError as error:
        shown = json.dumps(value, default=str) if not isinstance(value, Decimal) else str(value)
        raise ProblemsError([Problem(path, f"{shown} is {error}; write a quality from 0 to 1")]) from None
    return number


def _read_threshold(value: Any) -> Decimal | Literal["never"]:
    if value == "never":
        return "never"
    number = _read_number(value)
    if not 0 <= number <= 1:
        raise ValueError("not between 0 and 1")
    return number


def _read_factors(kind: str, names: tuple[str, ...], value: dict[str, Any]) -> dict[str, Decimal]:
    """A table of factors from 0 to 1, by name or `default`."""
    _check_names(kind, names, value)
    return {name: _read_share(one, (name,)) for name, one in value.items()}


def _check_names(kind: str, names: tuple[str, ...], value: dict[str, Any]) -> None:
    problems = [
        Problem((name,), f"unknown {kind} {json.dumps(name)}; {suggest(name, (*names, 'default'))}")
        for name in value
        if name not in names and name != "default"
    ]
    if problems:
        raise ProblemsError(problems)


def _or_table(kind: Any, read: Callable[[Any, ValidatorFunctionWrapHandler], Any]) -> GetPydanticSchema:
    """A value of a kind, or else a table, which `read` takes care of."""
    return GetPydanticSchema(
        lambda _, handler: core_schema.no_info_wrap_validator_function(read, handler.generate_schema(kind))
    )


def _read_languages(value: Any, as_list: ValidatorFunctionWrapHandler) -> Any:
    return _read_factors("language", LANGUAGES[1:], value) if isinstance(value, dict) else as_list(value)


def _read_domains(value: Any) -> dict[str, _Bands]:
    """A table of what is added to quality, by name or `default`, as numbers for every size of the prompt."""
    if not isinstance(value, dict):
        raise ValueError("not a table")
    _check_names("domain", DOMAINS, value)
    return {name: _read_offsets(one, (name,)) for name, one in value.items()}


def _read_offsets(value: Any, path: Path) -> _Bands:
    if not isinstance(value, list | tuple):
        return (_read_offset(value, path),) * LENGTH_BANDS
    if len(value) != LENGTH_BANDS:
        sizes = ", ".join(str(tokens) for tokens in PROMPT_TOKENS)
        problem = f"{len(value)} numbers; write {LENGTH_BANDS}, for prompts of {sizes} tokens"
        raise ProblemsError([Problem(path, problem)])
    return tuple(_read_offset(one, (*path, index)) for index, one in enumerate(value))


def _read_offset(value: Any, path: Path) -> Decimal:
    try:
        number = _read_number(value)
        if not -1 <= number <= 1:
            raise ValueError("not between -1 and 1")
    except ValueError as error:
        raise ProblemsError([Problem(path, f"{_shown(value)} is {error}; write what is added to quality")]) from None
    return number


def _read_milliseconds(value: Any, as_number: ValidatorFunctionWrapHandler) -> Any:
    """One number, or a table of them by region and `default`."""
    if not isinstance(value, dict):
        return as_number(value)
    problems = [
        Problem((region,), f"{_shown(one)} is not a whole number from 0 to {MAX_TTFT_MS}; write milliseconds")
        for region, one in value.items()
        if type(one) is not int or not 0 <= one <= MAX_TTFT_MS
    ]
    if "default" not in value:
        problems.append(Problem((), "nothing for requests without a region; add default"))
    if problems:
        raise ProblemsError(problems)
    return dict(value)


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else json.dumps(value, default=str)


def _read_peak(value: Any) -> tuple[int, int]:
    """Hours such as 08:00-18:00 as minutes of the day."""
    match = _PEAK.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("not hours of the day")
    from_hour, from_minute, to_hour, to_minute = (int(part) for part in match.groups())
    begin, end = from_hour * 60 + from_minute, to_hour * 60 + to_minute
    if begin == end:
        raise ValueError("no time at all")
    return begin, end


_PEAK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")

_SHARE_SCHEMA: JsonSchemaValue = {"type": "number", "minimum": 0, "maximum": 1}
_BANDS_SCHEMA: JsonSchemaValue = {
    "anyOf": [
        _SHARE_SCHEMA,
        {"type": "array", "items": _SHARE_SCHEMA, "minItems": DIFFICULTY_BANDS, "maxItems": DIFFICULTY_BANDS},
    ]
}
_QUALITY_SCHEMA: JsonSchemaValue = {
    "anyOf": [
        *_BANDS_SCHEMA["anyOf"],
        {
            "type": "object",
            "properties": dict.fromkeys((*TASKS, "default"), _BANDS_SCHEMA),
            "additionalProperties": False,
        },
    ]
}
_PRICED_OR_FREE: JsonSchemaValue = {
    "anyOf": [
        {"required": ["price_in", "price_out"]},
        {"required": ["free"], "properties": {"free": {"const": True}}},
    ]
}


def _factors_schema(names: tuple[str, ...]) -> JsonSchemaValue:
    properties = dict.fromkeys((*names, "default"), _SHARE_SCHEMA)
    return {"type": "object", "properties": properties, "additionalProperties": False}


_LANGUAGES_SCHEMA: JsonSchemaValue = {
    "anyOf": [
        {"type": "array", "items": {"type": "string", "enum": list(LANGUAGES[1:])}, "minItems": 1},
        _factors_schema(LANGUAGES[1:]),
    ]
}
_OFFSET_SCHEMA: JsonSchemaValue = {"type": "number", "minimum": -1, "maximum": 1}
_OFFSETS_SCHEMA: JsonSchemaValue = {
    "anyOf": [
        _OFFSET_SCHEMA,
        {"type": "array", "items": _OFFSET_SCHEMA, "minItems": LENGTH_BANDS, "maxItems": LENGTH_BANDS},
    ]
}
_DOMAINS_SCHEMA: JsonSchemaValue = {
    "type": "object",
    "properties": dict.fromkeys((*DOMAINS, "default"), _OFFSETS_SCHEMA),
    "additionalProperties": False,
}
_MILLISECONDS_SCHEMA: JsonSchemaValue = {"type": "integer", "minimum": 0, "maximum": MAX_TTFT_MS}
_BY_REGION_SCHEMA: JsonSchemaValue = {
    "anyOf": [
        _MILLISECONDS_SCHEMA,
        {"type": "object", "required": ["default"], "additionalProperties": _MILLISECONDS_SCHEMA},
    ]
}

Milliseconds = Annotated[int, Field(strict=True, ge=0, le=MAX_TTFT_MS)]
Wait = Annotated[int, Field(strict=True, gt=0, le=MAX_WAIT_MS)]
ByRegion = Annotated[
    int | dict[str, int], _or_table(Milliseconds, _read_milliseconds), WithJsonSchema(_BY_REGION_SCHEMA)
]
Languages = Annotated[
    tuple[str, ...] | dict[str, Decimal],
    _or_table(Annotated[tuple[Language, ...], Field(min_length=1)], _read_languages),
    WithJsonSchema(_LANGUAGES_SCHEMA),
]
Domains = Annotated[dict[str, _Bands], PlainValidator(_read_domains), WithJsonSchema(_DOMAINS_SCHEMA)]
Peak = Annotated[
    tuple[int, int],
    PlainValidator(_read_peak),
    WithJsonSchema({"type": "string", "pattern": f"^{_PEAK.pattern}$"}),
]
Quality = Annotated[dict[str, _Bands], PlainValidator(_read_quality), WithJsonSchema(_QUALITY_SCHEMA)]
Threshold = Annotated[
    Decimal | Literal["never"],
    PlainValidator(_read_threshold),
    WithJsonSchema({"anyOf": [_SHARE_SCHEMA, {"const": "never"}]}),
]


class _Table(BaseModel):
    """A table of the file: it never changes, and holds nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# The descriptions below stand in the schema for editors, and after "write" in errors.


class EndpointConfig(_Table):
    """Where and how a model is called. Only the proxy reads it; a decision needs none of it."""

    base_url: str = Field(pattern=r"^https?://[^\s]+$", description="the URL of an OpenAI-compatible API")
    api_key_env: str | None = Field(
        default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="the environment variable that holds the API key"
    )
    model: str | None = Field(
        default=None, min_length=1, description="what the model is called there; without it, the name of its table"
    )
    api: tuple[Literal["chat", "responses", "messages"], ...] = Field(
        default=("chat",),
        min_length=1,
        description='a list of the APIs that it speaks: "chat", "responses", "messages"',
    )
    resume: Literal["ask", "prefill"] = Field(
        default="ask",
        description='how it is made to go on with an answer that another model began: "ask", by an instruction after'
        ' the beginning, or "prefill", where an API goes on from the last message by itself',
    )
    logprobs: Flag = Field(
        default=False, description="true to ask it for log-probabilities, which low_confidence of the monitor reads"
    )


class ModelConfig(_Table):
    """One model: what it costs, what it can do, how good and how fast it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_PRICED_OR_FREE)

    provider: Name = Field(description="who serves the model; fallbacks go to other providers first")
    price_in: Price | None = Field(default=None, description="the price in USD per million input tokens")
    price_out: Price | None = Field(default=None, description="the price in USD per million output tokens")
    price_cached_in: Price | None = Field(
        default=None,
        description="the price in USD per million input tokens that are in its prompt cache; without it, price_in",
    )
    free: Flag = Field(
        default=False, description="true for a model that costs nothing, such as one of your own, in place of prices"
    )
    example: Flag = Field(default=False, description="true when the prices are examples, not quotes")
    context: Count = Field(description="the context window in tokens, input and output together")
    max_output: Count | None = Field(
        default=None, description="the longest answer in tokens; without it, the context window"
    )
    abilities: tuple[Ability, ...] = Field(default=(), description=f"a list of what it can do: {', '.join(ABILITIES)}")
    live_retrieval: Flag = Field(default=False, description="true when the model searches for fresh facts by itself")
    knowledge_cutoff: str | None = Field(
        default=None, pattern=r"^\d{4}-(0[1-9]|1[0-2])$", description='the last month it knows of, such as "2024-06"'
    )
    languages: Languages | None = Field(
        default=None,
        description="a list of language codes it is good at, or a table of codes and default with what its quality is"
        " multiplied with, 0 to 1; without it, all languages",
    )
    domains: Domains = Field(
        default={},
        description="a table of domains and default with what is added to its quality, -1 to 1: a number, or four for"
        " prompts of 16, 64, 256 and 1024 tokens",
    )
    regions: tuple[Name, ...] = Field(
        default=(), description="a list of the regions, out of policy.regions, that it is served in"
    )
    ttft_ms: ByRegion = Field(
        description="the usual time to the first token, in milliseconds: a number, or a table by region and default"
    )
    shift_to: str | None = Field(
        default=None, description="the model that takes what this one is too slow for; without it, the next best"
    )
    quality: Quality = Field(
        description="the share of answers that are right, from 0 to 1: a number, four numbers for the difficulties"
        " 0, 1/3, 2/3 and 1, or a table of such by task and default"
    )
    endpoint: EndpointConfig | None = Field(
        default=None, description="a table with base_url, api_key_env, and perhaps model, for the proxy"
    )

    @property
    def picodollars_per_token(self) -> tuple[int, int]:
        """The prices of an input token and of an output token."""
        return price_per_token(self.price_in or Decimal(0)), price_per_token(self.price_out or Decimal(0))

    @property
    def usual_ttft_ms(self) -> int:
        """The usual time to the first token for requests that name no region."""
        return _in_region(self.ttft_ms, None)

    def ttft_in(self, region: str | None) -> int:
        """The usual time to the first token in a region, in milliseconds."""
        return _in_region(self.ttft_ms, region)

    def offsets_in(self, domain: str) -> tuple[Decimal, ...]:
        """What is added to the quality in a domain, at each of PROMPT_TOKENS."""
        nothing = (Decimal(0),) * LENGTH_BANDS
        return self.domains.get(domain, self.domains.get("default", nothing))

    def cost(self, input_tokens: int, output_tokens: int) -> int:
        """The price of an answer in picodollars."""
        price_in, price_out = self.picodollars_per_token
        return price_in * input_tokens + price_out * output_tokens

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Check what takes two keys to see."""
        problems = list(self._find_price_problems())
        if self.max_output is not None and self.max_output > self.context:
            problem = f"{self.max_output} is more than context = {self.context}; write the longest answer in tokens"
            problems.append(Problem(("max_output",), problem))
        for key in ("abilities", "languages", "regions"):
            problems += _find_repeated(tuple(getattr(self, key) or ()), (key,))
        if problems:
            raise ProblemsError(problems)
        return self

    def _find_price_problems(self) -> Iterator[Problem]:
        """A price that is missing or 0 never means free, and a free model has none."""
        for key, side in (("price_in", "input"), ("price_out", "output")):
            price = getattr(self, key)
            if self.free and price:
                yield Problem((key,), f"{price} contradicts free = true; remove one of them")
            elif not self.free and not price:
                found = "missing" if price is None else "0"
                yield Problem((key,), f"{found}; write the price in USD per million {side} tokens, or free = true")
        if self.price_cached_in is not None and self.price_cached_in > (self.price_in or 0):
            problem = f"{self.price_cached_in} is more than price_in; write what input tokens from the cache cost"
            yield Problem(("price_cached_in",), problem)


def _in_region(value: int | dict[str, int], region: str | None) -> int:
    if isinstance(value, int):
        return value
    return value["default"] if region is None else value.get(region, value["default"])


class ProviderConfig(_Table):
    """A provider, as it is reached."""

    hop_ms: ByRegion = Field(
        default=0,
        description="the network time to it in milliseconds, which comes on top of ttft_ms: a number, or a table by"
        " region and default",
    )

    def hop_in(self, region: str | None) -> int:
        """The network time from a region, in milliseconds."""
        return _in_region(self.hop_ms, region)


class TenantConfig(_Table):
    """What a tenant may spend and use. The tenant `default` stands for every request of no other tenant."""

    daily_budget_usd: Annotated[Number, Field(gt=0, le=_MAX_BUDGET_USD)] | None = Field(
        default=None, description="what it may spend from midnight to midnight UTC, in USD; without it, any amount"
    )
    models: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="a list of the models that it may use; without it, all models"
    )
    requests_per_minute: Annotated[int, Field(strict=True, gt=0, le=_MAX_REQUESTS_PER_MINUTE)] | None = Field(
        default=None, description="how many requests the proxy takes from it; without it, any number"
    )
    key_sha256: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = Field(
        default=(),
        description="a list of the SHA-256 hashes, in 64 hexadecimal digits, of the API keys that its clients send to"
        " the proxy",
    )


class TierConfig(_Table):
    """What counts for the users of a tier."""

    objective: Objective = Field(description=f"one of {', '.join(CHOOSABLE_OBJECTIVES)}")


class SafetyConfig(_Table):
    """From which scores on a request goes to some models only."""

    harm_from: Score | None = Field(
        default=None, description="a score of harm from 0 to 1, from which only models with guarded may answer"
    )
    jailbreak_from: Score | None = Field(
        default=None, description="a score of jailbreak from 0 to 1, from which only models with guarded may answer"
    )
    pii_from: Score | None = Field(
        default=None, description="a score of personal data from 0 to 1, from which only models with private may answer"
    )


class ShiftingConfig(_Table):
    """When a share of a slow model's requests goes elsewhere."""

    above_ms: Annotated[int, Field(strict=True, gt=0, le=MAX_SHIFT_MS)] = Field(
        description="the 95th percentile of the time to the first token, in milliseconds, above which shifting begins"
    )
    back_ms: Annotated[int, Field(strict=True, gt=0, le=MAX_SHIFT_MS)] | None = Field(
        default=None, description="the percentile below which it ends, less than above_ms; without it, 80% of that"
    )
    share: Annotated[Number, Field(gt=0, le=1)] = Field(
        default=Decimal("0.2"), description="the share of the requests that goes elsewhere, from 0 to 1"
    )
    dwell_s: Seconds = Field(default=60, description="the seconds that lie at least between two changes")
    peak: Peak | None = Field(
        default=None,
        description='the hours of the day, by UTC, in which it is done, such as "08:00-18:00"; always without',
    )

    @property
    def end_ms(self) -> int:
        """The percentile below which shifting ends."""
        return self.back_ms or max(1, int(self.above_ms * _BACK_OF_ABOVE))


class HealthConfig(_Table):
    """How long measurements count, and when a model is left alone."""

    half_life_s: Seconds = Field(default=60, description="the seconds after which a measurement counts half")
    stale_s: Seconds = Field(default=600, description="the seconds without news after which nothing measured counts")
    trip_failures: Annotated[int, Field(strict=True, gt=0, le=255)] = Field(
        default=5, description="the failures in a row that open the circuit: the model gets no requests"
    )
    trip_rate: Score = Field(
        default=Decimal("0.5"), description="the share of failures, from 0 to 1, that opens the circuit"
    )
    open_s: Seconds = Field(
        default=10, description="the seconds that it stays open at first; twice as long each time a probe fails"
    )
    probe_share: Score = Field(
        default=Decimal("0.05"), description="the share of requests, from 0 to 1, that probe the model afterwards"
    )
    cooldown_s: Seconds = Field(
        default=5, description="the seconds to wait after a rate limit, where the provider does not say"
    )


class SessionConfig(_Table):
    """How long the proxy works on a request, and how often it tries."""

    first_token_ms: Wait = Field(
        default=20_000,
        description="the milliseconds that a first token is waited for at most; where another model is left, three"
        " times what is usual for the endpoint",
    )
    stall_ms: Wait = Field(default=10_000, description="the milliseconds between two chunks after which a call is lost")
    total_ms: Wait = Field(default=300_000, description="the milliseconds that a request may take in all")
    backoff_ms: Milliseconds = Field(
        default=250, description="the milliseconds before a model is called again; twice as long each time"
    )
    attempts: Annotated[int, Field(strict=True, ge=1, le=10)] = Field(
        default=2, description="how often one model is called at most, from 1 to 10"
    )


class LevelConfig(_Table):
    """How closely an answer is watched while it is written. What is left out is not looked for."""

    hold_back_tokens: Annotated[int, Field(strict=True, ge=0, le=RECENT_CHUNKS)] = Field(
        default=0,
        description=f"how many tokens the client reads behind the model, 0 to {RECENT_CHUNKS}: as long as nothing was"
        " shown, a switch is invisible",
    )
    hold_back_ms: Milliseconds = Field(
        default=1_000, description="the milliseconds after which a token is shown in any case"
    )
    window_tokens: Annotated[int, Field(strict=True, ge=4, le=MAX_WINDOW_TOKENS)] = Field(
        default=24, description=f"how many tokens low_confidence is judged by, 4 to {MAX_WINDOW_TOKENS}"
    )
    low_confidence: Score | None = Field(
        default=None,
        description="the mean probability of the tokens in the window, 0 to 1, below which another model takes over;"
        " needs an upstream that gives log-probabilities",
    )
    repetition: Annotated[int, Field(strict=True, ge=2, le=100)] | None = Field(
        default=None, description="how often the same words may come in a row before another model takes over, 2 to 100"
    )
    refusal: Flag = Field(default=False, description="true to ask another model when one refuses")
    language_drift: Flag = Field(default=False, description="true to ask another when one leaves the user's language")
    broken_json: Flag = Field(default=False, description="true to ask another when JSON was asked for and is broken")
    stale_knowledge: Flag = Field(
        default=False, description="true to ask one with live_retrieval when a model says that its knowledge is old"
    )


DEFAULT_LEVELS = {
    "off": LevelConfig(),
    "normal": LevelConfig(hold_back_tokens=8, hold_back_ms=400, repetition=4, broken_json=True, stale_knowledge=True),
    "strict": LevelConfig(
        hold_back_tokens=32,
        hold_back_ms=2_000,
        low_confidence=Decimal("0.35"),
        repetition=3,
        refusal=True,
        language_drift=True,
        broken_json=True,
        stale_knowledge=True,
    ),
}
"""The levels that are there without being written."""


class MonitorConfig(_Table):
    """Which answers are watched, and how closely: by domain, else by task, else by cluster, else the default."""

    default: str = Field(default="normal", description="the level of all other requests")
    domains: dict[Domain, str] = Field(
        default={"health": "strict", "economics": "strict", "business": "strict", "law": "strict"},
        description="a table of domains and their levels",
    )
    tasks: dict[Task, str] = Field(default={"chat": "off"}, description="a table of tasks and their levels")
    clusters: dict[Cluster, str] = Field(default={}, description="a table of clusters and their levels")
    levels: dict[Name, LevelConfig] = Field(
        default={},
        max_length=MAX_LEVELS - len(DEFAULT_LEVELS),
        description="tables such as [monitor.levels.strict]: other thresholds for a level, or a level of your own",
    )

    @property
    def all_levels(self) -> dict[str, LevelConfig]:
        """The levels by name, those of the file in place of the ones that are there anyway."""
        return {**DEFAULT_LEVELS, **self.levels}

    def level_of(self, task: str, domain: str) -> str:
        """The level of an answer to a task in a domain."""
        cluster = CLUSTERS[CLUSTER_OF_TASK[TASKS.index(task)]]
        by_task = self.tasks.get(task, self.clusters.get(cluster, self.default))
        return self.domains.get(domain, by_task)


class ServerConfig(_Table):
    """What the proxy reads of a request beside its body, and what it writes down."""

    region_header: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9-]+$",
        description="the header, in small letters, in which the platform names the place of a client, such as"
        ' "fly-region" or "cf-ipcountry"',
    )
    regions: dict[str, str] = Field(
        default={},
        description="a table of what region_header may hold and the region, out of policy.regions, it stands for",
    )
    log_prompts: Flag = Field(
        default=False, description="true to write the text of prompts and answers to the log, at the level debug"
    )


class ClusterConfig(_Table):
    """The models that a cluster of tasks prefers."""

    chain: tuple[str, ...] = Field(
        min_length=1,
        max_length=CHAIN_LENGTH,
        description=f"a list of 1 to {CHAIN_LENGTH} models, the first choice first",
    )


class ObjectiveConfig(_Table):
    """What counts, in money: the two prices by which models are compared. What is left out keeps its default."""

    answer_value_usd: Annotated[Number, Field(ge=0, le=MAX_ANSWER_VALUE_USD)] | None = Field(
        default=None, description="what a right answer is worth, in USD"
    )
    wait_usd_per_second: Annotated[Number, Field(ge=0, le=MAX_WAIT_USD_PER_SECOND)] | None = Field(
        default=None, description="what a second of waiting for the first token costs, in USD"
    )


DEFAULT_OBJECTIVES = {
    "cost": (Decimal("0.01"), Decimal(0)),
    "balanced": (Decimal(1), Decimal("0.02")),
    "quality": (Decimal(10), Decimal("0.02")),
    "latency": (Decimal(1), Decimal(1)),
}
"""By objective: what a right answer is worth in USD, and what a second of waiting costs."""


class PolicyConfig(_Table):
    """The rules that hold for every request."""

    default_model: str | None = Field(
        default=None, description="the model for requests that the classifier is unsure of"
    )
    objective: Objective = Field(default="balanced", description=f"one of {', '.join(CHOOSABLE_OBJECTIVES)}")
    abstain_below: Share | None = Field(
        default=None,
        description="a confidence from 0 to 1, below which default_model answers; without it, the classifier's own",
    )
    time_sensitive_from: Threshold | None = Field(
        default=None,
        description='a score from 0 to 1, from which only models with live_retrieval may answer, or "never";'
        " without it, 0.5 if there is such a model",
    )
    difficulty_cap: Share = Field(
        default=Decimal(1), description="a difficulty from 0 to 1: the most that the text of a prompt can claim"
    )
    difficulty_per_turn: Share = Field(
        default=Decimal(0), description="a difficulty from 0 to 1 that each earlier turn of the user adds"
    )
    target_saving: Score | None = Field(
        default=None,
        description="a share from 0 to 1 of what the best model for a request costs: the best model that saves it"
        " answers requests that name no objective; not together with target_quality",
    )
    target_quality: Score | None = Field(
        default=None,
        description="a share from 0 to 1 of the best quality to be had: the cheapest model that reaches it answers"
        " requests that name no objective",
    )
    regions: tuple[Name, ...] = Field(
        default=(),
        max_length=MAX_REGIONS,
        description=f"a list of at most {MAX_REGIONS} regions that requests and models name",
    )
    strict_regions: tuple[Name, ...] = Field(
        default=(), description="a list of the regions whose requests must be served there"
    )


class Config(_Table):
    """A whole `router.toml`."""

    models: dict[Name, ModelConfig] = Field(
        min_length=1, max_length=MAX_MODELS, description=f"1 to {MAX_MODELS} tables such as [models.gpt-4o]"
    )
    clusters: dict[Cluster, ClusterConfig] = Field(
        default={}, description="tables such as [clusters.code], each with a chain"
    )
    objectives: dict[Objective, ObjectiveConfig] = Field(
        default={},
        description="tables such as [objectives.balanced], each with answer_value_usd and wait_usd_per_second",
    )
    providers: dict[Name, ProviderConfig] = Field(
        default={}, description="tables such as [providers.openai], each with hop_ms"
    )
    tenants: dict[Name, TenantConfig] = Field(
        default={},
        max_length=MAX_TENANTS,
        description=f"at most {MAX_TENANTS} tables such as [tenants.acme], with daily_budget_usd, models,"
        " requests_per_minute, key_sha256",
    )
    tiers: dict[Tier, TierConfig] = Field(default={}, description="tables such as [tiers.free], each with an objective")
    safety: SafetyConfig = Field(default=SafetyConfig(), description="a table of rules for what is harmful or personal")
    shifting: ShiftingConfig | None = Field(
        default=None, description="a table with above_ms, and perhaps back_ms, share, dwell_s and peak"
    )
    health: HealthConfig = Field(default=HealthConfig(), description="a table of how models are judged while they run")
    session: SessionConfig = Field(
        default=SessionConfig(), description="a table of how long the proxy works on a request"
    )
    monitor: MonitorConfig = Field(
        default=MonitorConfig(), description="a table of how answers are watched while they are written"
    )
    server: ServerConfig = Field(default=ServerConfig(), description="a table of what the proxy reads and writes")
    policy: PolicyConfig = Field(default=PolicyConfig(), description="a table of rules that hold for every request")

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Check what takes two tables to see."""
        problems = [*self._find_chain_problems(), *self._find_region_problems(), *self._find_name_problems()]
        problems += [*self._find_safety_problems(), *self._find_shifting_problems(), *self._find_level_problems()]
        policy = self.policy
        if policy.default_model is not None and policy.default_model not in self.models:
            problems.append(_unknown("model", policy.default_model, tuple(self.models), ("policy", "default_model")))
        if policy.target_saving is not None and policy.target_quality is not None:
            problem = "target_quality is there already, and only one of the two can decide; remove one"
            problems.append(Problem(("policy", "target_saving"), problem))
        if isinstance(policy.time_sensitive_from, Decimal) and not self.has_live_retrieval:
            problem = 'no model has live_retrieval = true, so nobody could answer; write "never", or remove it'
            problems.append(Problem(("policy", "time_sensitive_from"), problem))
        if problems:
            raise ProblemsError(problems)
        return self

    @property
    def has_live_retrieval(self) -> bool:
        """Whether any model searches for fresh facts."""
        return any(model.live_retrieval for model in self.models.values())

    @property
    def time_sensitive_from(self) -> Decimal | None:
        """The recency score from which only live retrieval will do; None: never."""
        threshold = self.policy.time_sensitive_from
        if threshold is None:
            return DEFAULT_TIME_SENSITIVE_FROM if self.has_live_retrieval else None
        return threshold if isinstance(threshold, Decimal) else None

    def prices_of_objective(self, name: str) -> tuple[Decimal, Decimal]:
        """What a right answer is worth, and what a second of waiting costs, in USD, under an objective."""
        answer_value, wait = DEFAULT_OBJECTIVES[name]
        own = self.objectives.get(name, ObjectiveConfig())
        return (
            answer_value if own.answer_value_usd is None else own.answer_value_usd,
            wait if own.wait_usd_per_second is None else own.wait_usd_per_second,
        )

    def _find_chain_problems(self) -> Iterator[Problem]:
        for name, cluster in self.clusters.items():
            path = ("clusters", name, "chain")
            for index, model in enumerate(cluster.chain):
                if model not in self.models:
                    yield _unknown("model", model, tuple(self.models), (*path, index))
            yield from _find_repeated(cluster.chain, path)

    def _find_name_problems(self) -> Iterator[Problem]:
        providers = tuple(sorted({model.provider for model in self.models.values()}))
        for name in self.providers:
            if name not in providers:
                yield _unknown("provider", name, providers, ("providers", name))
        for name, model in self.models.items():
            path: Path = ("models", name, "shift_to")
            if model.shift_to == name:
                yield Problem(path, f"{json.dumps(name)} itself; name another model")
            elif model.shift_to is not None and model.shift_to not in self.models:
                yield _unknown("model", model.shift_to, tuple(self.models), path)
        for name, tenant in self.tenants.items():
            for index, model_name in enumerate(tenant.models or ()):
                if model_name not in self.models:
                    yield _unknown("model", model_name, tuple(self.models), ("tenants", name, "models", index))
            yield from _find_repeated(tenant.models or (), ("tenants", name, "models"))

    def _find_safety_problems(self) -> Iterator[Problem]:
        abilities = {ability for model in self.models.values() for ability in model.abilities}
        for key, ability in (("harm_from", "guarded"), ("jailbreak_from", "guarded"), ("pii_from", "private")):
            if getattr(self.safety, key) is not None and ability not in abilities:
                problem = f'no model has the ability "{ability}", so nobody could answer; add it to one, or remove this'
                yield Problem(("safety", key), problem)

    def _find_shifting_problems(self) -> Iterator[Problem]:
        rule = self.shifting
        if rule is not None and rule.back_ms is not None and rule.back_ms >= rule.above_ms:
            problem = (
                f"{rule.back_ms} is not less than above_ms = {rule.above_ms}; write a lower number of milliseconds"
            )
            yield Problem(("shifting", "back_ms"), problem)

    def _find_level_problems(self) -> Iterator[Problem]:
        known = tuple(self.monitor.all_levels)
        for kind in ("domains", "tasks", "clusters"):
            for name, level in getattr(self.monitor, kind).items():
                if level not in known:
                    yield _unknown("level", level, known, ("monitor", kind, name))
        if self.monitor.default not in known:
            yield _unknown("level", self.monitor.default, known, ("monitor", "default"))

    def _find_region_problems(self) -> Iterator[Problem]:
        known = self.policy.regions
        places: dict[Path, tuple[str, ...]] = {
            ("models", name, "regions"): model.regions for name, model in self.models.items()
        }
        places["policy", "strict_regions"] = self.policy.strict_regions
        for place, region in self.server.regions.items():
            if region not in known:
                yield _unknown("region", region, known, ("server", "regions", place), "list it in policy.regions")
        tables: dict[Path, int | dict[str, int]] = {
            ("models", name, "ttft_ms"): model.ttft_ms for name, model in self.models.items()
        }
        tables |= {("providers", name, "hop_ms"): provider.hop_ms for name, provider in self.providers.items()}
        for path, table in tables.items():
            for region in table if isinstance(table, dict) else ():
                if region not in (*known, "default"):
                    yield _unknown("region", region, known, (*path, region), "list it in policy.regions")
        for path, regions in places.items():
            for index, region in enumerate(regions):
                if region not in known:
                    yield _unknown("region", region, known, (*path, index), "list it in policy.regions")
        for key in ("regions", "strict_regions"):
            yield from _find_repeated(getattr(self.policy, key), ("policy", key))
        served = {region for model in self.models.values() for region in model.regions}
        for index, region in enumerate(self.policy.strict_regions):
            if region in known and region not in served:
                problem = f"no model is served in {json.dumps(region)}; add it to the regions of one"
                yield Problem(("policy", "strict_regions", index), problem)


def _find_repeated(values: tuple[str, ...], path: tuple[str | int, ...]) -> Iterator[Problem]:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield Problem((*path, index), f"{json.dumps(value)} is listed twice; remove one")


def _unknown(kind: str, name: str, known: tuple[str, ...], path: tuple[str | int, ...], otherwise: str = "") -> Problem:
    return Problem(path, f"unknown {kind} {json.dumps(name)}; {suggest(name, known, otherwise)}")
