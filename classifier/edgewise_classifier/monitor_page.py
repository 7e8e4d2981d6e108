"""The monitor's figures for readers: the last section of docs/monitor.md, from the JSON of the evaluation."""

from __future__ import annotations

import textwrap
from typing import Any

from edgewise.markdown import table
from edgewise_classifier.monitor import LANGUAGE_BYTES, LOOP_BYTES, LOOP_TIMES, TAIL_BYTES, TIMES, TRAIN_FAMILIES

Json = dict[str, Any]

HEADING = "## Measured"
_WIDTH = 120

_LOOPS = """\
Loops, on {n:,} answers to exam questions that {models} models wrote, about half of them without instruction tuning.
*Looping*: the whole text, compared with itself shifted by every distance, holds a stretch that comes {times} times in
a row over at least {bytes} bytes. *Nearly looping*: no such stretch, but zlib makes less than a quarter of the last
{tail} bytes: the same sentence with a number counted up. *Texts by people*: every prompt of the test sets; those that
were found do repeat (spam, lines drawn for signing, code that prints a frame). The limits were chosen on the other
{n_train:,} answers, by other families of models ({families}), where 3 times in a row finds {train}."""

_EARLY = """\
With 3 times in a row, half of the loops that are found are found within the first {median:.0%} of their text (quartiles
{low:.0%} and {high:.0%}), and the rest of the answer, {saved:.0%} of it in the median, need not be paid. Of the answers
that were stopped {right} would have been right; of the others {rest}."""

_LANGUAGE = """\
Drift, on sentences of Tatoeba in {languages} languages, in a row up to {bytes} bytes, and on the answers above.
*Wrong*: English was expected (German of English sentences, French of the answers of that length), so all of it is
drift; what is missed of the answers is mostly formulas, which vote for no language."""

_PHRASES = """\
Refusals were found in {refusals} of these answers, disclaimers of stale knowledge in {stale}: exams give little reason
for either. The data has no answers that refuse, none with log-probabilities, and none in JSON, so how many of those
are found is not known. The JSON scanner is compared with Python's parser in the tests."""


def with_figures(page: str, report: Json) -> str:
    """The page with its last section written anew. Raises ValueError where the page lacks the heading."""
    before, heading, _ = page.partition(f"{HEADING}\n")
    if not heading:
        raise ValueError(f"the page has no heading {HEADING!r}")
    return before + section(report)


def section(report: Json) -> str:
    """The section, heading included."""
    test, train = report["loops"]["test"], report["loops"]["train"]
    usual, language, phrases = test["3"], report["language"], report["phrases"]["test"]
    low, median, high = usual["read_of_loop"]
    parts = [
        HEADING,
        "Written by `edgewise eval --data DATA --monitor --docs docs`; do not edit. "
        f"{report['machine']}; commit {report['commit'] or 'unknown'}. Brackets: 95% intervals (Wilson).",
        _LOOPS.format(
            n=_outputs(usual),
            models=usual["models"],
            times=LOOP_TIMES,
            bytes=LOOP_BYTES,
            tail=TAIL_BYTES,
            n_train=_outputs(train["3"]),
            families=", ".join(TRAIN_FAMILIES),
            train=_count(train["3"]["looping"]) + " loops and " + _count(train["3"]["neither"]) + " other answers",
        ),
        table(
            ["`repetition`", "looping", "nearly looping", "neither", "texts by people"],
            [
                [
                    str(times),
                    *(_share(test[str(times)][kind]) for kind in ("looping", "nearly_looping", "neither")),
                    _share(report["people"][str(times)]),
                ]
                for times in TIMES
            ],
        ),
        _EARLY.format(
            low=low,
            median=median,
            high=high,
            saved=usual["saved_of_output"][1],
            right=_count(usual["right_when_found"]),
            rest=_count(usual["right_when_not"]),
        ),
        _LANGUAGE.format(languages=language["languages"], bytes=LANGUAGE_BYTES),
        table(
            ["text", "drift where there is none", "drift where all is wrong"],
            [
                ["sentences", _share(language["own_sentences"]), _share(language["other_sentences"])],
                ["answers", _share(language["own_answers"]), _share(language["other_answers"])],
            ],
        ),
        _PHRASES.format(refusals=_count(phrases["refusal"]), stale=_count(phrases["stale_knowledge"])),
    ]
    return "\n\n".join(_wrap(part) for part in parts) + "\n"


def _outputs(loops: Json) -> int:
    return sum(loops[kind]["n"] for kind in ("looping", "nearly_looping", "neither"))


def _count(share: Json) -> str:
    return f"{share['hits']:,} of {share['n']:,}"


def _share(share: Json) -> str:
    low, high = share["interval"]
    return f"{_count(share)}: {share['share']:.1%} [{low:.1%}, {high:.1%}]"


def _wrap(part: str) -> str:
    return part if part.startswith(("#", "|")) else textwrap.fill(part, _WIDTH, break_on_hyphens=False)
