"""The report adds up what the router decides."""

import pytest

from edgewise import Router
from edgewise.catalogue import strongest
from edgewise.simulation import Report, Row, replay
from edgewise.simulation.replay import empty_report
from edgewise.simulation.report import MINUTE_MS, total_of
from support.scene import NOON


@pytest.fixture(scope="module")
def router() -> Router:
    return Router()


def rows(*fields: dict) -> list[Row]:
    return [Row.parse({"text": "What is the boiling point of water?", **one}) for one in fields]


def test_the_sums_are_those_of_the_decisions(router):
    traffic = rows({}, {"region": "eu-west", "latency_slo_ms": 1}, {"objective": "quality"}, {"region": "eu-west"})
    report = replay(router, traffic)
    served = [traffic[0], *traffic[2:]]
    decisions = [router.decide(row.request) for row in served]
    best = strongest(router.config)
    always = sum(best.cost(decision.input_tokens, decision.output_tokens) for decision in decisions)
    total = report.total
    assert (total.requests, total.served, total.refused) == (4, 3, 1)
    assert total.cost == sum(decision.cost for decision in decisions)
    assert total.cost_of_strongest == always
    assert report.saving == pytest.approx(1 - total.cost / always)
    assert total.regions == {"unknown": 2, "eu-west": 2}
    assert sum(report.decision_us.values()) == 4


def test_what_nobody_can_serve_costs_nothing_on_either_side(router):
    total = replay(router, rows({"max_tokens": 2**31 - 1})).total
    assert (total.requests, total.refused, total.cost, total.cost_of_strongest) == (1, 1, 0, 0)
    assert not total.models
    assert {code for code, _ in total.gave_up} == {"output_limit"}


def test_quality_counts_where_it_is_known(router):
    chosen, best = router.decide(rows({})[0].request).model, strongest(router.config).name
    assert chosen != best
    traffic = rows({"outcomes": {chosen: 0.5, best: 1}}, {"outcomes": {chosen: 1}}, {"outcomes": {best: 0}}, {})
    quality = replay(router, traffic).to_json()["quality"]
    assert quality == {"judged": 2, "mean": 0.75, "judged_of_strongest": 1, "strongest": 1.0}


def test_parts_add_up_to_the_whole_in_any_order(router):
    fields = [
        {"region": place, "at_ms": NOON + hour * 3_600_000} for place in ("us-east", "eu-west") for hour in range(5)
    ]
    traffic = rows(*fields, {}, {"latency_slo_ms": 1})
    whole = replay(router, traffic)
    parts = [replay(router, traffic[start : start + 5]) for start in (10, 0, 5)]
    merged = total_of(parts, empty_report(router.config))
    assert merged.total == whole.total
    assert merged.bins == whole.bins
    drop = {"decision_us": None}
    assert {**merged.to_json(), **drop} == {**whole.to_json(), **drop}


def test_no_traffic_is_a_report_of_zeros():
    data = Report("m").to_json()
    assert (data["requests"], data["cost_usd"], data["saving"], data["timeline"]) == (0, 0, 0.0, [])
    assert data["decision_us"] == {"p50": 0, "p99": 0}


@pytest.mark.parametrize(("minutes", "width"), [(1, 1), (48, 1), (49, 2), (24 * 60, 30), (20 * 24 * 60, 12 * 60)])
def test_steps_are_few_and_lose_nothing(router, minutes, width):
    report = Report("claude-opus-4")
    for row in rows({"at_ms": NOON}, {"at_ms": NOON + (minutes - 1) * MINUTE_MS}):
        one = replay(router, [row])
        report.total.add(one.total)
        report.bins[row.request.at_ms] = one.total
    assert report.step_ms == width * MINUTE_MS
    starts = [start for start, _ in report.steps()]
    assert starts == sorted({at_ms // report.step_ms * report.step_ms for at_ms in report.bins})
    assert sum(tally.requests for _, tally in report.steps()) == len(report.bins)
