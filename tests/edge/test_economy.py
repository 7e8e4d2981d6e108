"""The economy: by hand on two models, the identity of misrouting, and the brief's figures at its own prices."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgewise.cli import main
from edgewise.config import Config, load_config
from edgewise.economy import MISROUTED, Query, economy
from edgewise.errors import ConfigError

MODEL = {"provider": "own", "context": 10_000, "ttft_ms": 0}
SMALL = {**MODEL, "price_in": 1, "price_out": 2, "quality": [1, 0.9, 0.5, 0.1]}
LARGE = {**MODEL, "price_in": 10, "price_out": 20, "quality": [1, 1, 0.9, 0.9]}
CONFIG = Config.model_validate({"models": {"small": SMALL, "large": LARGE}})
SHARE = Decimal("0.7")


def test_costs_and_quality_by_hand() -> None:
    found = economy(CONFIG, None, None, SHARE, Query(1_000_000, 500_000))
    assert (found.cheap, found.frontier, found.strongest) == ("small", "large", "large")
    assert (found.cost_cheap, found.cost_frontier) == (2, 20)
    assert found.cost_routed == Decimal("7.4")
    assert found.saved_share == Decimal("0.63")
    assert found.quality_always == Decimal("0.7") * 1 + Decimal("0.3") * Decimal("0.9")
    assert found.quality_routed == found.quality_always - SHARE * Decimal("0.05")
    assert found.quality_gap == Decimal("0.6")


def test_easy_queries_at_the_frontier_lose_their_own_saving() -> None:
    for tokens in (10, 2_000):
        found = economy(CONFIG, None, None, SHARE, Query(tokens, 3))
        for share in MISROUTED:
            lost = found.misrouting(share)
            assert float(lost.to_frontier) == pytest.approx(float(share / SHARE))
            assert lost.to_strongest == lost.to_frontier


def test_hard_queries_at_the_cheap_model_lose_answers_less_money() -> None:
    found = economy(CONFIG, None, None, SHARE, Query(100_000, 0))
    lost = found.misrouting(Decimal("0.02"))
    assert lost.quality_lost == Decimal("0.012")
    assert float(lost.to_cheap) == pytest.approx(0.02 * (0.6 - 0.9) / 0.63)


def test_what_a_misrouted_query_must_cost() -> None:
    found = economy(load_config(None), "qwen2.5-7b", "gpt-4o", SHARE)
    needed = found.cost_that_loses(Decimal(1) / 3, Decimal("0.02"))
    assert float((needed - found.cost_cheap) * Decimal("0.02") / found.saving) == pytest.approx(1 / 3)


def test_the_brief_at_its_own_prices() -> None:
    """2,000 input tokens, 70/30: 0.03 and 0.0092 USD with GPT-4o; 2% misrouted to Opus lose 14.4%."""
    found = economy(load_config(None), "qwen2.5-7b", "gpt-4o", SHARE)
    assert (found.cost_frontier, found.cost_routed) == (Decimal("0.03"), Decimal("0.00921"))
    assert round(found.saved_share, 3) == Decimal("0.693")
    assert round(found.misrouting(Decimal("0.02")).to_strongest, 3) == Decimal("0.144")


def test_models_that_make_no_sense_are_errors() -> None:
    with pytest.raises(ConfigError, match="unknown model huge"):
        economy(CONFIG, None, "huge", SHARE)
    with pytest.raises(ConfigError, match="small does not cost more than large"):
        economy(CONFIG, "large", "small", SHARE)


def test_the_command(tmp_path: Path) -> None:
    run = CliRunner().invoke
    report = json.loads(run(main, ["economy", "--frontier", "gpt-4o", "--json"]).output)
    assert report["cost_usd"] == {"always_frontier": 0.03, "always_cheap": 0.0003, "routed": 0.00921}
    assert [one["share"] for one in report["misrouting"]] == [0.005, 0.01, 0.02, 0.05]
    shown = run(main, ["economy"])
    assert "always claude-opus-4" in shown.output
    assert run(main, ["economy", "--cheap-share", "1"]).exit_code == 2
    assert run(main, ["economy", "--cheap", "nobody"]).exit_code == 2
    pytest.importorskip("matplotlib")
    assert run(main, ["economy", "--docs", str(tmp_path)]).exit_code == 0
    assert "| 2.0% | 2.9% | 14.4% | 40.3% | 0.90% |" in (tmp_path / "economy.md").read_text()
    assert (tmp_path / "economy.svg").read_text().startswith("<?xml")
