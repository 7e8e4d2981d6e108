"""`router.toml`: what is read, and how every mistake is named."""

import random
import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.config import Config, default_catalogue, describe, load_config, parse_config, strongest
from edgewise.config_models import (
    CHOOSABLE_OBJECTIVES,
    DEFAULT_OBJECTIVES,
    MAX_ANSWER_VALUE_USD,
    MAX_PRICE,
    MAX_TTFT_MS,
    MAX_WAIT_USD_PER_SECOND,
)
from edgewise.config_schema import SCHEMA_FILE, json_schema, schema_text
from edgewise.core.labels import TASKS
from edgewise.core.language import LANGUAGES
from edgewise.core.policy import DIFFICULTY_BANDS
from edgewise.errors import ConfigError
from edgewise.money import price_per_token, to_dollars, to_picodollars

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "configs").glob("*.toml"))

MODEL = """[models.small]
provider = "own"
price_in = 0.15
price_out = 0.60
context = 32768
ttft_ms = 200
quality = 0.9
"""


def error_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    return str(caught.value)


def with_model(line: str) -> str:
    """The model above with one key replaced or added."""
    key = line.split("=")[0].strip()
    return "".join(one for one in MODEL.splitlines(keepends=True) if not one.startswith(f"{key} ")) + line


def test_the_smallest_file() -> None:
    config = parse_config(MODEL)
    model = config.models["small"]
    assert model.price_in == Decimal("0.15")
    assert model.picodollars_per_token == (150_000, 600_000)
    assert model.cost(1000, 100) == 1000 * 150_000 + 100 * 600_000
    assert model.quality == dict.fromkeys(TASKS, (Decimal("0.9"),) * DIFFICULTY_BANDS)
    assert config.policy.objective == "balanced"


def test_quality_in_all_its_forms() -> None:
    text = with_model("[models.small.quality]\ndefault = 0.5\ncode = [0.9, 0.8, 0.7, 0.6]\nchat = 1\n")
    text = text.replace("quality = 0.9\n", "")
    quality = parse_config(text).models["small"].quality
    assert quality["code"] == (Decimal("0.9"), Decimal("0.8"), Decimal("0.7"), Decimal("0.6"))
    assert quality["chat"] == (1, 1, 1, 1)
    assert quality["tool"] == (Decimal("0.5"),) * 4
    listed = parse_config(with_model("quality = [0.9, 0.8, 0.7, 0.6]")).models["small"].quality
    assert listed["factual"] == listed["code"] == quality["code"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("price_in = -1", "price_in: -1 is less than 0; write the price in USD per million input tokens"),
        ("price_in = nan", "price_in: NaN is not a finite number; write the price in USD"),
        ("price_out = inf", "price_out: Infinity is not a finite number; write the price in USD"),
        ("price_in = 10001", "price_in: 10001 is more than 10000; write"),
        ("price_in = 1e999999", "price_in: 1E+999999 is more than 10000; write"),
        ('price_in = "15"', 'price_in: "15" is not a number, which is written without quotes; write'),
        ("price_in = true", "price_in: true is not a number"),
        ("price_in = 0.0000001", "price_in: 1E-7 is finer than a picodollar a token; give at most 6"),
        ("price_in = 0", "price_in: 0; write the price in USD per million input tokens, or free = true"),
        ("context = 0", "context: 0 is not more than 0; write the context window in tokens"),
        ("context = 1.5", "context: 1.5 does not fit"),
        ("context = 99999999999", "context: 99999999999 is more than 2147483647"),
        ("max_output = 40000", "max_output: 40000 is more than context = 32768; write"),
        ("ttft_ms = -1", "ttft_ms: -1 is less than 0; write the usual time to the first token"),
        ("ttft = 5", 'ttft: unknown key; did you mean "ttft_ms"?'),
        ("frobnicate = 5", "frobnicate: unknown key; there are abilities, context"),
        ('abilities = ["tool"]', 'abilities[0]: unknown ability "tool"; did you mean "tools"?'),
        ('abilities = ["json", "json"]', 'abilities[1]: "json" is listed twice; remove one'),
        ('languages = ["en", "EN"]', 'languages[1]: unknown language "EN"; did you mean "en"?'),
        ("languages = []", "languages: a list of 0 is too short"),
        ('regions = ["eu"]', 'regions[0]: unknown region "eu"; list it in policy.regions'),
        ("live_retrieval = 1", "live_retrieval: 1 does not fit"),
        ('knowledge_cutoff = "2024-13"', 'knowledge_cutoff: "2024-13" does not fit'),
        ("quality = 1.1", "quality: 1.1 is not between 0 and 1; write a quality from 0 to 1"),
        ("quality = nan", "quality: NaN is not a finite number; write a quality"),
        ('quality = "good"', 'quality: "good" is not a number'),
        ("quality = [1, 2]", "quality: 2 numbers; write 4, for the difficulties 0, 1/3, 2/3, 1"),
        ("quality = [1, 1, 1, 2]", "quality[3]: 2 is not between 0 and 1"),
        ("quality = { default = 1, coding = 1 }", 'quality.coding: unknown task "coding"; did you mean'),
        ("quality = { code = 1 }", "quality: nothing for factual, extract, summarize"),
        ("quality = { default = 1, chat = [1, 1, 1, -1] }", "quality.chat[3]: -1 is not between 0 and 1"),
        ('provider = "a b"', 'provider: "a b" is not a name; use letters'),
        ('provider = ""', 'provider: "" is not a name'),
        ('provider = "a\\u0000"', 'provider: "a\\u0000" is not a name'),
        ("provider = 7", "provider: 7 does not fit"),
        ("endpoint = { base_url = 'x' }", 'endpoint.base_url: "x" does not fit'),
        ("endpoint = {}", "endpoint.base_url: missing; write the URL of an OpenAI-compatible API"),
    ],
)
def test_a_wrong_key_of_a_model(line: str, message: str) -> None:
    text = with_model(line)
    number = text[: text.rindex(line)].count("\n") + 1
    assert error_of(text).startswith(f"router.toml:{number}: models.small.{message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MODEL + "free = true", "3: models.small.price_in: 0.15 contradicts free = true; remove one of them"),
        (
            MODEL.replace("price_in = 0.15\n", ""),
            "1: models.small.price_in: missing; write the price in USD",
        ),
        (
            MODEL.replace("context = 32768\n", ""),
            "1: models.small.context: missing; write the context window in tokens",
        ),
        (with_model("languages = [\n'en',\n'q',\n]"), "10: models.small.languages[1]: unknown language"),
        ("", "1: models: missing; write 1 to 1024 tables such as [models.gpt-4o]"),
        ("[models]", "1: models: an empty table is too short"),
        ("models = 3", "1: models: 3 does not fit"),
        (MODEL + "[model.x]", '8: model: unknown key; did you mean "models"?'),
        (
            "[models.qwen2.5-7b]\nfree = true",
            '1: models.qwen2.5-7b: unknown; if the model is called qwen2.5-7b, write the name in quotes: [models."',
        ),
        (MODEL + "[models.'a b']\nfree = true", '8: models."a b": "a b" is not a name'),
        (
            MODEL + "[clusters.codes]\nchain = ['small']",
            '8: clusters.codes: unknown cluster "codes"; did you mean "code"?',
        ),
        (MODEL + "[clusters.code]\nchain = []", "9: clusters.code.chain: a list of 0 is too short"),
        (MODEL + "[clusters.code]\n", "8: clusters.code.chain: missing; write a list of 1 to 8 models"),
        (MODEL + f"[clusters.code]\nchain = {['small'] * 9}", "9: clusters.code.chain: a list of 9 is too long"),
        (
            MODEL + "[clusters.code]\nchain = [\n'smal']",
            '10: clusters.code.chain[0]: unknown model "smal"; did you mean',
        ),
        (MODEL + "[clusters.code]\nchain = ['small', 'small']", '9: clusters.code.chain[1]: "small" is listed twice'),
        (MODEL + "[objectives.speed]", '8: objectives.speed: unknown objective "speed"; there are balanced, cost'),
        (MODEL + "[objectives.cost]\nanswer_value_usd = -1", "9: objectives.cost.answer_value_usd: -1 is less than 0"),
        (
            MODEL + "[policy]\nobjective = 'costs'",
            '9: policy.objective: unknown objective "costs"; did you mean "cost"?',
        ),
        (MODEL + "[policy]\ndefault_model = 'big'", '9: policy.default_model: unknown model "big"; there are small'),
        (
            MODEL + "[policy]\nabstain_below = 2",
            "9: policy.abstain_below: 2 is more than 1; write a confidence from 0 to 1",
        ),
        (
            MODEL + "[policy]\ndifficulty_cap = -0.1",
            "9: policy.difficulty_cap: -0.1 is less than 0; write a difficulty",
        ),
        (
            MODEL + "[policy]\ntime_sensitive_from = 0.5",
            "9: policy.time_sensitive_from: no model has live_retrieval = true",
        ),
        (MODEL + "[policy]\ntime_sensitive_from = 'no'", '9: policy.time_sensitive_from: "no" is not a number'),
        (MODEL + "[policy]\nregions = ['eu', 'eu']", '9: policy.regions[1]: "eu" is listed twice; remove one'),
        (
            MODEL + "[policy]\nregions = ['eu']\nstrict_regions = ['eu']",
            '10: policy.strict_regions[0]: no model is served in "eu"; add it to the regions of one',
        ),
        (MODEL + "[policy]\nregions = ['eu']\nstrict_regions = ['ue']", "10: policy.strict_regions[0]: unknown region"),
        (
            MODEL + f"[policy]\nregions = {[f'r{i}' for i in range(65)]}",
            "9: policy.regions: a list of 65 is too long",
        ),
    ],
)
def test_a_wrong_file(text: str, message: str) -> None:
    assert error_of(text).startswith(f"router.toml:{message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\na = 2\n", "2: invalid TOML: cannot overwrite a value; this key is given twice; remove one"),
        ("[a]\n[a]\n", "2: invalid TOML: cannot declare ('a',) twice; this table is given twice; join the two"),
        ("[a]\nb = big\n", "2: invalid TOML: invalid value; not a value; write text in quotes"),
        ("[a]\nb 1\n", "2: invalid TOML: expected '=' after a key in a key/value pair; look at \"b 1\""),
        ("[a]\nb = [1,\n", "2: invalid TOML:"),
        ("\ufeff[a]", "1: invalid TOML:"),
        ("a = '\0'", "1: invalid TOML:"),
        ('a = "\\ud800"', "1: invalid TOML:"),
    ],
)
def test_invalid_toml(text: str, message: str) -> None:
    assert error_of(text).startswith(f"router.toml:{message}")


def test_all_mistakes_at_once_in_the_order_of_the_file() -> None:
    text = MODEL.replace("own", "o w n").replace("200", "-1") + "colour = 1\n"
    lines = error_of(text).splitlines()
    assert [line.split(":")[1] for line in lines] == ["2", "6", "8"]


def test_many_mistakes_are_counted() -> None:
    text = MODEL + "".join(f"key{index} = 1\n" for index in range(30))
    assert error_of(text).splitlines()[-1] == "router.toml: and 10 more"


def test_nesting_too_deep_and_numbers_too_long() -> None:
    assert "nested too deeply" in error_of("a = " + "[" * 5000)
    assert "cannot be read" in error_of("a = " + "9" * 5000)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "router.toml"
    with pytest.raises(ConfigError, match=r"router.toml: cannot be read \(no such file or directory\)"):
        load_config(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    path.write_bytes(b"# ok\n# \xff\n")
    with pytest.raises(ConfigError, match=r"router.toml:2: byte 0xff is not UTF-8"):
        load_config(str(path))
    path.write_bytes(b"\xef\xbb\xbf" + MODEL.replace("\n", "\r\n").encode())
    assert load_config(path) == parse_config(MODEL)


@given(st.text(max_size=60) | st.text("abc=[]{}\"'.,1#\n ", max_size=60))
def test_no_text_raises_anything_else(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^router\.toml(:\d+)?: "):
        parse_config(text)


@given(st.randoms(use_true_random=False))
def test_a_damaged_catalogue_is_read_or_named(chance: random.Random) -> None:
    text = default_catalogue()
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(text))
        text = text[:start] + chance.choice(["", "x", "\n", '"', "0", "]"]) + text[start + chance.randint(0, 30) :]
    try:
        parse_config(text)
    except ConfigError as error:
        for line in str(error).splitlines():
            place = re.match(r"router\.toml:(\d+): ", line)
            assert place is None or int(place.group(1)) <= text.count("\n") + 1


@given(st.decimals(0, MAX_PRICE, places=6))
def test_prices_are_exact(price: Decimal) -> None:
    assert price_per_token(price) == int(price.scaleb(6))


@given(st.integers(0, 10**18))
def test_money_comes_back(picodollars: int) -> None:
    assert to_picodollars(Decimal(picodollars) / 10**12) == picodollars
    assert to_dollars(picodollars) == picodollars / 10**12


def test_the_limits_keep_sums_of_the_core_small() -> None:
    tokens, score_one = 64 * 2**20, 10_000
    cost = 2 * price_per_token(Decimal(MAX_PRICE)) * tokens
    worth = to_picodollars(Decimal(MAX_ANSWER_VALUE_USD)) // score_one * score_one
    wait = to_picodollars(Decimal(MAX_WAIT_USD_PER_SECOND)) // 1000 * MAX_TTFT_MS
    assert cost + worth + wait < 2**62


def test_recency() -> None:
    assert parse_config(MODEL).time_sensitive_from is None
    live = MODEL + "live_retrieval = true\n"
    assert parse_config(live).time_sensitive_from == Decimal("0.5")
    assert parse_config(live + "[policy]\ntime_sensitive_from = 0.7").time_sensitive_from == Decimal("0.7")
    assert parse_config(live + "[policy]\ntime_sensitive_from = 'never'").time_sensitive_from is None


def test_objectives_keep_what_is_left_out() -> None:
    config = parse_config(MODEL + "[objectives.cost]\nanswer_value_usd = 3")
    assert config.prices_of_objective("cost") == (3, DEFAULT_OBJECTIVES["cost"][1])
    assert tuple(DEFAULT_OBJECTIVES) == CHOOSABLE_OBJECTIVES


def test_the_default_catalogue() -> None:
    config = load_config()
    prices = {name: model.price_in for name, model in config.models.items()}
    assert prices["gpt-4o"] == 15
    assert prices["gpt-4o-mini"] == Decimal("0.15")
    assert prices["claude-haiku"] == Decimal("0.25")
    assert prices["claude-opus-4"] == 75
    assert prices["qwen2.5-7b"] == Decimal("0.15")
    assert {"deepseek-v3", "mistral-large", "qwen2.5-72b", "gemini-2.0"} < set(prices)
    assert all(model.example for model in config.models.values())
    assert [name for name, model in config.models.items() if model.live_retrieval] == ["gemini-2.0"]
    assert {name: config.prices_of_objective(name) for name in CHOOSABLE_OBJECTIVES} == DEFAULT_OBJECTIVES


def test_quality_never_rises_with_difficulty() -> None:
    for model in load_config().models.values():
        for bands in model.quality.values():
            assert list(bands) == sorted(bands, reverse=True)


def test_the_strongest_model() -> None:
    best = strongest(load_config())
    assert best.name == "claude-opus-4"
    assert best.cost(2000, 0) == to_picodollars(Decimal("0.15"))
    twins = parse_config(MODEL + MODEL.replace("small", "dear").replace("0.15", "0.16"))
    assert strongest(twins).name == "small"


def test_description() -> None:
    text = describe(load_config())
    assert text.startswith("9 models of 6 providers; default model gpt-4o-mini; objective balanced")
    assert re.search(r"claude-opus-4 +anthropic +75\* +375\*", text)
    assert "* example price" in text
    small = describe(parse_config(MODEL.replace("price_in = 0.15\nprice_out = 0.60", "free = true")))
    assert small.startswith("1 model of 1 provider; default model none")
    assert re.search(r"small +own +free +free", small)
    assert "time-sensitive requests: any model" in small


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples(path: Path) -> None:
    assert describe(load_config(path))
    assert f"--config examples/configs/{path.name}" in path.read_text(encoding="utf-8")


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 11


def test_the_schema_file_is_current() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run `python -m edgewise.config_schema`"


def test_the_schema_knows_the_labels() -> None:
    model = json_schema()["$defs"]["ModelConfig"]["properties"]
    assert model["languages"]["anyOf"][0]["items"]["enum"] == list(LANGUAGES[1:])
    assert set(model["quality"]["anyOf"][-1]["properties"]) == {*TASKS, "default"}
    assert model["price_in"]["type"] == "number"


def test_a_config_made_in_python() -> None:
    fields = {"provider": "own", "price_in": 0.1, "price_out": 1, "context": 10, "ttft_ms": 1, "quality": 0.5}
    config = Config.model_validate({"models": {"m": fields}})
    assert config.models["m"].price_in == Decimal("0.1")
    assert Config.model_validate(config.model_dump()) == config


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ttft_ms = { eu = 5 }", "ttft_ms: nothing for requests without a region; add default"),
        ("ttft_ms = { default = -1 }", "ttft_ms.default: -1 is not a whole number from 0 to"),
        ("ttft_ms = { default = 1.5 }", "ttft_ms.default: 1.5 is not a whole number"),
        ('ttft_ms = "fast"', 'ttft_ms: "fast" does not fit'),
        ("ttft_ms = { default = 1, eu = 2 }", 'ttft_ms.eu: unknown region "eu"; list it in policy.regions'),
        ("languages = { EN = 1 }", 'languages.EN: unknown language "EN"; did you mean "en"?'),
        ("languages = { ja = 2 }", "languages.ja: 2 is not between 0 and 1"),
        ("domains = { lew = 1 }", 'domains.lew: unknown domain "lew"; did you mean "law"?'),
        ("domains = 5", "domains: 5 is not a table; write a table of domains"),
        ("domains = { law = -2 }", "domains.law: -2 is not between -1 and 1; write what is added to quality"),
        ("domains = { law = [0, 1] }", "domains.law: 2 numbers; write 4, for prompts of 16, 64, 256, 1024 tokens"),
        ("domains = { law = [0, 0, 0, 3] }", "domains.law[3]: 3 is not between -1 and 1"),
        ("price_cached_in = 0.2", "price_cached_in: 0.2 is more than price_in; write what input tokens"),
        ('shift_to = "small"', 'shift_to: "small" itself; name another model'),
        ('shift_to = "smal"', 'shift_to: unknown model "smal"; did you mean "small"?'),
    ],
)
def test_mistakes_in_what_a_model_says_of_its_endpoints(line: str, message: str) -> None:
    assert f"models.small.{message}" in error_of(with_model(line))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[providers.owm]\nhop_ms = 5", 'providers.owm: unknown provider "owm"; did you mean "own"?'),
        ("[providers.own]\nhop_ms = { default = 1, eu = 2 }", 'providers.own.hop_ms.eu: unknown region "eu"'),
        ('[tenants.a]\nmodels = ["smal"]', 'tenants.a.models[0]: unknown model "smal"; did you mean "small"?'),
        ("[tenants.a]\nmodels = []", "tenants.a.models: a list of 0 is too short"),
        ("[tenants.a]\ndaily_budget_usd = 0", "tenants.a.daily_budget_usd: 0 is not more than 0"),
        ('[tiers.gold]\nobjective = "cost"', 'tiers.gold: unknown tier "gold"; there are enterprise, free, pro'),
        ("[tiers.free]", "tiers.free.objective: missing; write one of cost, balanced"),
        ("[safety]\nharm_from = 0.5", 'safety.harm_from: no model has the ability "guarded", so nobody could answer'),
        ("[safety]\npii_from = 0.5", 'safety.pii_from: no model has the ability "private", so nobody could answer'),
        ("[safety]\njailbreak_from = 0", "safety.jailbreak_from: 0 is not more than 0"),
        ("[shifting]", "shifting.above_ms: missing; write the 95th percentile"),
        ("[shifting]\nabove_ms = 800\nback_ms = 800", "shifting.back_ms: 800 is not less than above_ms = 800"),
        ('[shifting]\nabove_ms = 800\npeak = "9-17"', 'shifting.peak: "9-17" is not hours of the day; write the hours'),
        ('[shifting]\nabove_ms = 800\npeak = "09:00-09:00"', 'shifting.peak: "09:00-09:00" is no time at all'),
        ("[shifting]\nabove_ms = 800\nshare = 1.5", "shifting.share: 1.5 is more than 1"),
        ("[health]\ntrip_failures = 256", "health.trip_failures: 256 is more than 255"),
        ("[health]\nstale = 5", 'health.stale: unknown key; did you mean "stale_s"?'),
        ("[policy]\ntarget_quality = 0", "policy.target_quality: 0 is not more than 0"),
    ],
)
def test_mistakes_in_the_tables_of_rules(text: str, message: str) -> None:
    assert message in error_of(f"{MODEL}\n{text}\n")


def test_what_is_measured_and_shifted() -> None:
    rules = '[shifting]\nabove_ms = 800\npeak = "22:00-02:30"\n[policy]\nregions = ["eu"]\n'
    hop = "[providers.own]\nhop_ms = { default = 1, eu = 30 }\n"
    config = parse_config(f"{with_model('ttft_ms = { default = 200, eu = 90 }')}\n{rules}{hop}")
    assert config.shifting is not None
    assert config.shifting.peak == (22 * 60, 2 * 60 + 30)
    assert config.models["small"].usual_ttft_ms == 200
    assert [config.models["small"].ttft_in(region) for region in (None, "eu", "us")] == [200, 90, 200]
    assert [config.providers["own"].hop_in(region) for region in (None, "eu", "us")] == [1, 30, 1]
    said = describe(config)
    assert "slow above 800 ms (p95), 22:00-02:30 UTC: 20% of the requests go elsewhere, back below 640 ms" in said


def test_everything_that_rules_say_is_shown() -> None:
    rules = """
[tenants.acme]
daily_budget_usd = 5
models = ["small"]
[tiers.free]
objective = "cost"
[safety]
harm_from = 0.5
[policy]
target_quality = 0.95
"""
    said = describe(parse_config(MODEL + 'abilities = ["guarded"]\n' + rules))
    assert "tenant acme: 5 USD a day, of small only" in said
    assert "tier free: objective cost" in said
    assert "harm 0.5 and more: models with guarded only" in said
    assert "target quality 0.95" in said
