"""Inference in integers: zones, scores, and the refusal of tables made for something else."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgewise.core import classifier as core
from edgewise.core.labels import SCORE_ONE, TASK_COUNT
from support.core import ask_of


@pytest.fixture(scope="module")
def empty_weights() -> core.ClassifierWeights:
    weights = core.ClassifierWeights()
    weights.magic, weights.version, weights.schema = core.MAGIC, core.VERSION, core.SCHEMA
    weights.mass_floor = 32
    for head in range(len(core.HEADS)):
        weights.temperatures[head] = core.TEMPERATURE_ONE
    return weights


def scores_of(weights: core.ClassifierWeights, *turns: tuple[str, str]) -> core.Scores:
    scores = core.Scores()
    core.classify(ask_of(*turns), weights, core.ClassifierScratch(), scores)
    return scores


class TestValidity:
    def test_a_table_for_this_code_is_valid(self, empty_weights):
        assert core.is_valid(empty_weights)

    @pytest.mark.parametrize("name", ["magic", "version", "schema"])
    def test_any_other_is_not(self, empty_weights, name):
        weights = core.ClassifierWeights()
        weights.magic, weights.version, weights.schema = core.MAGIC, core.VERSION, core.SCHEMA
        setattr(weights, name, getattr(weights, name) + 1)
        assert not core.is_valid(weights)

    def test_the_weights_fit_their_budget(self):
        assert core.ClassifierWeights.size <= 800_000


class TestScores:
    def test_without_knowledge_all_tasks_score_alike(self, empty_weights):
        scores = scores_of(empty_weights, ("user", "hello"))
        assert {scores.task[index] for index in range(TASK_COUNT)} == {round(SCORE_ONE / TASK_COUNT)}
        assert abs(scores.code - SCORE_ONE // 2) < 50

    def test_an_empty_conversation_is_scored_too(self, empty_weights):
        assert scores_of(empty_weights).abstain_below == empty_weights.abstain_below

    @given(st.lists(st.integers(-40_000, 40_000), min_size=11, max_size=11), st.integers(64, 512))
    def test_softmax_is_softmax(self, logits, temperature):
        powers, scores = [0] * 11, [0] * 11
        core._softmax(logits, 0, 11, temperature, powers, scores)
        scaled = [logit / core.LOGIT_ONE * temperature / core.TEMPERATURE_ONE for logit in logits]
        total = sum(math.exp(value - max(scaled)) for value in scaled)
        for score, value in zip(scores, scaled, strict=True):
            assert abs(score / SCORE_ONE - math.exp(value - max(scaled)) / total) < 0.01
        assert abs(sum(scores) - SCORE_ONE) <= 11

    @given(st.integers(-60_000, 60_000))
    def test_logistic_is_logistic(self, logit):
        expected = 1 / (1 + math.exp(-logit / core.LOGIT_ONE))
        assert abs(core._logistic(logit, core.TEMPERATURE_ONE) / SCORE_ONE - expected) < 0.005

    @given(st.integers(1, 5000))
    def test_log2_is_close(self, value):
        assert abs(core._log2(value) - 8 * math.log2(value)) < 2


def set_lanes(weights: core.ClassifierWeights, slot: int, lanes: dict[int, int]) -> None:
    row = [lanes.get(lane, 0) + (core.LANE_BIAS if lane < core.VALUES else 0) for lane in range(core.LANES)]
    for word in range(core.WORDS):
        weights.rows[slot * core.WORDS + word] = sum(row[8 * word + lane] << 4 * lane for lane in range(8))


def known_weights(slot_of: str) -> core.ClassifierWeights:
    """Weights in which every n-gram of a text is known and pushes lane 0 up, and lane 0 pushes the first task."""
    weights = core.ClassifierWeights()
    weights.mass_floor = 8
    for head in range(len(core.HEADS)):
        weights.temperatures[head] = core.TEMPERATURE_ONE
    scratch = core.ClassifierScratch()
    core.read_features(ask_of(("user", slot_of)), scratch.features)
    for index in range(scratch.features.count):
        mixed = (scratch.features.hashes[index] * 0x9E3779B1) & 0xFFFFFFFF
        mixed ^= mixed >> 15
        mixed = (mixed * 0x85EBCA6B) & 0xFFFFFFFF
        slot = (mixed * core.SLOTS) >> 32
        weights.fingerprints[slot] = (mixed >> 4) & 0xFF
        set_lanes(weights, slot, {0: 7, core.VALUES: 8})
    weights.output_weights[core.HIDDEN * core.OUTPUTS] = 100
    return weights


class TestInference:
    def test_known_words_decide_and_unknown_ones_do_not(self):
        weights = known_weights("translate this")
        known = scores_of(weights, ("user", "translate this"))
        unknown = scores_of(weights, ("user", "zzz qqq"))
        assert known.task[0] > unknown.task[0]
        assert unknown.task[0] == unknown.task[1]

    def test_fingerprints_reject_most_strangers(self):
        weights = known_weights("translate this")
        scratch = core.ClassifierScratch()
        core.infer(ask_of(("user", "jumpy quick black fox zebra wolves guard my bold cave " * 20)), weights, scratch)
        assert scratch.slot_count < scratch.features.count / 25

    def test_means_stay_within_eight_bits(self):
        weights = known_weights("translate this")
        for slot in range(core.SLOTS):
            set_lanes(weights, slot, {0: 7, 1: -8, 22: -8})
        scratch = core.ClassifierScratch()
        core.infer(ask_of(("user", "translate this " * 100)), weights, scratch)
        assert all(-core.LIMIT <= scratch.inputs[index] <= core.LIMIT for index in range(core.INPUTS))

    @example(b"\x9f\xe0n")  # with these weights, the mass of its zones is no more than what the floor adds
    @given(st.binary(max_size=300))
    def test_any_bytes_are_scored(self, data):
        scores = core.Scores()
        core.classify(ask_of(("user", data)), _WEIGHTS, core.ClassifierScratch(), scores)
        assert all(0 <= scores.task[index] <= SCORE_ONE for index in range(TASK_COUNT))


_WEIGHTS = known_weights("any bytes are scored")
