"""`edgewise simulate`: its options and what it prints."""

import json

import pytest
from click.testing import CliRunner

from edgewise.cli import main

SCENARIO = """
[arrivals]
per_minute = 60
minutes = 3
[outages.openai]
providers = ["openai"]
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"text": "Is it raining in Oslo?", "outcomes": {"gpt-4o": 1}}\n{"text": "hi"}\n')
    (tmp_path / "s.toml").write_text(SCENARIO)
    return tmp_path


def run(*arguments: object):
    return CliRunner().invoke(main, ["simulate", *map(str, arguments)])


def test_a_scenario_is_simulated(files):
    data = json.loads(run(files / "t.jsonl", "--scenario", files / "s.toml", "--json").stdout)
    assert data["requests"] == data["served"] > 100
    assert {outcome for model in data["attempts"].values() for outcome in model} <= {"ok", "error"}
    assert data["ttft_ms"]["p50"] > 0
    assert len(data["timeline"]) == 3


def test_words(files):
    result = run(files / "t.jsonl", "--scenario", files / "s.toml")
    assert result.exit_code == 0
    for words in ("that nobody answered", "what the router gave up", "calls", "p95 ms", "always claude-opus-4"):
        assert words in result.stdout


def test_a_directory_and_a_page(files):
    result = run(files, "--html", files / "r.html", "--json")
    assert json.loads(result.stdout)["requests"] == 2
    assert (files / "r.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("scenario", "options", "message"),
    [
        ("", ["--engine", "ray"], "a scenario is one world"),
        ("sed = 1", [], 's.toml:1: sed: unknown key; did you mean "seed"?'),
        ("", [], "request 1 has no at_ms; add it, or [arrivals] to the scenario"),
    ],
)
def test_bad_use_is_one_message(files, scenario, options, message):
    (files / "s.toml").write_text(scenario)
    result = run(files / "t.jsonl", "--scenario", files / "s.toml", *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_a_page_with_no_place_is_refused_before_the_replay(files):
    result = run(files / "t.jsonl", "--html", files / "none" / "r.html")
    assert result.exit_code == 2
    assert "there is no directory" in result.stderr
