"""What routing gains, on outcomes: files that say of every prompt which model answered it how well.

Two questions. *Many models* (llmrouter_mix): the policy's quality tables are calibrated on the train rows, the price of
quality is swept through the compiled module on the test rows, and its cost-quality curve stands beside those of other
routers that learned from the same rows. *Weak or strong* (routellm_mmlu_gsm8k, test rows only): how well the router's
scores order prompts by what the strong model gains; nothing is fitted to that file or to questions that stand in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.bench import commit
from edgewise.config import Config, load_config
from edgewise.config_models import ObjectiveConfig
from edgewise.engine import CoreModuleEngine, component_bytes, model_version
from edgewise.errors import EdgewiseError
from edgewise.money import PICODOLLARS_PER_DOLLAR
from edgewise.packing import pack_policy
from edgewise.request import Request
from edgewise_classifier.calibration import Signals, expected, fit, read_signals, tables_of, with_tables
from edgewise_classifier.data import read_jsonl, shingles
from edgewise_classifier.embeddings import Vectors, embed
from edgewise_classifier.outcomes_metrics import aiq, apgr, bootstrap, cost_of_quality, cpt, recovered

Array = npt.NDArray[Any]
Progress = Callable[[str], None]

ANSWER_VALUES = (0.0, *np.logspace(-6, 1, 71).tolist())
"""What a right answer is worth in USD, from nothing to more than any answer costs."""
NEIGHBOURS = (5, 10, 15, 25, 40, 60, 100, 150, 200)
FOLDS = 5
USUAL_NEIGHBOURS = 40
"""What RouterBench takes for its best k."""
WEAK, STRONG = "mixtral-8x7b-instruct", "gpt-4-1106-preview"
STAND_INS = ("Mixtral-8x7B-Instruct-v0.1", "Meta-Llama-3_1-70B-Instruct")
"""In mmlu_pro: the weak model itself, and one whose published score on MMLU is about the strong one's."""
SHIPPED = ("qwen2.5-7b", "gpt-4o")
"""The small and the frontier model of the default catalogue whose quality tables are taken as they are."""
CPT_SHARES = (0.5, 0.8)


@dataclass(frozen=True)
class OutcomeSet:
    """Prompts and the scores of models on them: rows x models, 0 to 1. `groups` are the benchmarks."""

    texts: list[str]
    groups: Array
    models: tuple[str, ...]
    scores: Array
    train: Array

    @classmethod
    def of(cls, rows: Sequence[dict[str, Any]], models: Sequence[str]) -> OutcomeSet:
        """From the rows of a file, for models that all of them know."""
        return cls(
            texts=[str(row["text"]) for row in rows],
            groups=np.array([str(row["category"]) for row in rows]),
            models=tuple(models),
            scores=np.array([[float(row["scores"][model]) for model in models] for row in rows]),
            train=np.array([row.get("split", "train") == "train" for row in rows]),
        )

    @property
    def requests(self) -> list[Request]:
        """The prompts as requests."""
        return [Request.parse({"text": text}) for text in self.texts]


@dataclass(frozen=True)
class Curve:
    """What a router would have paid and got: settings x prompts, USD and scores from 0 to 1."""

    costs: Array
    scores: Array

    @classmethod
    def of(cls, choices: Array, costs: Array, scores: Array) -> Curve:
        """From the models chosen, settings x prompts, and what each model costs and gets, prompts x models."""
        prompts = np.arange(len(scores))
        return cls(costs[prompts, choices], scores[prompts, choices])

    def points(self, rows: Array) -> tuple[Array, Array]:
        """The mean cost and score of every setting over some of the prompts."""
        return self.costs[:, rows].mean(1), self.scores[:, rows].mean(1)


def choices_by_value(qualities: Array, costs: Array) -> Array:
    """The models that are worth most at each of ANSWER_VALUES, by the qualities that a router expects."""
    return np.array([(qualities * value - costs).argmax(1) for value in ANSWER_VALUES])


def evaluate_outcomes(data: Path, progress: Progress = lambda _: None) -> dict[str, Any]:
    """All figures as JSON. Raises EdgewiseError where the folder holds no outcomes."""
    folder = data / "outcomes"
    if not (folder / "llmrouter_mix.jsonl").exists():
        raise EdgewiseError(f"{folder}: no outcome files; docs/data.md says what belongs there")
    return {
        "commit": commit(),
        "model_version": model_version(component_bytes()),
        "many_models": evaluate_many(folder, progress),
        "weak_or_strong": evaluate_pair(folder, progress),
    }


def catalogue(models: Sequence[str], prices: dict[str, Any], qualities: Sequence[float]) -> Config:
    """A configuration of these models in which only quality and price count, each as good at everything."""
    same = {"provider": "hosted", "context": 1_000_000, "ttft_ms": 0}
    tables = {
        model: {
            **same,
            "price_in": prices[model]["input_price"],
            "price_out": prices[model]["output_price"],
            "quality": round(float(quality), 3),
        }
        for model, quality in zip(models, qualities, strict=True)
    }
    return Config.model_validate({"models": tables, "policy": {"abstain_below": 0}})


def calibrated(config: Config, outcomes: OutcomeSet, rows: Array) -> Config:
    """The configuration with tables fitted to the scores; `rows` are the prompts' signals."""
    names = zip(outcomes.models, outcomes.scores.T, strict=True)
    models = {name: with_tables(config.models[name], fit(rows, scores, tables_of(config.models[name])))
              for name, scores in names}  # fmt: skip
    return config.model_copy(update={"models": models})


def expected_of(config: Config, models: Sequence[str], rows: Array) -> Array:
    """The qualities that the policy expects: prompts x models; all prompts are English."""
    return np.stack([expected(rows, np.ones(len(rows)), tables_of(config.models[name])) for name in models], 1)


def costs_of(config: Config, models: Sequence[str], signals: Signals) -> Array:
    """What each model's answer costs by the router's own estimate of its length: prompts x models, in USD."""
    return np.array(
        [[config.models[name].cost(one.input_tokens, one.output_tokens) / PICODOLLARS_PER_DOLLAR for name in models]
         for one in signals.decisions]
    )  # fmt: skip


def sweep(config: Config, models: Sequence[str], requests: Sequence[Request], progress: Progress) -> Array:
    """The models that the compiled module chooses at each of ANSWER_VALUES."""
    engine, choices = CoreModuleEngine(), np.zeros((len(ANSWER_VALUES), len(requests)), int)
    for setting, value in enumerate(ANSWER_VALUES):
        if setting % 10 == 0:
            progress(f"the module's choices: {setting} of {len(ANSWER_VALUES)} prices of quality")
        objective = ObjectiveConfig(answer_value_usd=Decimal(f"{value:.12f}"), wait_usd_per_second=Decimal(0))
        engine.load_policy(pack_policy(config.model_copy(update={"objectives": {"balanced": objective}})))
        choices[setting] = [models.index(engine.decide(request).model) for request in requests]
    return choices


def evaluate_many(folder: Path, progress: Progress) -> dict[str, Any]:
    """The routers on the test rows of llmrouter_mix."""
    raw = list(read_jsonl(folder / "llmrouter_mix.jsonl"))
    outcomes = OutcomeSet.of(raw, sorted(raw[0]["scores"]))
    prices = json.loads((folder / "model_prices.json").read_text(encoding="utf-8"))["llmrouter"]
    train, test = outcomes.train, ~outcomes.train
    learned = outcomes.scores[train]
    config = catalogue(outcomes.models, prices, learned.mean(0))
    progress(f"llmrouter_mix: {train.sum()} prompts to learn from, {test.sum()} to test on")
    signals = read_signals(config, outcomes.requests, progress)
    costs = costs_of(config, outcomes.models, signals)
    config = calibrated(config, OutcomeSet.of([row for row in raw if row["split"] == "train"], outcomes.models),
                        signals.rows[train])  # fmt: skip
    requests = [request for request, held_out in zip(outcomes.requests, test, strict=True) if held_out]
    curves = {
        "edgewise": Curve.of(sweep(config, outcomes.models, requests, progress), costs[test], outcomes.scores[test])
    }
    vectors = embed(outcomes.texts, progress)
    best_k = _best_neighbours(vectors[train], learned, costs[train])
    lengths = np.log([decision.input_tokens for decision in signals.decisions])
    rivals = {
        f"knn_minilm_{best_k}": _neighbours(vectors[train], learned, vectors[test], best_k),
        f"knn_minilm_{USUAL_NEIGHBOURS}": _neighbours(vectors[train], learned, vectors[test], USUAL_NEIGHBOURS),
        "length": _by_length(lengths[train], learned, lengths[test]),
        "knows_the_benchmark": _by_group(outcomes.groups[train], learned, outcomes.groups[test]),
        "oracle": outcomes.scores[test],
    }
    for name, qualities in rivals.items():
        choices = choices_by_value(qualities, costs[test])
        curves[name] = Curve.of(choices, costs[test], outcomes.scores[test])
    singles = np.repeat(np.arange(len(outcomes.models))[:, None], test.sum(), axis=1)
    curves["random_mix"] = Curve.of(singles, costs[test], outcomes.scores[test])
    best = int(learned.mean(0).argmax())
    setting = _setting_on_train(expected_of(config, outcomes.models, signals.rows[train]), costs[train], learned, best)
    return {
        "n_train": int(train.sum()),
        "n_test": int(test.sum()),
        "singles": _singles(outcomes.models, costs[test], outcomes.scores[test]),
        "best_single": outcomes.models[best],
        "neighbours": best_k,
        **_compare(curves, curves["random_mix"], best, f"knn_minilm_{best_k}"),
        "set_on_train": _at_setting(curves["edgewise"], curves["random_mix"], best, setting),
    }


def _singles(models: Sequence[str], costs: Array, scores: Array) -> dict[str, dict[str, float]]:
    return {
        model: {"cost_usd": float(costs[:, index].mean()), "quality": float(scores[:, index].mean())}
        for index, model in enumerate(models)
    }


def _compare(curves: dict[str, Curve], singles: Curve, best: int, rival: str) -> dict[str, Any]:
    """The figures of every curve with their intervals, the rows of a resample being the same for all of them."""
    size = singles.costs.shape[1]
    everything = np.arange(size)

    def area(curve: Curve, rows: Array) -> float:
        ends = singles.costs[:, rows].mean(1)
        return aiq(*curve.points(rows), float(ends.min()), float(ends.max()))

    def saving(curve: Curve, rows: Array) -> float:
        """How much less than the best single model its quality costs; 0 where it is not reached."""
        cost, score = (float(column[best]) for column in singles.points(rows))
        return max(0.0, 1 - cost_of_quality(*curve.points(rows), score) / cost)

    def gain(curve: Curve, rows: Array) -> float:
        return float(curve.points(rows)[1].max() - singles.points(rows)[1][best])

    measures = {"aiq": area, "saving_at_best_single": saving, "gain_over_best_single": gain}
    routers: dict[str, Any] = {}
    for name, curve in curves.items():
        figures: dict[str, Any] = {}
        for measure_name, measure in measures.items():
            figures[measure_name] = measure(curve, everything)
            figures[f"{measure_name}_interval"] = bootstrap(size, lambda rows, m=measure, c=curve: m(c, rows))  # type: ignore[misc]
        cost, score = curve.points(everything)
        figures["curve"] = [
            [float(x), float(y)] for x, y in sorted(set(zip(cost.tolist(), score.tolist(), strict=True)))
        ]
        routers[name] = figures
    ours = curves["edgewise"]
    differences = {
        name: {
            "aiq": area(ours, everything) - area(curves[name], everything),
            "interval": bootstrap(size, lambda rows, c=curves[name]: area(ours, rows) - area(c, rows)),  # type: ignore[misc]
        }
        for name in (rival, f"knn_minilm_{USUAL_NEIGHBOURS}", "random_mix", "oracle")
    }
    return {"routers": routers, "edgewise_less": differences}


def _setting_on_train(qualities: Array, costs: Array, scores: Array, best: int) -> int:
    """The cheapest setting that has the best single model's quality on the train rows."""
    curve = Curve.of(choices_by_value(qualities, costs), costs, scores)
    cost, score = curve.points(np.arange(len(scores)))
    enough = score >= scores[:, best].mean()
    return int(np.where(enough, cost, np.inf).argmin())


def _at_setting(curve: Curve, singles: Curve, best: int, setting: int) -> dict[str, Any]:
    def saving(rows: Array) -> float:
        return 1 - float(curve.costs[setting, rows].mean() / singles.costs[best, rows].mean())

    def gain(rows: Array) -> float:
        return float(curve.scores[setting, rows].mean() - singles.scores[best, rows].mean())

    size = curve.costs.shape[1]
    everything = np.arange(size)
    return {
        "answer_value_usd": ANSWER_VALUES[setting],
        "saving": saving(everything),
        "saving_interval": bootstrap(size, saving),
        "gain": gain(everything),
        "gain_interval": bootstrap(size, gain),
    }


def _neighbours(known: Vectors, scores: Array, asked: Vectors, k: int) -> Array:
    """The mean scores of the k nearest prompts by cosine: RouterBench's KNN router."""
    nearest = np.argpartition(-(asked @ known.T), k, axis=1)[:, :k]
    return np.asarray(scores[nearest].mean(1))


def _best_neighbours(vectors: Vectors, scores: Array, costs: Array) -> int:
    """The k with the highest AIQ in cross-validation on the train rows."""
    fold = np.random.default_rng(0).integers(0, FOLDS, len(scores))
    ends = costs.mean(0)

    def area(k: int) -> float:
        qualities = np.zeros_like(scores)
        for part in range(FOLDS):
            rest, held_out = fold != part, fold == part
            qualities[held_out] = _neighbours(vectors[rest], scores[rest], vectors[held_out], k)
        points = Curve.of(choices_by_value(qualities, costs), costs, scores).points(np.arange(len(scores)))
        return aiq(*points, float(ends.min()), float(ends.max()))

    return max(NEIGHBOURS, key=area)


def _by_length(known: Array, scores: Array, asked: Array, bins: int = 10) -> Array:
    """The mean scores of prompts that are about as long."""
    edges = np.quantile(known, np.arange(1, bins) / bins)
    return _by_group(np.digitize(known, edges), scores, np.digitize(asked, edges))


def _by_group(known: Array, scores: Array, asked: Array) -> Array:
    means = {group: scores[known == group].mean(0) for group in np.unique(known)}
    return np.array([means[group] for group in asked])


def evaluate_pair(folder: Path, progress: Progress) -> dict[str, Any]:
    """How the router's scores order the prompts of MMLU and GSM8K between the weak and the strong model."""
    raw = list(read_jsonl(folder / "routellm_mmlu_gsm8k.jsonl"))
    asked = OutcomeSet.of(raw, (WEAK, STRONG))
    seen = set().union(*(shingles(text) for text in asked.texts))
    known = OutcomeSet.of(
        [row for row in read_jsonl(folder / "mmlu_pro.jsonl")
         if not row["in_routellm_mmlu"] and seen.isdisjoint(shingles(str(row["text"])))],
        STAND_INS,
    )  # fmt: skip
    progress(f"weak or strong: {len(asked.texts)} prompts, {len(known.texts)} others to calibrate on")
    free = {name: {"input_price": 1, "output_price": 1} for name in STAND_INS}
    config = catalogue(STAND_INS, free, known.scores.mean(0))
    signals = read_signals(config, asked.requests, progress)
    learned = read_signals(config, known.requests, progress)
    gains = known.scores[:, 1] - known.scores[:, 0]
    texts = embed([*known.texts, *asked.texts], progress)
    near = _neighbours(texts[: len(gains)], gains[:, None], texts[len(gains) :], USUAL_NEIGHBOURS)
    scores = {
        "difficulty": np.array([decision.difficulty for decision in signals.decisions]),
        "shipped_tables": _lack(load_config(None), SHIPPED, signals.rows),
        "calibrated_tables": _lack(calibrated(config, known, learned.rows), STAND_INS, signals.rows),
        "length": np.array([decision.input_tokens for decision in signals.decisions]),
        "knn_minilm_40": near[:, 0],
        "oracle": asked.scores[:, 1] - asked.scores[:, 0],
    }
    math = np.char.startswith(asked.groups, "gsm8k")
    benchmarks = {"mmlu": np.nonzero(~math)[0], "gsm8k": np.nonzero(math)[0]}
    return {
        "weak": WEAK,
        "strong": STRONG,
        "stand_ins": list(STAND_INS),
        "n_calibrated": len(known.texts),
        "benchmarks": {
            benchmark: {
                "n": len(rows),
                "weak_quality": float(asked.scores[rows, 0].mean()),
                "strong_quality": float(asked.scores[rows, 1].mean()),
                "routers": {name: _pair_figures(score[rows], asked.scores[rows]) for name, score in scores.items()},
            }
            for benchmark, rows in benchmarks.items()
        },
    }


def _lack(config: Config, models: tuple[str, str], rows: Array) -> Array:
    """The share of the strong model's expected quality that the weak one lacks: what `target_quality` limits."""
    weak, strong = expected_of(config, models, rows).T
    return np.asarray(1 - weak / np.maximum(strong, 1e-9))


def _pair_figures(scores: Array, outcomes: Array) -> dict[str, Any]:
    weak, strong = outcomes[:, 0], outcomes[:, 1]
    shares, gap = recovered(scores, weak, strong)
    at = np.linspace(0, 1, 41)
    return {
        "apgr": apgr(scores, weak, strong),
        "apgr_interval": bootstrap(len(scores), lambda rows: apgr(scores[rows], weak[rows], strong[rows])),
        **{f"cpt_{round(share * 100)}": cpt(scores, weak, strong, share) for share in CPT_SHARES},
        "curve": [[float(x), float(y)] for x, y in zip(at, np.interp(at, shares, gap), strict=True)],
    }
