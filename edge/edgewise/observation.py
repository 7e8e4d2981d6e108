"""Observations: what callers report about requests that went to a model."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgewise.core.endpoints import OUTCOMES
from edgewise.core.layout import Observation as ObservationRecord
from edgewise.errors import RequestError
from edgewise.money import PICODOLLARS_PER_DOLLAR
from edgewise.request import Integer, Number, Text, explain

Outcome = Literal["ok", "error", "timeout", "rate_limited"]

_MAX = 2**31 - 1


class Observation(BaseModel):
    """How one request to a model went. Only `model` is required; a number 0 stands for "not said".

    `ttft_ms`: how long the first token took, or how long it was waited for in vain. `retry_after_ms`: how long a
    provider that limits the rate asked to wait. `cost_usd` counts into the tenant's day. `at_ms`: when it ended, Unix
    time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Text = Field(min_length=1)
    outcome: Outcome = "ok"
    region: Text = ""
    tenant: Text = ""
    ttft_ms: Integer = Field(default=0, ge=0, le=_MAX)
    tokens_per_s: Integer = Field(default=0, ge=0, le=_MAX)
    retry_after_ms: Integer = Field(default=0, ge=0, le=_MAX)
    cost_usd: Number = Field(default=0.0, ge=0.0, le=1e6, allow_inf_nan=False)
    at_ms: Integer = Field(default=0, ge=0, le=2**53)

    @property
    def cost(self) -> int:
        """The cost in picodollars."""
        return max(round(self.cost_usd * PICODOLLARS_PER_DOLLAR), 1 if self.cost_usd > 0 else 0)

    @classmethod
    def parse(cls, data: Any) -> Self:
        """The observation that a JSON object stands for. Raises RequestError naming the first field that is wrong."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise RequestError(explain(error, _ADVICE)) from None


_ADVICE = {
    "missing": "missing; name the model that was called",
    "extra_forbidden": f"unknown; the fields of an observation are {', '.join(Observation.model_fields)}",
    "string_too_short": "empty; name the model that was called",
}


def pack_observation(observation: Observation, base: int) -> bytes:
    """The observation as the core reads it at address `base`: the record, then its names."""
    record, names = ObservationRecord(), b""
    places = ((record.model, observation.model), (record.region, observation.region))
    for span, name in (*places, (record.tenant, observation.tenant)):
        span.start, span.length = base + ObservationRecord.size + len(names), len(name.encode())
        names += name.encode()
    record.outcome = OUTCOMES.index(observation.outcome)
    record.ttft_ms = observation.ttft_ms
    record.tokens_per_s = observation.tokens_per_s
    record.retry_after_ms = observation.retry_after_ms
    record.cost = observation.cost
    record.at_ms = observation.at_ms
    return record.to_bytes() + names
