"""Scenario files: what they mean, and how mistakes are named."""

import pytest

from edgewise.errors import ConfigError
from edgewise.simulation import load_scenario, parse_scenario
from edgewise.simulation.scenario import DAY_MS, MINUTE_MS, Disruption, Hours
from support.scene import config_of

CONFIG = config_of(
    {"big": {"provider": "far", "regions": ["us-east"]}, "small": {"provider": "near"}},
    policy={"regions": ["us-east", "eu-west"]},
)


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse_scenario(text, CONFIG, "s.toml")
    return str(error.value).splitlines()


def test_what_is_left_out_is_as_the_configuration_says():
    scenario = parse_scenario("", CONFIG)
    assert (scenario.seed, scenario.arrivals, scenario.models, scenario.disruptions) == (0, None, {}, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[outages.noon]\nmodels = ['bigg']", 's.toml:2: outages.noon.models[0]: unknown model "bigg"'),
        ("[slowdowns.a]\nfactor = 2\nregions = ['us']", 's.toml:3: slowdowns.a.regions[0]: unknown region "us"'),
        ("[outages.a]\nproviders = ['nearr']", 's.toml:2: outages.a.providers[0]: unknown provider "nearr"'),
        ("[models.gone]\n", 's.toml:1: models.gone: unknown model "gone"'),
        ("[models.big]\nttft_ms = { default = 1, mars = 2 }", 's.toml:2: models.big.ttft_ms.mars: unknown region'),
        ("[providers.faar]\nhop_ms = 3", 's.toml:1: providers.faar: unknown provider "faar"'),
        ("[models.big]\nttft_ms = 300\nttft_p95_ms = 200", "s.toml:3: models.big.ttft_p95_ms: 200 is less"),
        ("[slowdowns.a]\nfactor = 0", "s.toml:2: slowdowns.a.factor: 0 is not more than 0; write what the time"),
        ("[slowdowns.a]\n", "s.toml:1: slowdowns.a.factor: missing; write what the time"),
        ("[outages.a]\nhours = '8-9'", 's.toml:2: outages.a.hours: "8-9" is not hours of the day; write the hours'),
        ("[outages.a]\nour = 1", "s.toml:2: outages.a.our: unknown key; did you mean \"hours\"?"),
        ("[error_bursts.a]\nrate = 1.5", "s.toml:2: error_bursts.a.rate: 1.5 is more than 1; write the share"),
        ("[price_changes.a]\nmodel = 'big'\nat = 12\nprice_in = 1\nprice_out = 1", "s.toml:3: price_changes.a.at: 12"),
        ("[price_changes.a]\nmodel = 'b'\nat = '12:00'\nprice_in = 0\nprice_out = 1", "s.toml:4: price_changes.a.p"),
        ("[peaks.a]\nfactor = 2", "s.toml:1: peaks: requests come at their own at_ms; add [arrivals]"),
        ("[arrivals]\nper_minute = 1", "s.toml:1: arrivals.minutes: missing; write for how many minutes"),
        ("[arrivals]\nper_minute = 1\nminutes = 1\nregions = { mars = 1 }", "s.toml:4: arrivals.regions.mars: unknown"),
        ("start = 2026-01-01T00:00:00Z", "s.toml:1: start: requests come at their own at_ms; add [arrivals]"),
        ("[models.small]\nttft_p95_ms = 90", "s.toml:2: models.small.ttft_p95_ms: 90 is less than the median, 200"),
        ("start = 2026-01-01T00:00:00", "s.toml:1: start: "),
        ("start = '2026-01-01'", "s.toml:1: start: "),
        ("sed = 1", 's.toml:1: sed: unknown key; did you mean "seed"?'),
        ("seed = 1\nseed = 2", "s.toml:2: invalid TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(text, message):
    assert any(problem.startswith(message) for problem in problems_of(text)), problems_of(text)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        load_scenario(tmp_path / "none.toml", CONFIG)
    (tmp_path / "s.toml").write_bytes(b"seed = 1\n# \xff")
    with pytest.raises(ConfigError, match=r"s\.toml:2: byte 0xff is not UTF-8"):
        load_scenario(tmp_path / "s.toml", CONFIG)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, [True] * 6),
        ({"hours": "08:00-18:00"}, [False, True, True, False, False, True]),
        ({"hours": "18:00-08:00"}, [True, False, False, True, True, False]),
        ({"hours": "18:00-08:00", "day": 1}, [False, False, False, True, True, False]),
        ({"day": 2}, [False, False, False, False, True, True]),
    ],
)
def test_hours_hold_by_utc_and_span_midnight(table, expected):
    hours = Hours.model_validate(table)
    minutes = [7 * 60 + 59, 8 * 60, 17 * 60 + 59, 18 * 60, 24 * 60 + 1, 24 * 60 + 8 * 60]
    assert [hours.holds(100 * DAY_MS + minute * MINUTE_MS, 100) for minute in minutes] == expected


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, {"big us-east", "big eu-west", "small us-east", "small eu-west"}),
        ({"models": ["big"]}, {"big us-east", "big eu-west"}),
        ({"providers": ["near"]}, {"small us-east", "small eu-west"}),
        ({"models": ["big"], "providers": ["near"], "regions": ["eu-west"]}, {"big eu-west", "small eu-west"}),
    ],
)
def test_a_disruption_hits_what_it_names(table, expected):
    disruption = Disruption.model_validate(table)
    hit = {
        f"{model} {region}"
        for model, provider in (("big", "far"), ("small", "near"))
        for region in ("us-east", "eu-west")
        if disruption.hits(model, provider, region)
    }
    assert hit == expected
