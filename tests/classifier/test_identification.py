"""The evaluation of language identification: what it counts as right, and by what it divides."""

import json

import pytest

pytest.importorskip("numba")

from edgewise_classifier import identification
from edgewise_classifier.identification import (
    ENGLISH_WITH_CODE,
    SHARED,
    identification_baselines,
    identification_head,
    read_texts,
    same,
)


def test_groups():
    assert same("hr", "sr")
    assert same("nb", "da")
    assert same("en", "en")
    assert not same("hr", "sl")
    assert not same("da", "id")


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "sets").mkdir()
    sets = {
        "tatoeba_laser": [
            {"lang": "de", "text": "wo bist du"},
            {"lang": "fr", "text": "je voudrais réserver une table pour deux personnes ce soir, s'il vous plaît"},
            {"lang": "hr", "text": "gdje je najbliža trgovina, molim te"},
            {"lang": "not a language", "text": "skipped"},
        ],
        "lingua_words": [{"lang": "de", "text": "ein Wort"}],
        "math500": [{"text": "Write a short poem about the sea."}],
    }
    for name, rows in sets.items():
        (tmp_path / "sets" / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return read_texts(tmp_path)


def test_it_counts_by_length_language_and_group(texts):
    guesses = ["de", "fr", "sr"]
    head = identification_head(texts, guesses, lambda _: "en")
    assert head["pooled"]["n"] == 3
    assert head["pooled"]["accuracy"] == pytest.approx(2 / 3)
    assert head["pooled"]["grouped"] == 1
    assert head["sources"]["tatoeba_laser, 20 characters or fewer"]["n"] == 1
    assert head["sources"][f"tatoeba_laser, {SHARED}"]["n"] == 1
    assert head["sources"]["math500, English"]["accuracy"] == head["sources"][ENGLISH_WITH_CODE]["accuracy"] == 1
    assert head["languages"]["hr"]["mistakes"] == {"sr": 1}


def test_a_peer_is_measured_on_the_languages_that_it_knows(texts, monkeypatch):
    def missing():
        raise ImportError("not installed")

    peers = {"always German": lambda: (lambda _: "de", frozenset({"de", "fr"})), "not installed": missing}
    monkeypatch.setattr(identification, "_PEERS", peers)
    measured = identification_baselines(texts, ["de", "fr", "sr"])
    assert set(measured) == {"always German"}
    figures = measured["always German"]
    assert figures["languages"] == figures["pooled"]["n"] == figures["edgewise"]["pooled"]["n"] == 2
    assert figures["pooled"]["accuracy"] == 0.5
    assert figures["edgewise"]["pooled"]["accuracy"] == 1


def test_without_its_sets_nothing_is_read(tmp_path):
    assert read_texts(tmp_path) is None
