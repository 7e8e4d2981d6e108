"""The recipes in `examples/recipes`: each comes with probes, and the compiled router decides as they say."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from edgewise import NoFeasibleModelError, Router, load_config
from edgewise.decision import Decision
from edgewise.engine import CoreModuleEngine
from support.engines import require_component
from support.scene import NOON

RECIPES = sorted((Path(__file__).parents[2] / "examples" / "recipes").iterdir())
PADDING = "The quick brown fox jumps over the lazy dog. "
TOKENS_A_PADDING = 10


def probes_of(recipe: Path) -> list[dict[str, Any]]:
    probes: list[dict[str, Any]] = tomllib.loads((recipe / "probes.toml").read_text(encoding="utf-8"))["probe"]
    return probes


PROBES = [
    pytest.param(recipe, probe, id=f"{recipe.name}: {probe['says']}")
    for recipe in RECIPES
    for probe in probes_of(recipe)
]


def test_there_are_recipes() -> None:
    assert [recipe.name for recipe in RECIPES] == [
        *("coding-assistant", "cost-saver", "legal-japan", "support-desk", "voice-agent"),
    ]


@pytest.mark.parametrize(("recipe", "probe"), PROBES)
def test_the_router_decides_as_the_probe_says(recipe: Path, probe: dict[str, Any]) -> None:
    known = {"says", "request", "observe", "model", "one_of", "never", "fallbacks", "reason", "dropped", "nobody"}
    assert set(probe) <= known
    router = Router(
        load_config(recipe / "router.toml"), engine=CoreModuleEngine(require_component()), clock=lambda: NOON
    )
    for seen in probe.get("observe", ()):
        for _ in range(seen.get("times", 1)):
            assert router.observe(**{name: value for name, value in seen.items() if name != "times"})
    if probe.get("nobody"):
        with pytest.raises(NoFeasibleModelError):
            decide(router, probe["request"])
        return
    check(decide(router, probe["request"]), probe)


def decide(router: Router, request: dict[str, Any]) -> Decision:
    """A decision; `padding_tokens` stands for a long system prompt, such as a repository's files."""
    fields = {name: value for name, value in request.items() if name not in ("text", "padding_tokens")}
    padding = PADDING * (request.get("padding_tokens", 0) // TOKENS_A_PADDING)
    messages = [{"role": "system", "content": padding}, {"role": "user", "content": request["text"]}]
    return router.route(messages, **fields)


def check(decision: Decision, probe: dict[str, Any]) -> None:
    chain = (decision.model, *decision.fallbacks)
    assert decision.model == probe.get("model", decision.model)
    assert decision.model in probe.get("one_of", chain)
    assert not set(probe.get("never", ())) & set(chain)
    assert list(decision.fallbacks)[: len(probe.get("fallbacks", ()))] == probe.get("fallbacks", [])
    codes = {reason.model: reason.code for reason in decision.reasons if reason.model not in chain}
    for model, code in probe.get("dropped", {}).items():
        assert codes[model] == code, model
    if "reason" in probe:
        assert probe["reason"] in {reason.code for reason in decision.reasons if reason.model == decision.model}
