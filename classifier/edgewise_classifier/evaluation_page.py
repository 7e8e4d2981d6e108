"""The evaluation for readers: docs/evaluation.md, from its JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgewise.core.labels import TASKS
from edgewise.markdown import table
from edgewise_classifier.baselines import NAMES
from edgewise_classifier.failures import known_failures
from edgewise_classifier.identification import BUCKETS

Json = dict[str, Any]

_HOW = """\
Figures are of the classifier that ships, read through the real core, on public test sets whose rows were kept out of
training, of validation and of every choice. In brackets stands the 95% interval of a bootstrap over rows. It says how
far chance goes on these sources, not how other sources would do. The baselines were trained and measured in the same
run. `n` counts rows. The sets, their licences and the heads are described in [data.md](data.md) and in the
[model card](../classifier/model/README.md)."""

_BARS = """\
What the project set out to reach. A bar is *held* when the figure clears it, whatever its interval says. The time of a
whole decision has its own bars in [benchmarks.md](benchmarks.md)."""

_BASELINES = """\
*Keyword rules* need no training, and say factual where no rule matches. *Hashes* are words, pairs of words and runs of
characters in 2 x 2^18 buckets: megabytes of floats for one head. *MiniLM* is all-MiniLM-L6-v2 in float32 under torch:
under a logistic regression, by its 15 nearest neighbours, and its vector together with the hashes. All learned from the
training rows of this commit, the last turn alone; the shipped model may be older. Read accuracy with care: about half
of the rows are factual questions, which is why rules that fall back to factual do so well, and why macro-F1 and the
mean over sources stand beside it."""

_GAIN = """\
The same prompts are routed twice by the compiled module: by the catalogue as it is, and by one in which every model is
said to know every language, so that the language signal has no say. *Knows* is the share that goes to a model which
lists the true language, *quality* the share of right answers that the catalogue leads one to expect, nothing where the
model does not know the language. That is an assumption, not a measurement of answers. *Prompts* are those of the test
sets, *sentences* are tatoeba_laser's, in all other languages of the table, short as what is typed into a chat."""

_COSTS = """\
Each labelled prompt is routed twice by the default catalogue's policy: by its true task (and difficulty, where that is
labelled), and by what the classifier said. A mistake weighs what it costs: money spent in vain on a dear model, or
quality missed on a cheap one at what the catalogue says a right answer is worth. Prompts count as 2,000 tokens, as in
the economics of the project's brief; [outcomes.md](outcomes.md) has those in full, with what real models answered."""

_PERTURBED = """\
The share of decisions that stay the same when the last turn is changed in a way that should not matter. *Right* is the
accuracy of the task afterwards."""


def markdown(report: Json, plots: Sequence[str]) -> str:
    """The page for a report; `plots` are the file names of the pictures beside it."""
    return "\n\n".join(part for part in _parts(report, frozenset(plots))) + "\n"


def _parts(report: Json, plots: frozenset[str]) -> Iterator[str]:
    yield "# Evaluation of the classifier"
    yield (
        f"Written by `make eval`; do not edit. {report['machine']}; commit {report['commit'] or 'unknown'};"
        f" {report['rows']:,} prompts, at most {report['limit']:,} of a source, drawn with a fixed seed."
    )
    yield _HOW
    yield "## Bars"
    yield _BARS
    yield table(BAR_COLUMNS, bar_rows(report["bars"]))
    yield "## Known failures"
    yield "\n".join(f"- {failure}" for failure in known_failures(report))
    yield from _task(report, plots)
    yield from _binary_heads(report)
    yield from _difficulty_and_domain(report["heads"])
    yield from _languages(report, plots)
    yield from _costs(report["costs"], plots)
    yield "## Robustness"
    yield _PERTURBED
    yield from _picture("evaluation-robustness.svg", "Share of decisions unchanged by change and head", plots)
    yield _robustness(report["robustness_by_head"])


def _picture(name: str, about: str, plots: frozenset[str]) -> Iterator[str]:
    if name in plots:
        yield f"![{about}]({name})"


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.3f}" if value < 10 else f"{value:,.0f}"


def _percent(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}%}"


def _bounds(interval: Sequence[float] | None) -> str:
    return "" if not interval or interval[0] is None else f"{_number(interval[0])} to {_number(interval[1])}"


def _figure(figures: Mapping[str, Any], name: str) -> str:
    """A figure with its interval in brackets, where it has both."""
    value, bounds = figures.get(name), _bounds(figures.get(f"{name}_interval"))
    return _number(value) + (f" [{bounds}]" if value is not None and bounds else "")


BAR_COLUMNS = ("what", "bar", "figure", "95% interval", "")


def bar_rows(bars: Sequence[Json]) -> list[list[str]]:
    """A row of cells for each bar, for BAR_COLUMNS."""
    return [
        [
            bar["what"],
            ("at least " if bar["at_least"] else "at most ") + f"{bar['bar']:g}",
            _number(bar["figure"]),
            _bounds(bar["interval"]),
            "held" if bar["held"] else "**not held**",
        ]
        for bar in bars
    ]


def _task(report: Json, plots: frozenset[str]) -> Iterator[str]:
    task, baselines = report["heads"]["task"], _with_head(report, "task")
    yield "## Task"
    yield _BASELINES
    contenders = {"**edgewise**": task, **{NAMES[name]: head for name, head in baselines.items()}}
    yield table(
        ["", "accuracy", "macro-F1", "5 clusters", "mean of sources", "arena_hard_v01", "calibration error"],
        [[name, *_contender(head)] for name, head in contenders.items()],
    )
    if "times" in report:
        times = report["times"]
        yield (
            f"One prompt takes our classifier {times['edgewise_us']:,.0f} us of processor time (median of {times['n']},"
            f" called from Python) and MiniLM {times['minilm_us']:,.0f} us, its tokenizer included and its head not:"
            f" {times['ratio']:,.0f} times as long. [benchmarks.md](benchmarks.md) has MiniLM in int8, and WebAssembly."
        )
    yield from _picture("evaluation-confidence.svg", "Coverage against precision, and calibration", plots)
    yield _abstention(task["pooled"])
    yield from _picture("evaluation-sources.svg", "Accuracy of the task by source", plots)
    names = list(baselines)
    yield table(
        ["source", "n", "accuracy", "macro-F1", "calibration error", *(NAMES[name] for name in names)],
        [
            [
                source,
                f"{figures['n']:,}",
                _figure(figures, "accuracy"),
                _number(figures["macro_f1"]),
                _number(figures["calibration_error"]),
                *(_number(baselines[name]["sources"][source]["accuracy"]) for name in names),
            ]
            for source, figures in task["sources"].items()
        ],
    )
    yield "Tasks (rows) and what they were taken for (columns):"
    yield _confusion(task["pooled"]["confusion"])


def _with_head(report: Json, head: str) -> dict[str, Json]:
    return {name: heads[head] for name, heads in report["baselines"].items() if head in heads}


def _contender(head: Json) -> list[str]:
    pooled = head["pooled"]
    return [
        *(_figure(pooled, name) for name in ("accuracy", "macro_f1", "cluster_accuracy")),
        _number(pooled["mean_of_sources"]),
        _figure(head["sources"].get("arena_hard_v01", {}), "accuracy"),
        _number(pooled["calibration_error"]),
    ]


def _abstention(pooled: Json) -> str:
    shares = ", ".join(f"{share:.0%} at {float(precision):.0%}" for precision, share in pooled["coverage"].items())
    abstained, right = _percent(pooled["abstained"], 1), _percent(pooled["accuracy_when_answered"], 1)
    return (
        f"How much of the traffic can be answered, the surest first, so that a given share of it is right: {shares}. At"
        f" the shipped threshold the classifier abstains on {abstained} of the prompts and is right on {right} of the"
        " rest."
    )


def _confusion(counts: Sequence[Sequence[int]]) -> str:
    rows = [[TASKS[index], *(str(count or "") for count in row), str(sum(row))] for index, row in enumerate(counts)]
    return table(["", *TASKS, "n"], rows)


_ABOUT = {
    "code": "Is the ask software work.",
    "recency": "Does a right answer depend on facts that change. realtimeqa, a quiz on past events, is not pooled.",
    "safety": "Harm, jailbreak or injection; the prompts of the task sets are the benign mix.",
    "pii": "Does the text hold personal data.",
}
_COLUMNS = ("auroc", "balanced_accuracy", "precision", "recall", "false_positives", "calibration_error")


def _binary_heads(report: Json) -> Iterator[str]:
    for head, about in _ABOUT.items():
        figures = report["heads"][head]
        yield f"## {head.capitalize() if head != 'pii' else 'Personal data'}"
        yield about
        lines = {"**pooled**": figures["pooled"]}
        lines |= {
            f"{NAMES[name]}, pooled": other["pooled"] for name, other in _with_head(report, head).items()
        } | figures["sources"]
        yield table(
            [
                "",
                "n",
                "positives",
                "AUROC",
                "balanced accuracy",
                "precision",
                "recall",
                "false positives",
                "calibration error",
            ],
            [_binary_row(name, line) for name, line in lines.items()],
        )


def _binary_row(name: str, line: Json) -> list[str]:
    """One line; what takes both classes to say is left out where there is one."""
    positives = line.get("positives", 0)
    both = 0 < positives < line["n"]
    shown = [
        _figure(line, column) if both or column in ("recall", "false_positives", "calibration_error") else ""
        for column in _COLUMNS
    ]
    return [name, f"{line['n']:,}", f"{positives:,}", *shown]


def _difficulty_and_domain(heads: Json) -> Iterator[str]:
    yield "## Difficulty"
    yield (
        "Does the score rank prompts by whether a small model really failed on them: AUROC on outcome sets that are for"
        " testing, beside that of the prompt's length alone."
    )
    yield table(
        ["outcomes", "n", "failed", "AUROC", "of length alone"],
        [
            [name, f"{line['n']:,}", f"{line['positives']:,}", _figure(line, "auroc"), _figure(line, "auroc_of_length")]
            for name, line in heads["difficulty"]["sources"].items()
        ],
    )
    yield "## Domain"
    yield table(
        ["source", "n", "accuracy", "macro-F1"],
        [
            [name, f"{line['n']:,}", _figure(line, "accuracy"), _figure(line, "macro_f1")]
            for name, line in heads["domain"]["sources"].items()
        ],
    )


def _languages(report: Json, plots: frozenset[str]) -> Iterator[str]:
    yield "## Language"
    head = report["heads"].get("language")
    if head is not None:
        yield "Accuracy as it is; *grouped* takes any of hr, bs, sr, any of nb, nn, da, and either of id, ms for right."
        yield table(
            ["", "n", "accuracy", "grouped"],
            [
                [name, f"{line['n']:,}", _figure(line, "accuracy"), _figure(line, "grouped")]
                for name, line in {"**tatoeba_laser, all**": head["pooled"], **head["sources"]}.items()
            ],
        )
        yield from _peers(_with_head(report, "language"))
        yield from _picture("evaluation-language.svg", "Accuracy of identification by length", plots)
        yield _weak_languages(head["languages"])
    yield "### Tasks by language"
    yield table(
        ["language", "n", "task accuracy"],
        [[name, str(line["n"]), _figure(line, "accuracy")] for name, line in report["task_by_language"].items()],
    )
    yield "### What the language signal brings to routing"
    yield _GAIN
    yield _gain(report["language_gain"])


def _peers(peers: Mapping[str, Json]) -> Iterator[str]:
    if not peers:
        return
    yield (
        "Others on the languages that they share with the table, and ours on the same sentences. fastText's model"
        " learned from Tatoeba itself. Times are means, called from Python."
    )
    rows = []
    for name, head in peers.items():
        for label, side in ((name, head), ("edgewise", head["edgewise"])):
            time = f"{head['us_per_text']:,.0f} us" if side is head else ""
            lengths = [_number(side["sources"].get(bucket, {}).get("accuracy")) for bucket, _ in BUCKETS]
            rows.append([label, str(head["languages"]), _figure(side["pooled"], "accuracy"), *lengths, time])
    yield table(["", "languages", "accuracy", *(bucket for bucket, _ in BUCKETS), "a text"], rows)


def _weak_languages(languages: Mapping[str, Json], below: float = 0.85) -> str:
    weak = sorted((line["accuracy"], name) for name, line in languages.items() if line["accuracy"] < below)
    said = [
        f"{name} {accuracy:.2f} ({', '.join(f'{other} {n}' for other, n in languages[name]['mistakes'].items())})"
        for accuracy, name in weak
    ]
    strong = f"{len(languages) - len(weak)} of {len(languages)} languages reach {below}."
    return f"{strong} The others, and what they are taken for: {'; '.join(said)}." if weak else strong


def _gain(gains: Mapping[str, Mapping[str, Json]]) -> str:
    rows = []
    for catalogue, groups in gains.items():
        for group, parts in groups.items():
            line = parts["pooled"]
            if line["n"]:
                rows.append(
                    [
                        f"{catalogue}, {group}",
                        f"{line['n']:,}",
                        *(
                            _number(line[f"{name}_{arm}"])
                            for name in ("knows", "quality")
                            for arm in ("without", "with")
                        ),
                        _figure(line, "quality_gain"),
                        *(f"{line[f'cost_usd_{arm}']:.4f}" for arm in ("without", "with")),
                    ]
                )
    head = ["", "n", "knows without", "with", "quality without", "with", "gain", "USD a query without", "with"]
    return table(head, rows)


def _costs(costs: Json, plots: frozenset[str]) -> Iterator[str]:
    if not costs:
        return
    yield "## What misrouting costs"
    yield _COSTS
    dear, cheap, paid = costs["too_dear"], costs["too_cheap"], costs["cost_usd"]
    yield table(
        ["what", "figure"],
        [
            ["prompts that get the model they should", _number(costs["same_model"])],
            ["cost-weighted accuracy: of what was at stake, what was not lost", _figure(costs, "weighted_accuracy")],
            ["savings score: 0 is the best single model for all, 1 is no loss", _figure(costs, "savings")],
            ["cost a query: routed, without mistakes, always the strongest (USD)",
             ", ".join(f"{paid[way]:.4f}" for way in ("routed", "without_mistakes", "always_strongest"))],
            ["sent to a dearer model than needed",
             f"{_percent(dear['share'], 1)}, {_percent(dear['of_saving'])} of the saving"],
            ["sent to a cheaper model than needed",
             f"{_percent(cheap['share'], 1)}, {_percent(cheap['quality_lost'])} of the answers wrong for it"],
        ],
    )  # fmt: skip
    yield "Cost-weighted precision (of what a model got) and recall (of what it should have got):"
    yield table(
        ["model", "sent", "meant", "precision", "recall"],
        [
            [name, f"{line['sent']:,}", f"{line['meant']:,}", _number(line["precision"]), _number(line["recall"])]
            for name, line in costs["models"].items()
            if line["sent"] or line["meant"]
        ],
    )
    yield "What a share of misrouted traffic loses, in percent of the saving over always using the strongest model:"
    yield table(
        ["misrouted", "to the strongest: money", "to the cheapest: quality", "as this classifier errs: both"],
        [
            [_percent(point["share"], 1), *(_percent(point[way]) for way in ("to_strongest", "to_cheapest", "as_here"))]
            for point in costs["misrouting"]
        ],
    )
    yield from _picture("evaluation-misrouting.svg", "What misrouting loses", plots)
    yield (
        "The dearest mistakes, in USD lost a query over all queries. Where a task is taken for itself, the difficulty"
        " was wrong, or the classifier abstained."
    )
    yield table(
        ["task", "taken for", "n", "loss"],
        [[line["task"], line["said"], str(line["n"]), f"{line['loss_usd']:.5f}"] for line in costs["mistakes"][:6]],
    )


def _robustness(changes: Mapping[str, Json]) -> str:
    heads = ("task", "domain", "code", "recency", "safety", "pii", "language")
    rows = [
        [name, _figure(line, "task"), *(_number(line[head]) for head in heads[1:]), _number(line["task_accuracy"])]
        for name, line in changes.items()
    ]
    return table(["change", *heads, "right"], rows)
