"""What the monitor is measured by: loops by definition, shares with intervals, and the page's section."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgewise_classifier.monitor import (
    LOOP_BYTES,
    LOOP_TIMES,
    Output,
    evaluate,
    is_compressible,
    longest_loop,
    read_languages,
    read_outputs,
    share,
    wilson,
)
from edgewise_classifier.monitor_page import HEADING, with_figures

SENTENCE = "The heat that it takes is the mass of the water times the difference. "
LOOPING = "First we write down what is given. " + SENTENCE * 6


def write_lines(path, rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def data(tmp_path):
    texts = [LOOPING, "The answer is (B).", "I'm sorry, but I can't assist with that.", SENTENCE * 2]
    rows = [
        {"model": model, "text": text, "correct": int(text == texts[1])}
        for model in ("Qwen1.5-7B-Chat", "gemma-7b", "Llama-2-7b-hf")
        for text in texts
    ]
    write_lines(tmp_path / "outcomes" / "model_outputs.jsonl", rows)
    sentence = {"lang": "de", "text": "Der Hafen liegt nach Westen hin offen.", "role": "test"}
    write_lines(tmp_path / "sets" / "tatoeba_laser.jsonl", [sentence] * 30 + [{**sentence, "lang": "tlh"}] * 30)
    return tmp_path


@given(st.binary(max_size=30), st.binary(min_size=1, max_size=9), st.integers(0, 60), st.binary(max_size=30))
@example(b"", b"ab", 50, b"")
def test_a_loop_is_one_by_its_definition(before, stretch, times, after):
    text = before + stretch * times + after
    found = longest_loop(text)
    if times >= LOOP_TIMES and len(stretch) * times >= LOOP_BYTES:
        assert found is not None
    if found:
        loop = text[found.start : found.start + found.length]
        assert len(loop) == found.length >= max(LOOP_BYTES, LOOP_TIMES * found.period)
        assert loop[found.period :] == loop[: -found.period]


def test_the_loop_that_is_named_is_the_longest_and_its_period_the_shortest():
    text = b"no " * 40 + b"and then something else: " + SENTENCE.encode() * 5
    found = longest_loop(text)
    assert found is not None
    assert found.period == len(SENTENCE)
    assert found.start == text.index(SENTENCE.encode()) - 1


def test_text_that_counts_up_is_compressible_and_no_loop():
    text = " ".join(f"The total utility of slice {n} is {3 * n} utils." for n in range(60)).encode()
    assert longest_loop(text) is None
    assert is_compressible(text)
    assert not is_compressible(text[:300])
    assert not is_compressible(bytes(range(256)) * 2)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(0, 100, 0.0, 0.0370), (50, 100, 0.4038, 0.5962), (100, 100, 0.9630, 1.0)]
)
def test_wilson(hits, n, low, high):
    assert wilson(hits, n) == pytest.approx((low, high), abs=1e-4)
    assert share([True] * hits + [False] * (n - hits))["share"] == hits / n


def test_relatives_are_on_one_side():
    assert {Output(name, b"", True).split for name in ("Mistral-7B-v0.1", "Mixtral-8x7B-v0.1", "mathstral-7B")} == {
        "train"
    }
    assert {Output(name, b"", True).split for name in ("Llama-2-7b-hf", "Meta-Llama-3-8B", "gemma-7b")} == {"test"}


def test_texts_by_language_are_long_enough(data):
    texts = read_languages(data)
    assert {language for language, _ in texts} == {"de"}
    assert all(512 <= len(text) < 600 for _, text in texts)


def test_missing_data_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"model_outputs\.jsonl is missing"):
        read_outputs(tmp_path)


def test_a_page_without_the_section_is_refused():
    with pytest.raises(ValueError, match="has no heading"):
        with_figures("# Page\n", {})


@pytest.mark.heavy
def test_figures_of_a_small_folder(data):
    report = evaluate(data)
    loops = report["loops"]["test"]["3"]
    assert (loops["models"], loops["looping"]["hits"], loops["looping"]["n"]) == (2, 2, 2)
    assert (loops["neither"]["hits"], loops["neither"]["n"]) == (0, 6)
    assert (loops["right_when_found"]["hits"], loops["right_when_not"]["hits"]) == (0, 2)
    assert 0.3 < loops["read_of_loop"][1] < 0.6
    assert report["phrases"]["test"]["refusal"]["hits"] == 2
    assert report["language"]["other_sentences"]["share"] == 1
    assert report["language"]["own_sentences"]["share"] == 0
    page = with_figures(f"# The monitor\n\n{HEADING}\n\nold\n", report)
    assert page.startswith("# The monitor\n\n## Measured\n\nWritten by")
    assert "| 3 | 2 of 2: 100.0% [34.2%, 100.0%] |" in page
    assert "\n\nold\n" not in page
