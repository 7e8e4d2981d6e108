"""Fits the `quality` and `domains` tables of a configuration to outcomes: how well models answered one's own prompts.

The policy's expected quality is linear in its tables: what it reads of each prompt (core/quality.py) is a row of a
regression, and each model's tables are the bounded least-squares fit to its scores. A penalty pulls every number
towards what the configuration said before, as if PRIOR_ROWS prompts had shown just that: where outcomes are few, little
changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.config import Config
from edgewise.config_models import ModelConfig
from edgewise.core.labels import DOMAIN_COUNT, DOMAINS, SCORE_ONE, TASK_COUNT, TASKS
from edgewise.core.layout import Scene
from edgewise.core.policy import DIFFICULTY_BANDS, FACTOR_ONE, LENGTH_BANDS
from edgewise.decision import Decision
from edgewise.engine import CoreModuleEngine
from edgewise.errors import EdgewiseError, RequestError
from edgewise.packing import pack_policy, unpack_policy
from edgewise.request import Request

PRIOR_ROWS = 10.0
"""Of 2, 5, 10 and 20 the best in cross-validation on the train rows of llmrouter_mix."""
FOLDS = 5

_QUALITIES = TASK_COUNT * DIFFICULTY_BANDS
_OFFSETS = DOMAIN_COUNT * LENGTH_BANDS
_DECIMALS = 3
_EVERY = 1_000

Array = npt.NDArray[Any]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """A prompt, and by model how good its answer was, from 0 to 1."""

    request: Request
    scores: Mapping[str, float]


def read_outcomes(path: Path) -> list[Outcome]:
    """Outcomes from JSON lines: a request (`text` or `messages`), and `scores`, a table of models and shares.

    Raises EdgewiseError, which names file and line, where a line is not one.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                found.append(parse_outcome(json.loads(line)))
            except (ValueError, RequestError) as error:
                raise EdgewiseError(f"{path}:{number}: {error}") from None
    if not found:
        raise EdgewiseError(f"{path}: no outcomes; write a line such as {_EXAMPLE}")
    return found


_EXAMPLE = '{"text": "...", "scores": {"gpt-4o": 1, "qwen2.5-7b": 0}}'


def parse_outcome(raw: Any) -> Outcome:
    """One outcome. Scores that are null are left out. Raises ValueError or RequestError."""
    scores = raw.get("scores") if isinstance(raw, dict) else None
    if not isinstance(scores, dict) or not scores:
        raise ValueError(f"no scores; write a line such as {_EXAMPLE}")
    for model, score in scores.items():
        if score is not None and (isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1):
            raise ValueError(f"scores.{model}: {json.dumps(score)} is not a number from 0 to 1")
    prompt = {key: raw[key] for key in ("text", "messages", "max_tokens") if key in raw}
    known = {model: float(score) for model, score in scores.items() if score is not None}
    return Outcome(Request.parse(prompt), known)


@dataclass(frozen=True)
class Signals:
    """What the policy reads of prompts before it looks at any model.

    `rows`: prompts x numbers, the weight of each number of `quality`, then of each number of `domains`. `languages`: by
    index into LANGUAGES, -1 where the policy is not sure. `decisions` say how long prompts and answers are.
    """

    rows: Array
    languages: Array
    decisions: list[Decision]


def read_signals(config: Config, requests: Sequence[Request], progress: Progress = lambda _: None) -> Signals:
    """What the compiled core reads of prompts under the policy of a configuration, in their order."""
    engine = CoreModuleEngine()
    engine.load_policy(pack_policy(config))
    rows, decisions = np.zeros((len(requests), _QUALITIES + _OFFSETS)), []
    languages = np.zeros(len(requests), int)
    for index, request in enumerate(requests):
        if index % _EVERY == 0 and index:
            progress(f"reading prompts: {index} of {len(requests)}")
        address = engine.call(engine.place(request))
        scene = engine.scene(address)
        _write_row(scene, rows[index])
        languages[index] = scene.language
        decisions.append(engine.read(address))
    return Signals(rows, languages, decisions)


def _write_row(scene: Scene, row: Array) -> None:
    harder, longer = scene.part / SCORE_ONE, scene.length_part / SCORE_ONE
    for index in range(scene.task_count):
        at, share = scene.tasks[index], scene.weights[index] / scene.weight
        row[at] += share * (1 - harder)
        row[at + 1] += share * harder
    for index in range(scene.domain_count):
        at, share = _QUALITIES + scene.domains[index], scene.domain_weights[index] / scene.domain_weight
        row[at] += share * (1 - longer)
        row[at + 1] += share * longer


def tables_of(model: ModelConfig) -> Array:
    """The numbers of `quality`, then those of `domains`, in the order of a row."""
    qualities = [float(one) for task in TASKS for one in model.quality[task]]
    offsets = [float(one) for domain in DOMAINS for one in model.offsets_in(domain)]
    return np.array([*qualities, *offsets])


def expected(rows: Array, factors: Array, tables: Array) -> Array:
    """The quality that the policy expects of one model: by its tables, times its factors for the languages."""
    return np.asarray(np.clip(rows @ tables, 0, 1) * factors)


def fit(rows: Array, scores: Array, prior: Array) -> Array:
    """The tables that fit the scores of one model best: least squares within bounds, pulled towards `prior`."""
    from scipy.optimize import lsq_linear  # type: ignore[import-untyped]

    penalized = rows.T @ rows + PRIOR_ROWS * np.eye(rows.shape[1])
    root = np.linalg.cholesky(penalized).T
    target = np.linalg.solve(root.T, rows.T @ scores + PRIOR_ROWS * prior)
    lowest = np.concatenate([np.zeros(_QUALITIES), -np.ones(_OFFSETS)])
    return np.asarray(np.round(lsq_linear(root, target, (lowest, 1.0)).x, _DECIMALS))


def with_tables(model: ModelConfig, tables: Array) -> ModelConfig:
    """The model with other tables; domains in which nothing is added are left out."""
    qualities = tables[:_QUALITIES].reshape(TASK_COUNT, DIFFICULTY_BANDS)
    offsets = tables[_QUALITIES:].reshape(DOMAIN_COUNT, LENGTH_BANDS)
    fields = model.model_dump(exclude_unset=True)
    fields["quality"] = {task: _numbers(row) for task, row in zip(TASKS, qualities, strict=True)}
    fields["domains"] = {domain: _numbers(row) for domain, row in zip(DOMAINS, offsets, strict=True) if row.any()}
    return ModelConfig.model_validate(fields)


def _numbers(row: Array) -> list[float]:
    return [round(float(value), _DECIMALS) + 0.0 for value in row]


@dataclass(frozen=True)
class Calibration:
    """New tables for a model. `error_before` and `error_after`: the mean squared error of the expected quality with the
    tables of the configuration, and with tables fitted to the other four fifths of the prompts."""

    model: str
    prompts: int
    error_before: float
    error_after: float
    config: ModelConfig

    def to_json(self) -> dict[str, Any]:
        """The tables and the errors as JSON."""
        tables = {"quality": self.config.quality, "domains": self.config.domains}
        numbers = {key: {name: [float(n) for n in row] for name, row in table.items()} for key, table in tables.items()}
        return {
            "prompts": self.prompts,
            "error_before": round(self.error_before, 4),
            "error_after": round(self.error_after, 4),
            **numbers,
        }


def calibrate(config: Config, outcomes: Sequence[Outcome], progress: Progress = lambda _: None) -> list[Calibration]:
    """New tables for every model that the outcomes name, by name.

    Raises EdgewiseError where they name a model that the configuration does not know.
    """
    names = sorted({model for outcome in outcomes for model in outcome.scores})
    for name in names:
        if name not in config.models:
            raise EdgewiseError(f"the outcomes name the model {name}, which the configuration does not know")
    signals = read_signals(config, [outcome.request for outcome in outcomes], progress)
    return [_calibrate_model(config, name, outcomes, signals) for name in names]


def _calibrate_model(config: Config, name: str, outcomes: Sequence[Outcome], signals: Signals) -> Calibration:
    model = config.models[name]
    known = np.array([name in outcome.scores for outcome in outcomes])
    scores = np.array([outcome.scores[name] for outcome in outcomes if name in outcome.scores])
    rows, factors = signals.rows[known], language_factors(config, name, signals.languages[known])
    prior, weighed = tables_of(model), rows * factors[:, None]
    fold = np.arange(len(scores)) % FOLDS
    held_out = np.zeros(len(scores))
    for part in range(FOLDS):
        tables = fit(weighed[fold != part], scores[fold != part], prior)
        held_out[fold == part] = expected(rows[fold == part], factors[fold == part], tables)
    return Calibration(
        model=name,
        prompts=len(scores),
        error_before=float(np.mean((expected(rows, factors, prior) - scores) ** 2)),
        error_after=float(np.mean((held_out - scores) ** 2)),
        config=with_tables(model, fit(weighed, scores, prior)),
    )


def language_factors(config: Config, name: str, languages: Array) -> Array:
    """What a model's quality is multiplied with in each of these languages; 1 where the language is not sure."""
    _, models, _ = unpack_policy(pack_policy(config))
    factors = np.array([*models[sorted(config.models).index(name)].languages, FACTOR_ONE]) / FACTOR_ONE
    return np.asarray(factors[languages])


def to_toml(calibrations: Sequence[Calibration]) -> str:
    """The new tables as they stand in a router.toml."""
    return "\n".join(_model_toml(one.model, one.config) for one in calibrations)


def _model_toml(name: str, model: ModelConfig) -> str:
    head = name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else json.dumps(name)
    lines = [f"[models.{head}.quality]", *_table_lines(model.quality)]
    if model.domains:
        lines += ["", f"[models.{head}.domains]", *_table_lines(model.domains)]
    return "\n".join([*lines, ""])


def _table_lines(table: Mapping[str, Sequence[Decimal]]) -> list[str]:
    return [f"{name} = [{', '.join(str(number) for number in numbers)}]" for name, numbers in table.items()]
