"""The SDK."""

import threading

import pytest

from edgewise import NoFeasibleModelError, Request, RequestError, Router
from edgewise.errors import ConfigError, EngineError
from support.scene import config_of


@pytest.fixture(scope="module")
def router() -> Router:
    return Router()


def test_text_and_messages_are_the_same(router):
    text = "Translate 'good morning' into Japanese."
    assert router.route(text) == router.route([{"role": "user", "content": text}])


def test_constraints_hold(router):
    assert router.route("hello there, how are you", max_tokens=9).output_tokens == 9
    dear, cheap = (router.route("Prove that pi is irrational.", objective=name) for name in ("quality", "cost"))
    assert cheap.cost <= dear.cost


def test_an_unknown_constraint_is_named(router):
    with pytest.raises(RequestError, match=r"^colour: unknown"):
        router.route("hello", colour="red")


def test_no_feasible_model_says_why_for_each(router):
    with pytest.raises(NoFeasibleModelError) as error:
        router.route("hello", max_tokens=2**31 - 1)
    assert {model for model, _ in error.value.dropped} == set(router.config.models)
    for _, why in error.value.dropped:
        assert f"\n  {why}" in str(error.value)


def test_a_request_without_messages_is_refused(router):
    nothing = Request.parse({"text": "hello"}).model_copy(update={"messages": ()})
    with pytest.raises(RequestError, match="messages: empty"):
        router.decide(nothing)


def test_a_missing_configuration_is_named():
    with pytest.raises(ConfigError, match=r"^/no/such/router\.toml: cannot be read"):
        Router("/no/such/router.toml")


def test_a_missing_component_says_what_to_run(monkeypatch, tmp_path):
    monkeypatch.setattr("edgewise.engine.COMPONENT", tmp_path / "edgewise.wasm")
    with pytest.raises(EngineError, match="has not been built: run `edgewise build`"):
        Router()


def test_one_router_serves_many_threads(router):
    prompts = [f"Write a poem about the number {number}, please. " * (1 + number % 40) for number in range(40)]
    expected = [router.route(prompt) for prompt in prompts]
    wrong: list[str] = []

    def work() -> None:
        wrong.extend(prompt for prompt, one in zip(prompts, expected, strict=True) if router.route(prompt) != one)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


class TestObservations:
    NOW = 1_790_000_000_000

    def router(self, **tables):
        return Router(config_of({"a": {"quality": 0.6}, "b": {}}, **tables), clock=lambda: self.NOW)

    def test_what_is_observed_changes_what_is_decided(self):
        router = self.router()
        assert router.route("hello").model == "a"
        for _ in range(5):
            assert router.observe("a", "error")
        decision = router.route("hello")
        assert decision.model == "b"
        assert [reason.code for reason in decision.reasons if reason.model == "a"] == ["circuit_open"]

    def test_an_unknown_model_and_a_wrong_field(self):
        router = self.router()
        assert not router.observe("c")
        with pytest.raises(RequestError, match=r"^ttft_ms: "):
            router.observe("a", ttft_ms=-1)
        with pytest.raises(RequestError, match=r"^outcome: "):
            router.observe("a", "fine")
        with pytest.raises(RequestError, match=r"^latency: unknown; the fields of an observation are model, outcome"):
            router.observe("a", latency=5)

    def test_endpoints_tells_what_was_seen(self):
        router = self.router(policy={"regions": ["eu"]})
        assert router.endpoints() == []
        for _ in range(40):
            router.observe("b", region="eu", ttft_ms=640, tokens_per_s=50)
        router.observe("b", "rate_limited", retry_after_ms=9000)
        everywhere, eu = router.endpoints()
        assert (everywhere.model, everywhere.region, everywhere.health) == ("b", "", "cooling_down")
        assert (eu.region, eu.health, eu.error_rate, eu.tokens_per_s) == ("eu", "available", 0, 50)
        assert eu.ttft_ms == pytest.approx(640, abs=10)
        assert 600 <= eu.p95_ms <= 700
        assert eu.last_at_ms == self.NOW

    def test_a_snapshot_fits_a_router_with_the_same_names(self):
        one, same, other = self.router(), self.router(), Router()
        for _ in range(5):
            one.observe("a", "error")
        assert same.restore(one.snapshot())
        assert same.route("hello").model == "b"
        assert not other.restore(one.snapshot())

    def test_a_new_configuration_takes_over_what_it_names_as_well(self):
        one = self.router()
        for _ in range(5):
            one.observe("a", "error")
        config = config_of({"a": {"quality": 0.6}, "b": {"quality": 0.4}, "aa": {"quality": 0.3}})
        new = Router(config, clock=lambda: self.NOW, previous=one)
        assert new.route("hello").fallbacks == ("aa",)
        assert new.route("hello").model == "b"
