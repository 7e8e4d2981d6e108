"""Outcomes: the papers' metrics by hand, tables that learn from outcomes, the whole evaluation on a small folder."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from click.testing import CliRunner

from edgewise.cli import main
from edgewise.config import load_config, parse_config
from edgewise.core.labels import SCORE_ONE
from edgewise.core.layout import Weights
from edgewise.core.quality import expected_quality
from edgewise.engine import CoreModuleEngine
from edgewise.errors import EdgewiseError
from edgewise.interpreted import InterpretedCore
from edgewise.packing import pack_policy
from edgewise.request import Request
from edgewise_classifier import outcomes, outcomes_metrics
from edgewise_classifier.calibration import (
    calibrate,
    expected,
    fit,
    language_factors,
    parse_outcome,
    read_signals,
    tables_of,
    to_toml,
)
from edgewise_classifier.outcomes_metrics import aiq, apgr, bootstrap, cost_of_quality, cpt, hull
from edgewise_classifier.outcomes_page import bars, markdown, pictures

EXAMPLES = Path(__file__).parents[2] / "examples" / "configs"
CODE = "Write a Python function that sorts a list of {} by {}, with type hints and tests."
FACTS = "who discovered {} and in which year was {} founded"
WORDS = ("amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heath", "ivory", "jade", "kelp", "lotus")


class TestMetrics:
    def test_the_hull_keeps_what_no_mix_beats(self) -> None:
        costs, qualities = np.array([1.0, 2, 3, 4, 2]), np.array([0.2, 0.3, 0.8, 0.7, 0.6])
        assert [part.tolist() for part in hull(costs, qualities)] == [[1, 2, 3], [0.2, 0.6, 0.8]]

    def test_aiq_is_the_mean_height_and_level_where_nothing_is_better(self) -> None:
        costs, qualities = np.array([0.0, 1.0]), np.array([0.0, 1.0])
        assert aiq(costs, qualities, 0, 1) == pytest.approx(0.5)
        assert aiq(costs, qualities, 0, 2) == pytest.approx(0.75)
        assert aiq(np.array([1.0]), np.array([0.4]), 1, 3) == pytest.approx(0.4)

    def test_the_cost_of_a_quality_is_read_off_the_hull(self) -> None:
        costs, qualities = np.array([0.0, 1.0]), np.array([0.2, 0.6])
        assert cost_of_quality(costs, qualities, 0.3) == pytest.approx(0.25)
        assert cost_of_quality(costs, qualities, 0.7) == float("inf")

    def test_apgr_of_chance_and_of_a_perfect_order(self) -> None:
        weak, strong = np.array([1.0, 1, 0, 0]), np.ones(4)
        assert apgr(np.zeros(4), weak, strong) == pytest.approx(0.5)
        assert apgr(strong - weak, weak, strong) == pytest.approx(0.75)
        assert apgr(weak - strong, weak, strong) == pytest.approx(0.25)

    def test_cpt_is_the_share_of_calls_that_recovers_as_much(self) -> None:
        weak, strong = np.array([1.0, 1, 0, 0]), np.ones(4)
        assert cpt(strong - weak, weak, strong, 0.5) == pytest.approx(0.25)
        assert cpt(np.zeros(4), weak, strong, 0.8) == pytest.approx(0.8)

    def test_a_bootstrap_finds_the_spread_of_a_mean(self) -> None:
        values = np.random.default_rng(1).normal(0, 1, 400)
        low, high = bootstrap(400, lambda rows: float(values[rows].mean()))
        assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.2)


def outcomes_of(count: int, templates: tuple[str, str] = (CODE, FACTS), **scores: tuple[float, float]) -> list[Any]:
    """Prompts that are code and facts in turn, with each model's score on either."""
    rng = random.Random(7)
    rows = []
    for index in range(count):
        code = index % 2 == 0
        text = templates[index % 2].format(rng.choice(WORDS), rng.choice(WORDS))
        scored = {model: pair[0 if code else 1] for model, pair in scores.items()}
        rows.append(
            {"id": str(index), "text": f"{text} {index}", "scores": scored, "category": "code" if code else "facts"}
        )
    return rows


class TestCalibration:
    ROWS = outcomes_of(80, **{"gpt-4o": (1.0, 1.0), "qwen2.5-7b": (0.0, 1.0)})

    def test_tables_follow_the_outcomes(self) -> None:
        config = load_config(None)
        found = {one.model: one for one in calibrate(config, [parse_outcome(row) for row in self.ROWS])}
        small = found["qwen2.5-7b"]
        assert small.prompts == 80
        assert small.error_after < 0.05 < small.error_before
        signals = read_signals(config, [parse_outcome(row).request for row in outcomes_of(4, x=(0, 0))])
        code, fact, *_ = expected(signals.rows, np.ones(4), tables_of(small.config))
        assert code < 0.3 < 0.7 < fact

    def test_a_row_times_the_tables_is_the_quality_that_the_core_expects(self) -> None:
        """The core in Python, with the signals of the compiled one: its own `expected_quality`, model by model."""
        text = (EXAMPLES / "language-quality.toml").read_text(encoding="utf-8")
        config = parse_config(text.replace("domains = ", "domains = { default = 0.02, law = [0.1, 0, -0.3, 0.2] } # "))
        requests = [parse_outcome(row).request for row in outcomes_of(6, x=(0, 0))]
        requests.append(
            Request.parse({"text": "Is a verbal contract binding under English law, and who must prove it?"})
        )
        core = InterpretedCore(bytes(Weights.size))
        core.load_policy(pack_policy(config))
        engine = CoreModuleEngine()
        engine.load_policy(pack_policy(config))
        signals = read_signals(config, requests)
        for index, name in enumerate(sorted(config.models)):
            factors = language_factors(config, name, signals.languages)
            fitted = expected(signals.rows, factors, tables_of(config.models[name]))
            for request, one in zip(requests, fitted, strict=True):
                core.memory.scene = engine.scene(engine.call(engine.place(request)))
                assert expected_quality(core.models[index], core.memory) / SCORE_ONE == pytest.approx(one, abs=0.001)

    def test_what_nothing_is_known_of_stays(self) -> None:
        rows, prior = np.zeros((0, 104)), np.linspace(0, 0.9, 104)
        assert fit(rows, np.zeros(0), prior) == pytest.approx(prior, abs=6e-4)

    def test_the_tables_are_toml_of_a_router(self) -> None:
        config = load_config(None)
        found = calibrate(config, [parse_outcome(row) for row in self.ROWS[:10]])
        model = 'provider = "p"\nprice_in = 1\nprice_out = 1\ncontext = 1000\nttft_ms = 1\n'
        text = "".join(f'[models."{one.model}"]\n{model}' for one in found) + to_toml(found)
        for one in found:
            assert parse_config(text).models[one.model].quality == one.config.quality
            assert parse_config(text).models[one.model].domains == one.config.domains

    def test_mistakes_are_named(self, tmp_path: Path) -> None:
        file = tmp_path / "outcomes.jsonl"
        for line, message in (
            (
                '{"text": "a", "scores": {"gpt-4o": 2}}',
                "outcomes.jsonl:1: scores.gpt-4o: 2 is not a number from 0 to 1",
            ),
            ('{"text": "a"}', "outcomes.jsonl:1: no scores"),
            ("{", "outcomes.jsonl:1: "),
            ("", "no outcomes; write a line such as"),
            ('{"text": "a", "scores": {"who": 1}}', "the outcomes name the model who"),
        ):
            file.write_text(line, encoding="utf-8")
            result = CliRunner().invoke(main, ["calibrate", str(file)])
            assert result.exit_code == 2
            assert message in result.output

    def test_the_command_prints_tables(self, tmp_path: Path) -> None:
        file = tmp_path / "outcomes.jsonl"
        file.write_text("\n".join(map(json.dumps, self.ROWS[:10])), encoding="utf-8")
        shown = CliRunner().invoke(main, ["calibrate", str(file), "--json"])
        report = json.loads(shown.stdout)
        assert set(report) == {"gpt-4o", "qwen2.5-7b"}
        assert set(report["gpt-4o"]) == {"prompts", "error_before", "error_after", "quality", "domains"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small model that cannot write code and a large one that can, in the three files; embeddings are made up."""
    small, large = (0.0, 1.0), (1.0, 1.0)
    mix = outcomes_of(200, small=small, large=large)
    for index, row in enumerate(mix):
        row["split"] = "test" if index % 4 > 1 else "train"
    others = ("Implement {} in Rust as a generic struct named {}", "name the capital of {} and the river of {}")
    pro = outcomes_of(60, others, **dict(zip(outcomes.STAND_INS, (small, large), strict=True)))
    pro = [{**row, "in_routellm_mmlu": index > 50} for index, row in enumerate(pro)]
    pair = outcomes_of(80, **{outcomes.WEAK: small, outcomes.STRONG: large})
    for index, row in enumerate(pair):
        row["category"] = "gsm8k" if index % 4 < 2 else "mmlu_history"
    (tmp_path / "outcomes").mkdir()
    for name, rows in (("llmrouter_mix", mix), ("mmlu_pro", pro), ("routellm_mmlu_gsm8k", pair)):
        file = tmp_path / "outcomes" / f"{name}.jsonl"
        file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    prices = {name: {"input_price": price, "output_price": price} for name, price in (("small", 0.1), ("large", 1.0))}
    (tmp_path / "outcomes" / "model_prices.json").write_text(json.dumps({"llmrouter": prices}), encoding="utf-8")
    monkeypatch.setattr(outcomes, "embed", lambda texts, _: np.array([[len(text), 1.0] for text in texts]))
    monkeypatch.setattr(outcomes, "NEIGHBOURS", (5, 15))
    monkeypatch.setattr(outcomes, "ANSWER_VALUES", (0.0, 1e-5, 1e-3, 1e-2))
    monkeypatch.setattr(outcomes_metrics, "BOOTSTRAPS", 20)
    return tmp_path


def test_the_whole_evaluation(folder: Path) -> None:
    report = outcomes.evaluate_outcomes(folder)
    assert json.loads(json.dumps(report)) == report
    many = report["many_models"]
    assert (many["n_train"], many["n_test"]) == (100, 100)
    assert many["best_single"] == "large"
    ours, chance, best = (many["routers"][name] for name in ("edgewise", "random_mix", "oracle"))
    assert chance["aiq"] < ours["aiq"] <= best["aiq"] + 1e-9
    assert ours["saving_at_best_single"] > 0.05
    assert chance["saving_at_best_single"] == 0
    pair = report["weak_or_strong"]
    assert pair["n_calibrated"] == 51
    for benchmark in ("mmlu", "gsm8k"):
        figures = pair["benchmarks"][benchmark]
        assert figures["n"] == 40
        assert figures["routers"]["calibrated_tables"]["apgr"] > 0.7
    page = markdown(report, ["many.svg", "pair.svg"])
    assert "| edgewise, tables calibrated |" in page
    assert page.count("**not held**") == 1
    assert all(svg.startswith("<?xml") for svg in pictures(report).values())
    assert [row[-1] for row in bars(report)][1] == "**not held**"
    ours["saving_at_best_single"] = 0.41
    assert [row[-1] for row in bars(report)][1] == "held"


def test_a_folder_without_outcomes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EdgewiseError, match="no outcome files"):
        outcomes.evaluate_outcomes(tmp_path)
