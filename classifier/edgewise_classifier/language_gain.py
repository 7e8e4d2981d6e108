"""What the language signal brings to routing: the same prompts routed with it, and with a policy that is blind to it.

Blind is a policy in which every model is said to know every language. What an answer is worth is judged with the true
language either way: by the core's own expected quality, which is nothing where the model does not know the language.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgewise.config import Config, load_config
from edgewise.core.labels import DOMAINS, SCORE_ONE
from edgewise.core.language import LANGUAGES
from edgewise.core.layout import Memory
from edgewise.core.quality import expected_quality, read_quality_signals
from edgewise.decision import Decision
from edgewise.money import to_dollars
from edgewise.packing import pack_policy, unpack_policy
from edgewise.request import Request
from edgewise.router import Router
from edgewise_classifier.data import Row
from edgewise_classifier.heads import SOURCE_DRAWS, Figures, summarize
from edgewise_classifier.metrics import Array

Decide = Callable[[Request], Decision]


@dataclass
class _Routed:
    """What became of each prompt, one list entry a prompt."""

    knows: list[float] = field(default_factory=list)
    quality: list[float] = field(default_factory=list)
    cost_usd: list[float] = field(default_factory=list)


def catalogues() -> dict[str, Config]:
    """The configurations that the gain is measured on, by what a reader calls them.

    Most catalogues list languages for small models only. In the second, the models that cost less than the mean know
    English alone, as many small models in use do.
    """
    default = load_config()
    prices = {name: model.cost(1, 1) for name, model in default.models.items()}
    mean = sum(prices.values()) / len(prices)
    english = {
        name: ("en",) for name, price in prices.items() if price < mean and not default.models[name].live_retrieval
    }
    return {"default catalogue": default, "cheaper models know English only": _with_languages(default, english)}


def _with_languages(config: Config, languages: Mapping[str, tuple[str, ...] | None]) -> Config:
    models = {
        name: model.model_copy(update={"languages": languages[name]}) if name in languages else model
        for name, model in config.models.items()
    }
    return config.model_copy(update={"models": models})


def language_gain(rows: Sequence[Row], config: Config) -> Figures:
    """Route prompts whose language is known with the language signal and without it.

    `knows` is the share that goes to a model which knows the language, `quality` the expected share of right answers,
    `cost_usd` the mean expected cost; `gain` the difference, with its interval over prompts.
    """
    known = [row for row in rows if row.lang in LANGUAGES]
    blind = _with_languages(config, dict.fromkeys(config.models))
    judge = _Judge(config)
    requests = [Request.parse({"messages": _messages(row)}) for row in known]
    arms = {
        "with": _route(known, requests, Router(config).decide, judge),
        "without": _route(known, requests, Router(blind).decide, judge),
    }
    languages = np.array([row.lang for row in known])
    chosen = {"pooled": np.arange(len(known))} | {
        language: np.nonzero(languages == language)[0] for language in sorted(set(languages.tolist()))
    }
    figures = {name: _compare(arms, picked) for name, picked in chosen.items() if len(picked)}
    return {"pooled": figures.pop("pooled", {"n": 0}), "languages": figures}


def _messages(row: Row) -> list[dict[str, str]]:
    return [{"role": role, "content": content.replace("\0", "")} for role, content in row.messages]


def _route(rows: Sequence[Row], requests: Iterable[Request], decide: Decide, judge: _Judge) -> _Routed:
    routed = _Routed()
    for row, request in zip(rows, requests, strict=True):
        decision = decide(request)
        knows, quality = judge(decision, row.lang)
        routed.knows.append(knows)
        routed.quality.append(quality)
        routed.cost_usd.append(to_dollars(decision.cost))
    return routed


def _compare(arms: dict[str, _Routed], chosen: Array) -> Figures:
    tables = {(arm, name): np.array(values) for arm, routed in arms.items() for name, values in vars(routed).items()}

    def measure(rows: Array) -> dict[str, float]:
        means = {key: float(np.mean(values[rows])) for key, values in tables.items()}
        gains = {
            f"{name}_gain": means["with", name] - means["without", name] for name in ("knows", "quality", "cost_usd")
        }
        return {f"{name}_{arm}": mean for (arm, name), mean in means.items()} | gains

    return summarize(measure, chosen, SOURCE_DRAWS)


class _Judge:
    """Whether a decision's model knows a language, and the quality that the core expects of it in that language."""

    def __init__(self, config: Config) -> None:
        self._policy, models, _ = unpack_policy(pack_policy(config))
        self._models = dict(zip(sorted(config.models), models, strict=True))
        self._memory = Memory()

    def __call__(self, decision: Decision, language: str) -> tuple[float, float]:
        record, model = self._memory.decision, self._models[decision.model]
        for index, score in enumerate(decision.task_scores):
            record.task_scores[index] = score
        record.code, record.difficulty, record.user_turns = decision.code, decision.difficulty, decision.user_turns
        record.domain, record.domain_score = DOMAINS.index(decision.domain), decision.domain_score
        record.language, record.language_score = LANGUAGES.index(language), SCORE_ONE
        read_quality_signals(self._policy, self._memory)
        knows = float(model.languages[record.language] > 0)
        return knows, expected_quality(model, self._memory) / SCORE_ONE
