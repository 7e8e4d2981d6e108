"""The quality to expect: what domains add to it, by hand."""

import pytest

from edgewise.core.labels import DOMAINS, SCORE_ONE
from edgewise.core.policy import PROMPT_TOKENS
from edgewise.core.quality import expected_quality, read_quality_signals
from support.scene import Scene, config_of

LAW, HEALTH = DOMAINS.index("law"), DOMAINS.index("health")
OFFSETS = [0, 0.1, 0.2, -0.4]


def quality(tokens: int, shares: dict[int, int]) -> int:
    """Of a model with 0.5 everywhere and what OFFSETS add in law, for a request that is of these domains."""
    scene = Scene(config_of({"m": {"domains": {"law": OFFSETS}}}))
    memory = scene.core.memory
    scene.choose(input_tokens=tokens)
    for domain in range(len(DOMAINS)):
        memory.scores.domain[domain] = shares.get(domain, 0)
    return _expected(scene)


def _expected(scene: Scene) -> int:
    read_quality_signals(scene.core.policy, scene.core.memory)
    return expected_quality(scene.core.models[0], scene.core.memory)


@pytest.mark.parametrize(
    ("tokens", "added"),
    [
        (1, 0),
        (16, 0),
        (40, 500),
        (64, 1_000),
        (160, 1_500),
        (256, 2_000),
        (640, -1_000),
        (1_024, -4_000),
        (9_000, -4_000),
    ],
)
def test_what_a_domain_adds_goes_straight_from_one_prompt_size_to_the_next(tokens: int, added: int) -> None:
    assert PROMPT_TOKENS == (16, 64, 256, 1_024)
    assert quality(tokens, {LAW: SCORE_ONE}) == 5_000 + added


def test_domains_count_by_their_scores() -> None:
    assert quality(64, {LAW: 6_000, HEALTH: 2_000}) == 5_000 + 750
    assert quality(64, {LAW: 499, HEALTH: 2_000}) == 5_000
    assert quality(64, {}) == 5_000


def test_quality_stays_a_share() -> None:
    for offset, expected in ((-1, 0), (1, SCORE_ONE)):
        scene = Scene(config_of({"m": {"domains": {"default": offset}}}))
        scene.choose()
        assert _expected(scene) == expected
