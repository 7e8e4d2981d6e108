"""What misrouting costs: the model chosen by what the classifier said, against the one chosen had it been right.

The policy is asked twice about every labelled prompt, through the core's own selection: with the true task (and
difficulty, where that is labelled), and with the classifier's scores. A choice's loss is what it is worth less than
the right one, at the true label: money spent in vain, or quality missed at what the configuration says an answer is
worth. So a mistake weighs what it costs, and a mistake between labels that are served alike weighs nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.catalogue import strongest
from edgewise.config import Config, load_config
from edgewise.core.labels import CLUSTER_OF_TASK, SCORE_ONE, STATUS_OK, TASKS
from edgewise.core.layout import Request, Weights
from edgewise.core.policy import DIFFICULTY_BANDS
from edgewise.core.selection import INFEASIBLE, choose
from edgewise.core.signals import expect_output_tokens
from edgewise.errors import ConfigError
from edgewise.interpreted import InterpretedCore, without_views
from edgewise.money import PICODOLLARS_PER_DOLLAR
from edgewise.packing import pack_policy
from edgewise_classifier.data import UNKNOWN

Array = npt.NDArray[Any]

INPUT_TOKENS = 2_000
MISROUTED = (0.005, 0.01, 0.02, 0.05)
"""The shares of misrouted traffic for which the curve is computed."""

_BOOTSTRAPS = 500


@dataclass(frozen=True)
class Choice:
    """The policy's choice, by index into `Chooser.models`, and what it would pay and get from each model.

    `costs` and `worths` are in USD an answer (nan where a model cannot serve it), `qualities` from 0 to 1.
    """

    model: int
    costs: Array
    qualities: Array
    worths: Array


class Chooser:
    """The policy of a configuration, asked about signals instead of texts: the core's own selection."""

    def __init__(self, config: Config, input_tokens: int = INPUT_TOKENS) -> None:
        self.models = tuple(sorted(config.models))
        self.answer_value_usd = float(config.prices_of_objective(config.policy.objective)[0])
        self._catalogue = [config.models[name] for name in self.models]
        self._input_tokens = input_tokens
        self._core = InterpretedCore(bytes(Weights.size))
        self._core.load_policy(pack_policy(config))
        without_views(self._core.memory.decision)

    def choose(self, scores: Sequence[int], difficulty: int, *, abstained: bool = False) -> Choice:
        """The choice for task scores and a difficulty, each from 0 to SCORE_ONE, in no special domain or language.

        Raises ConfigError where no model can serve a prompt of this size.
        """
        core, decision = self._core, self._core.memory.decision
        task = max(range(len(TASKS)), key=scores.__getitem__)
        for index, score in enumerate(scores):
            decision.task_scores[index] = score
        decision.task, decision.cluster, decision.confidence = task, CLUSTER_OF_TASK[task], scores[task]
        decision.code, decision.difficulty, decision.abstained = scores[TASKS.index("code")], difficulty, int(abstained)
        decision.user_turns, decision.input_tokens = 1, self._input_tokens
        decision.output_tokens = expect_output_tokens(task, self._input_tokens, 0)
        tables = (core.policy, core.models, core.tenants, core.endpoints, core.strings)
        text: Any = b""
        choose(Request(), *tables, text, core.memory)
        if decision.status != STATUS_OK:
            raise ConfigError(f"no model of the catalogue can serve a prompt of {self._input_tokens} tokens")
        return self._read(decision.output_tokens)

    def _read(self, output_tokens: int) -> Choice:
        memory, places = self._core.memory, range(len(self.models))
        worths = np.array([memory.utilities[place] for place in places], np.float64)
        worths[worths == INFEASIBLE] = np.nan
        costs = [model.cost(self._input_tokens, output_tokens) for model in self._catalogue]
        return Choice(
            model=memory.chain_models[0],
            costs=np.array(costs, np.float64) / PICODOLLARS_PER_DOLLAR,
            qualities=np.array([memory.qualities[place] for place in places], np.float64) / SCORE_ONE,
            worths=worths / PICODOLLARS_PER_DOLLAR,
        )


@dataclass(frozen=True)
class Routed:
    """Labelled prompts as they were routed: a row a prompt, a column a model of `chooser.models`.

    `right` and `chosen` are the models chosen by the true labels and by the classifier; `costs`, `qualities` and
    `worths` hold for the true label, as `Choice` has them.
    """

    chooser: Chooser
    strongest: int
    tasks: Array
    guesses: Array
    right: Array
    chosen: Array
    costs: Array
    qualities: Array
    worths: Array

    @property
    def losses(self) -> Array:
        """What each choice is worth less than the right one, in USD."""
        return np.asarray(np.maximum(0, self.of(self.worths, self.right) - self.of(self.worths, self.chosen)))

    @property
    def stakes(self) -> Array:
        """What the worst choice would lose, in USD."""
        return np.asarray(self.of(self.worths, self.right) - np.nanmin(self.worths, axis=1))

    def of(self, table: Array, models: Array) -> Array:
        """The column of each row's own model."""
        column: Array = table[np.arange(len(table)), models]
        return column


def route_labelled(
    tasks: Array,
    levels: Array,
    scores: Array,
    difficulty: Array,
    abstained: Array,
    *,
    config: Config | None = None,
    input_tokens: int = INPUT_TOKENS,
) -> Routed:
    """Ask the policy about every prompt twice: by its labels, and by what the classifier said.

    Args:
        tasks: the true tasks, indexes into TASKS; every row has one.
        levels: the true difficulties, 0 to 3; where UNKNOWN, the classifier's own holds for the truth as well.
        scores: the classifier's task scores, rows x tasks, 0 to 1.
        difficulty: its difficulty scores, 0 to 1.
        abstained: whether it was too unsure to say.
        config: whose prices and qualities count; by default the catalogue that comes with edgewise.
        input_tokens: the size of every prompt; answers are as long as is usual for the true task.
    """
    config = config or load_config(None)
    chooser = Chooser(config, input_tokens)
    said = np.rint(difficulty * SCORE_ONE).astype(int)
    true = np.where(levels == UNKNOWN, said, levels * SCORE_ONE // (DIFFICULTY_BANDS - 1)).astype(int)
    one_hot = np.eye(len(TASKS), dtype=int) * SCORE_ONE
    labels = list(zip(tasks.tolist(), true.tolist(), strict=True))
    by_label = {label: chooser.choose(one_hot[label[0]].tolist(), label[1]) for label in set(labels)}
    truths = [by_label[label] for label in labels]
    whole = np.rint(scores * SCORE_ONE).astype(int).tolist()
    chosen = [
        chooser.choose(row, level, abstained=bool(unsure)).model
        for row, level, unsure in zip(whole, said.tolist(), abstained, strict=True)
    ]
    return Routed(
        chooser=chooser,
        strongest=chooser.models.index(strongest(config).name),
        tasks=tasks,
        guesses=scores.argmax(1),
        right=np.array([truth.model for truth in truths]),
        chosen=np.array(chosen),
        costs=np.array([truth.costs for truth in truths]),
        qualities=np.array([truth.qualities for truth in truths]),
        worths=np.array([truth.worths for truth in truths]),
    )


def cost_report(routed: Routed) -> dict[str, Any]:
    """The figures as JSON; all amounts are USD a query.

    `precision` and `recall` are cost-weighted: of what was at stake in the prompts that a model got (precision), or
    should have got (recall), the share that was not lost; over all prompts the two are the same, `weighted_accuracy`.
    `savings` is 1 where nothing is lost and 0 where no less than with the best single model for all (the savings score
    of Bahnsen et al., "Example-dependent cost-sensitive decision trees", 2015).
    """
    losses, stakes = routed.losses, routed.stakes
    single = _loss_of_single(routed)
    return {
        "n": len(losses),
        "same_model": float(np.mean(routed.right == routed.chosen)),
        "weighted_accuracy": 1 - float(losses.sum() / stakes.sum()),
        "weighted_accuracy_interval": _interval(lambda rows: 1 - losses[rows].sum() / stakes[rows].sum(), len(losses)),
        "savings": 1 - float(losses.mean() / single),
        "savings_interval": _interval(lambda rows: 1 - losses[rows].mean() / single, len(losses)),
        "loss_usd": float(losses.mean()),
        "loss_usd_interval": _interval(lambda rows: losses[rows].mean(), len(losses)),
        **_bill(routed),
        "models": {name: _model(routed, index) for index, name in enumerate(routed.chooser.models)},
        "confusion": _confusion(routed),
        "mistakes": _mistakes(routed),
        "misrouting": misrouting_curve(routed),
    }


def _loss_of_single(routed: Routed) -> float:
    """What the best single model for all prompts would lose a query, in USD; nan where it would lose nothing."""
    best = routed.of(routed.worths, routed.right)[:, None]
    loss = float(np.nanmin(np.maximum(0, best - routed.worths).mean(0)))
    return loss if loss > 0 else float("nan")


def _interval(measure: Callable[[Array], Any], size: int) -> list[float]:
    rng = np.random.default_rng(0)
    values = [measure(rng.integers(0, size, size)) for _ in range(_BOOTSTRAPS)]
    return [float(value) for value in np.percentile(values, [2.5, 97.5])]


def _bill(routed: Routed) -> dict[str, Any]:
    """What is paid, what it would be without mistakes, and both kinds of mistake: paid in vain, and quality missed."""
    paid, due = routed.of(routed.costs, routed.chosen), routed.of(routed.costs, routed.right)
    missed = routed.of(routed.qualities, routed.right) - routed.of(routed.qualities, routed.chosen)
    always = routed.costs[:, routed.strongest]
    saving = float((always - due).mean()) or float("nan")
    overspent, underspent = paid > due, paid < due
    return {
        "cost_usd": {
            "routed": float(paid.mean()),
            "without_mistakes": float(due.mean()),
            "always_strongest": float(always.mean()),
        },
        "strongest": routed.chooser.models[routed.strongest],
        "answer_value_usd": routed.chooser.answer_value_usd,
        "too_dear": {
            "share": float(overspent.mean()),
            "overspent_usd": float(((paid - due) * overspent).mean()),
            "of_saving": float(((paid - due) * overspent).mean()) / saving,
        },
        "too_cheap": {
            "share": float(underspent.mean()),
            "underspent_usd": float(((due - paid) * underspent).mean()),
            "quality_lost": float((missed * underspent).mean()),
        },
    }


def _model(routed: Routed, model: int) -> dict[str, Any]:
    sent, meant = routed.chosen == model, routed.right == model
    losses, stakes = routed.losses, routed.stakes

    def kept(rows: Array) -> float | None:
        return 1 - float(losses[rows].sum() / stakes[rows].sum()) if rows.any() else None

    return {"sent": int(sent.sum()), "meant": int(meant.sum()), "precision": kept(sent), "recall": kept(meant)}


def _confusion(routed: Routed) -> list[list[int]]:
    """How many prompts got each model (columns) that should have got each (rows), in the order of `models`."""
    table = np.zeros((len(routed.chooser.models),) * 2, int)
    np.add.at(table, (routed.right, routed.chosen), 1)
    counts: list[list[int]] = table.tolist()
    return counts


def _mistakes(routed: Routed, most: int = 12) -> list[dict[str, Any]]:
    """The pairs of true and said task whose mistakes cost most, the dearest first."""
    rows: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index in np.nonzero(routed.losses > 0)[0]:
        rows[int(routed.tasks[index]), int(routed.guesses[index])].append(int(index))
    size, losses = len(routed.tasks), routed.losses
    dearest = sorted(rows.items(), key=lambda item: -losses[item[1]].sum())[:most]
    return [
        {"task": TASKS[task], "said": TASKS[guess], "n": len(found), "loss_usd": float(losses[found].sum() / size)}
        for (task, guess), found in dearest
    ]


def misrouting_curve(routed: Routed) -> list[dict[str, float]]:
    """What is lost of the saving when a share of the traffic, drawn at random, is misrouted; as shares of the saving.

    The saving is what a query costs less than on the strongest model, without mistakes. `to_strongest`: the misrouted
    go to the strongest model, and money is lost. `to_cheapest`: they go to the cheapest, and quality is lost, counted
    as what an answer is worth. `as_here`: they are misrouted like this classifier's own mistakes, in loss of worth.
    """
    due = routed.of(routed.costs, routed.right)
    saving = float((routed.costs[:, routed.strongest] - due).mean()) or float("nan")
    cheapest = int(routed.costs.mean(0).argmin())
    missed = routed.of(routed.qualities, routed.right) - routed.qualities[:, cheapest]
    wrong = routed.right != routed.chosen
    lost = {
        "to_strongest": saving,
        "to_cheapest": float(np.maximum(0, missed).mean()) * routed.chooser.answer_value_usd,
        "as_here": float(routed.losses[wrong].mean()) if wrong.any() else 0.0,
    }
    return [{"share": share, **{way: share * loss / saving for way, loss in lost.items()}} for share in MISROUTED]
