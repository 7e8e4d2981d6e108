"""The SDK."""

import threading

import pytest

from edgewise import NoFeasibleModelError, Request, RequestError, Router
from edgewise.errors import ConfigError, EngineError


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
