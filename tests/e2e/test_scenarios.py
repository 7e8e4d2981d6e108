"""The scenarios in `examples/scenarios`: the compiled router does in each of them what its first lines say."""

import os
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from edgewise.config import load_config
from edgewise.simulation import Report, load_scenario, read_rows, simulate

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "examples" / "scenarios"
PAGE = ROOT / "docs" / "simulation.md"
NAMES = ("budget", "error-burst", "outage", "peak", "price-change", "rate-limit", "voice")
MINUTE_MS = 60_000


@cache
def report_of(name: str) -> Report:
    """The report of the command that the scenario's first lines give."""
    text = (SCENARIOS / name / "scenario.toml").read_text(encoding="utf-8")
    command = shlex.split(re.sub(r"\\\n#", "", text[text.index("edgewise simulate") :]).splitlines()[0])
    options = dict(zip(command[3::2], command[4::2], strict=True))
    assert options["--scenario"] == f"examples/scenarios/{name}/scenario.toml"
    config = load_config(ROOT / options["--config"] if "--config" in options else None)
    scenario = load_scenario(ROOT / options["--scenario"], config)
    return simulate(config, scenario, read_rows(ROOT / command[2]))


def changes(report: Report, *kinds: str) -> list[str]:
    return [one.what for one in report.changes if one.what in kinds]


def test_there_are_scenarios():
    assert tuple(sorted(path.name for path in SCENARIOS.iterdir())) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_request_ends_once(name):
    total = report_of(name).total
    assert total.requests == total.served + total.refused + total.failed > 800
    assert 0 < total.cost < total.cost_of_strongest


def test_peak_a_fifth_moves_and_comes_back_without_flapping():
    report = report_of("peak")
    assert changes(report, "shift_began", "shift_ended") == ["shift_began", "shift_ended"]
    began, ended = (one.at_ms // MINUTE_MS * MINUTE_MS for one in report.changes)
    within = [tally for start, tally in report.bins.items() if began < start < ended]
    moved = sum(tally.gave_up["shift", "claude-opus-4"] for tally in within)
    assert moved / sum(tally.requests for tally in within) == pytest.approx(0.2, abs=0.03)
    assert moved == sum(tally.models["qwen2.5-72b"] for tally in within)
    assert report.total.judged == report.total.requests


def test_outage_others_answer_until_circuits_close_again():
    report = report_of("outage")
    total = report.total
    assert total.failed == 0
    assert 0 < total.fell_back < 50
    assert "circuit_opened" in changes(report, "circuit_opened")
    assert "gpt-4o" in {one.model for one in report.changes if one.what == "circuit_closed"}
    by_minute = sorted(report.bins.items())
    answers = [tally.models["gpt-4o"] for _, tally in by_minute]
    assert sum(answers[:5]) > 0
    assert sum(answers[5:20]) == 0
    assert sum(answers[25:]) > 0


def test_error_burst_only_europe_is_hit():
    report = report_of("error-burst")
    opened = {one.region for one in report.changes if one.what == "circuit_opened"}
    assert opened == {"eu-central"}
    assert report.total.failed == 0


def test_rate_limit_the_account_is_left_alone_for_its_minute():
    total = report_of("rate-limit").total
    assert total.attempts["gemini-2.0", "rate_limited"] < total.gave_up["cooling_down", "gemini-2.0"]
    assert all(tally.models["gemini-2.0"] <= 12 for tally in report_of("rate-limit").bins.values())
    assert {model for model, outcome in total.attempts if outcome == "rate_limited"} == {"gemini-2.0"}


def test_price_change_traffic_moves_to_what_became_cheap():
    report = report_of("price-change")
    (change,) = report.changes
    before = [tally for start, tally in report.bins.items() if start < change.at_ms]
    after = [tally for start, tally in report.bins.items() if start >= change.at_ms]
    shares = [
        sum(tally.models["gpt-4o"] for tally in part) / sum(tally.served for tally in part) for part in (before, after)
    ]
    assert shares[1] > 1.5 * shares[0]


def test_budget_no_tenant_spends_more_than_its_day_and_what_is_under_way():
    total = report_of("budget").total
    assert total.tenants["acme", "refused"] > 0
    assert 2 * 2e12 * 0.9 < total.spent["acme"] < 2 * 2e12 * 1.2
    assert total.gave_up["tenant_models", "claude-opus-4"] == total.tenants["initech", "served"]
    assert total.tenants["globex", "refused"] == 0


def test_voice_the_objective_holds_but_for_what_chance_and_learning_take():
    report = report_of("voice")
    total = report.total
    assert total.slo_asked == total.requests == total.served
    assert total.slo_missed < total.requests * 0.02
    assert total.missed_in["ap-northeast"] == 0


@pytest.mark.heavy
@pytest.mark.parametrize("name", NAMES)
def test_the_table_in_the_docs_says_what_the_scenario_prints(name):
    data = report_of(name).to_json()
    ttft = " / ".join(str(data["ttft_ms"][percent]) for percent in ("p50", "p95", "p99"))
    late = f"{data['slo_missed']:,} of {data['slo_asked']:,}"
    cells = (
        f"`{name}`",
        *(f"{data[key]:,}" for key in ("requests", "refused", "failed", "fell_back")),
        *(f"{data['saving']:.1%}", late, ttft),
    )
    row = f"| {' | '.join(cells)} |"
    text = PAGE.read_text(encoding="utf-8")
    if "UPDATE_DOCS" in os.environ:
        PAGE.write_text(re.sub(rf"^\| `{name}` \|.*$", row, text, flags=re.MULTILINE), encoding="utf-8")
    else:
        assert row in text, "UPDATE_DOCS=1 writes what was printed"
