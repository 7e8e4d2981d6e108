"""The outcomes for readers: docs/outcomes.md and its plots, from the JSON of the evaluation."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from edgewise.markdown import table
from edgewise_classifier.outcomes import CPT_SHARES, USUAL_NEIGHBOURS
from edgewise_classifier.plots import OURS, canvas, other_color

Json = dict[str, Any]

SAVING_BAR = 0.4
APGR_BAR, APGR_AIM = 0.5, 0.6

_WIDTH = 120
_NAMES = {
    "edgewise": "edgewise, tables calibrated",
    "length": "prompt length",
    "knows_the_benchmark": "knows which benchmark it is",
    "oracle": "oracle",
    "random_mix": "random mix of single models",
    "difficulty": "difficulty score",
    "shipped_tables": "expected quality, tables as shipped",
    "calibrated_tables": "expected quality, tables calibrated",
}

_MANY = """\
llmrouter_mix holds the scores of {models} open models on prompts of 13 public benchmarks. Repeated prompts were
removed and the split rebuilt by a hash of the text: {n_train:,} prompts to learn from, {n_test:,} to test on. The
policy's quality tables are calibrated on the former, as `edgewise calibrate` does it; then the price of quality
(`answer_value_usd`) is swept through the compiled module on the latter. Prices are those that the collection states;
how long an answer will be is the router's own estimate, the same for all routers, as the file does not say it.
*Quality* is the mean score.

*AIQ* is the mean quality over the range of costs, of the non-decreasing convex hull of a router's points
(RouterBench). *kNN* takes the mean scores of the nearest train prompts by MiniLM embeddings; {neighbours} neighbours
were best in cross-validation on the train rows, {usual} is RouterBench's choice. *Knows which benchmark it is* uses
the train means of the prompt's own benchmark, which no router can know: most of what there is to gain on this file.
The *random mix* of single models is what quality costs without reading prompts. In brackets: 95% intervals of a
bootstrap over test prompts."""

_CAVEATS = """\
The train rows also taught the classifier its difficulty: there it says more of a prompt than on new ones, so tables
calibrated on them trust it too much. On traffic of your own, which the classifier never saw, they would not."""

_PAIR = """\
{strong} against {weak} on MMLU and GSM8K, test rows only (RouteLLM's files). A router orders prompts by a score; the
highest go to the strong model. *APGR* is the share of the gap in quality that is recovered, averaged over all shares
of calls; 0.5 is chance, and the oracle passes 1 because the strong model is not always the better one. *CPT* is the
share of calls that recovers 50% or 80% of the gap. Nothing was fitted to this file. The calibrated tables come from
{n} other questions of MMLU-Pro (those that also stand in MMLU left out), where {stand_in_weak} is the weak model and
{stand_in_strong}, whose published score on MMLU is about GPT-4's, stands in for the strong one; kNN learned from the
same rows. The expected quality is compared as `target_quality` does it: by the share that the weak model lacks."""

_DEFINITIONS = """\
AIQ: Hu et al. 2024, "RouterBench: A Benchmark for Multi-LLM Routing System". APGR, CPT: Ong et al. 2024, "RouteLLM:
Learning to Route LLMs with Preference Data". RouteLLM's routers reach an APGR of 0.603 on MMLU and 0.622 on GSM8K in
that paper, its best ones with augmented training data."""


def markdown(report: Json, plots: list[str]) -> str:
    """The page; `plots` are the files beside it, as `pictures` names them."""
    return "\n\n".join(_wrap(part) for part in _parts(report, plots)) + "\n"


def _wrap(part: str) -> str:
    """Paragraphs at the width of the other pages; headings, tables and pictures as they are."""
    if part.startswith(("#", "|", "!")):
        return part
    return "\n\n".join(textwrap.fill(paragraph, _WIDTH, break_on_hyphens=False) for paragraph in part.split("\n\n"))


def _parts(report: Json, plots: list[str]) -> Iterator[str]:
    many, pair = report["many_models"], report["weak_or_strong"]
    yield "# Quality and cost on outcomes"
    yield (
        "Written by `edgewise eval --data DATA --outcomes --docs docs`; do not edit. "
        f"Model {report['model_version']}, commit {report['commit'] or 'unknown'}. {_DEFINITIONS}"
    )
    yield table(["bar", "figure", "95% interval", ""], bars(report))
    yield "## Many models"
    yield _MANY.format(
        models=len(many["singles"]),
        n_train=many["n_train"],
        n_test=many["n_test"],
        neighbours=many["neighbours"],
        usual=USUAL_NEIGHBOURS,
    )
    yield f"![Quality against cost]({plots[0]})"
    yield _router_table(many)
    yield _set_on_train(many)
    yield _differences(many)
    yield _CAVEATS
    yield "Single models on the test prompts:"
    singles = sorted(many["singles"].items(), key=lambda item: -item[1]["quality"])
    rows = [[name, f"{one['quality']:.3f}", f"{one['cost_usd'] * 1e6:.0f}"] for name, one in singles]
    yield table(["model", "quality", "USD per million queries"], rows)
    yield "## Weak or strong"
    yield _PAIR.format(
        weak=pair["weak"],
        strong=pair["strong"],
        n=f"{pair['n_calibrated']:,}",
        stand_in_weak=pair["stand_ins"][0],
        stand_in_strong=pair["stand_ins"][1],
    )
    yield f"![Gap recovered against calls to the strong model]({plots[1]})"
    for benchmark, figures in pair["benchmarks"].items():
        yield (
            f"{benchmark.upper()}, {figures['n']:,} prompts: the weak model scores {figures['weak_quality']:.3f}, "
            f"the strong one {figures['strong_quality']:.3f}."
        )
        yield _pair_table(figures["routers"])
    ahead = [name for name, figures in pair["benchmarks"].items() if _is_behind_length(figures["routers"])]
    if ahead:
        yield (
            f"Prompt length alone orders {' and '.join(name.upper() for name in ahead)} better than the router does. "
            "These are differences within one benchmark, where all prompts are of a kind; between kinds of prompts, as "
            "above, length says little."
        )


def _is_behind_length(routers: Json) -> bool:
    return float(routers["length"]["apgr"]) > float(routers["calibrated_tables"]["apgr"])


def bars(report: Json) -> list[list[str]]:
    """What the project set out to reach, the figure, its interval, and whether it holds."""
    many, pair = report["many_models"], report["weak_or_strong"]
    rival = many["edgewise_less"][f"knn_minilm_{many['neighbours']}"]
    ours = many["routers"]["edgewise"]
    at = many["set_on_train"]
    rows = [
        ["AIQ less that of kNN on MiniLM: at least 0", f"{rival['aiq']:+.4f}", _signed(rival["interval"]),
         _held(rival["aiq"] >= 0)],
        [f"the best single model's quality at {SAVING_BAR:.0%} less cost", f"{ours['saving_at_best_single']:.0%} less",
         _percent(ours["saving_at_best_single_interval"]), _held(ours["saving_at_best_single"] >= SAVING_BAR)],
        ["the same at the setting chosen on train rows", f"{at['saving']:.0%} less", _percent(at["saving_interval"]),
         f"quality {at['gain']:+.3f} {_signed(at['gain_interval'], 3)}"],
    ]  # fmt: skip
    for benchmark, figures in pair["benchmarks"].items():
        found = figures["routers"]["calibrated_tables"]
        low = found["apgr_interval"][0]
        aim = "" if found["apgr"] >= APGR_AIM else f"; the aim of {APGR_AIM:.2f} is missed"
        rows.append([f"APGR on {benchmark.upper()} above {APGR_BAR:.2f}, the interval too", f"{found['apgr']:.3f}",
                     _interval(found["apgr_interval"]), _held(low > APGR_BAR) + aim])  # fmt: skip
    return rows


def _held(held: bool) -> str:
    return "held" if held else "**not held**"


def _router_table(many: Json) -> str:
    head = [
        "router",
        "AIQ",
        "best quality less the best single model's",
        "cost saved at the best single model's quality",
    ]
    rows = [
        [
            name_of(name),
            f"{one['aiq']:.4f} {_interval(one['aiq_interval'], 4)}",
            f"{one['gain_over_best_single']:+.4f} {_signed(one['gain_over_best_single_interval'])}",
            f"{one['saving_at_best_single']:.0%} {_percent(one['saving_at_best_single_interval'])}",
        ]
        for name, one in many["routers"].items()
    ]
    return table(head, rows)


def _set_on_train(many: Json) -> str:
    at = many["set_on_train"]
    return (
        f"The best single model is {many['best_single']}. The hull picks the best settings after the fact; with the "
        f"one setting that has this model's quality on the train rows, the test prompts cost {at['saving']:.0%} less "
        f"{_percent(at['saving_interval'])}; their quality less the model's is {at['gain']:+.3f} "
        f"{_signed(at['gain_interval'], 3)}. "
        "A saving of 0 in an interval says that in some resamples no setting reaches the model's quality."
    )


def _differences(many: Json) -> str:
    head = ["AIQ of edgewise less that of", "difference", "95% interval"]
    found = many["edgewise_less"]
    return table(head, [[name_of(n), f"{one['aiq']:+.4f}", _signed(one["interval"])] for n, one in found.items()])


def _pair_table(routers: Json) -> str:
    rows = [
        [name_of(name), f"{one['apgr']:.3f} {_interval(one['apgr_interval'])}",
         *(f"{one[f'cpt_{round(share * 100)}']:.0%}" for share in CPT_SHARES)]
        for name, one in routers.items()
    ]  # fmt: skip
    return table(["score", "APGR", *(f"CPT({share:.0%})" for share in CPT_SHARES)], rows)


def name_of(router: str) -> str:
    """A router's name for readers."""
    if router.startswith("knn_minilm_"):
        return f"kNN ({router.rsplit('_', 1)[1]}) on MiniLM"
    return _NAMES[router]


def _interval(bounds: list[float], decimals: int = 3) -> str:
    return f"[{bounds[0]:.{decimals}f}, {bounds[1]:.{decimals}f}]"


def _signed(bounds: list[float], decimals: int = 4) -> str:
    return f"[{bounds[0]:+.{decimals}f}, {bounds[1]:+.{decimals}f}]"


def _percent(bounds: list[float]) -> str:
    return f"[{bounds[0]:.0%}, {bounds[1]:.0%}]"


def pictures(report: Json) -> dict[str, str]:
    """The plots as SVG, by file name, in the order of the page."""
    return {
        "outcomes-many.svg": _plot_many(report["many_models"]),
        "outcomes-pair.svg": _plot_pair(report["weak_or_strong"]),
    }


def _plot_many(many: Json) -> str:
    with canvas(8, 4.4) as (figure, text):
        axes = figure.subplots()
        shown = [name for name in many["routers"] if name not in ("oracle", "random_mix")]
        for place, name in enumerate(shown[1:]):
            _draw(axes, many["routers"][name]["curve"], 1e6, color=other_color(place), lw=1, label=name_of(name))
        _draw(axes, many["routers"]["edgewise"]["curve"], 1e6, color=OURS, lw=2, label=name_of("edgewise"))
        singles = many["singles"].values()
        axes.scatter([one["cost_usd"] * 1e6 for one in singles], [one["quality"] for one in singles], color="#1a2029",
                     s=14, marker="x", label="single models")  # fmt: skip
        axes.set(xlabel="USD per million queries", ylabel="mean score", ylim=(0.45, 0.68))
        axes.legend(fontsize=8, loc="lower right")
    return text.getvalue()


def _plot_pair(pair: Json) -> str:
    with canvas(9, 3.8) as (figure, text):
        for axes, (benchmark, figures) in zip(figure.subplots(1, 2), pair["benchmarks"].items(), strict=True):
            for place, (name, one) in enumerate(figures["routers"].items()):
                ours = name == "calibrated_tables"
                if name != "oracle":
                    _draw(axes, one["curve"], 1, color=OURS if ours else other_color(place), lw=2 if ours else 1,
                          label=name_of(name))  # fmt: skip
            axes.plot([0, 1], [0, 1], color="#8a94a3", lw=1, ls="--")
            axes.set(xlabel=f"calls to {pair['strong']}", ylabel="gap recovered", title=benchmark.upper())
        axes.legend(fontsize=7, loc="upper left")
    return text.getvalue()


def _draw(axes: Any, curve: list[list[float]], scale: float, **look: Any) -> None:
    axes.plot([x * scale for x, _ in curve], [y for _, y in curve], **look)
