"""The simulator adds up what the router decides."""

import pytest

from edgewise import Request, Router
from edgewise.catalogue import strongest
from edgewise.simulate import Report, simulate


@pytest.fixture(scope="module")
def router() -> Router:
    return Router()


def requests(*fields: dict) -> list[Request]:
    return [Request.parse({"text": "What is the boiling point of water?", **one}) for one in fields]


def test_the_sums_are_those_of_the_decisions(router):
    traffic = requests({}, {"region": "eu-west"}, {"objective": "quality"})
    report = simulate(router, traffic)
    decisions = [router.decide(request) for request in traffic]
    assert report.requests == 3
    assert report.cost == sum(decision.cost for decision in decisions)
    best = strongest(router.config)
    always = sum(best.cost(decision.input_tokens, decision.output_tokens) for decision in decisions)
    assert report.cost_of_strongest == always
    assert report.saving == pytest.approx(1 - report.cost / always)
    assert report.regions == {"unknown": 2, "eu-west": 1}
    assert len(report.decision_us) == 3


def test_what_nobody_can_serve_costs_nothing_on_either_side(router):
    report = simulate(router, requests({"max_tokens": 2**31 - 1}))
    assert (report.requests, report.unserved, report.cost, report.cost_of_strongest) == (1, 1, 0, 0)
    assert report.saving == 0.0
    assert sum(report.models.values()) == 0


def test_no_traffic_is_a_report_of_zeros():
    data = Report().to_json()
    assert (data["requests"], data["cost_usd"], data["saving"], data["decision_us"]) == (
        0,
        0,
        0.0,
        {"p50": 0.0, "p99": 0.0},
    )
