"""What training sees of a prompt: its n-grams, and in place of missing turns before it those of another prompt."""

import numpy as np
import pytest

pytest.importorskip("torch")

from edgewise.core import classifier as core
from edgewise_classifier.artifact import ArtifactError, pack_rows
from edgewise_classifier.balance import targets
from edgewise_classifier.data import Row
from edgewise_classifier.features import Reader
from edgewise_classifier.linear import MARKS, identities
from edgewise_classifier.network import Batches, Fit, Network, _companions, prepare

ALONE, FOLLOWED = (("user", "write a poem about rain"),), (("user", "hello there"), ("user", "shorter please"))
EARLIER = 3  # the run in which the turn before stands


@pytest.fixture(scope="module")
def batches() -> Batches:
    hashed = Reader().read_many([ALONE, FOLLOWED])
    marks = np.zeros(core.SLOTS, np.uint8)
    ids = identities(hashed.hashes)
    marks[ids // MARKS] = ids % MARKS
    return Batches(prepare(hashed, marks))


def runs_of(batches: Batches, row: int, **how) -> list[list[int]]:
    slots, starts, *_ = batches.batch(np.array([row]), **how)
    return [part.tolist() for part in np.split(slots.numpy(), starts.numpy()[1:])]


def test_another_prompt_stands_before_one_that_has_no_turns_before(batches):
    last_turn = [slot for run in runs_of(batches, 1)[:EARLIER] for slot in run]
    assert runs_of(batches, 0)[EARLIER] == []
    assert runs_of(batches, 0, before=np.array([1]))[EARLIER] == last_turn


def test_turns_before_stay_unless_they_are_forgotten(batches):
    before = np.array([0])
    own, other = runs_of(batches, 1)[EARLIER], [slot for run in runs_of(batches, 0)[:EARLIER] for slot in run]
    assert runs_of(batches, 1, before=before)[EARLIER] == own
    assert runs_of(batches, 1, before=before, forget=1.0)[EARLIER] == other
    assert runs_of(batches, 1, forget=1.0)[EARLIER] == []


def test_companions_have_the_same_task_as_often_as_asked():
    rows = [Row(str(n), "some", "text", "en", "train", task=n % 2, messages=ALONE) for n in range(400)]
    goal, order = targets(rows), np.arange(400)
    by_task = {task: order[goal.task == task] for task in (0, 1)}
    found = _companions(order, goal, order, by_task, Fit(company=0.5, alike=1.0), np.random.default_rng(0))
    chosen = found >= 0
    assert 150 < chosen.sum() < 250
    assert (goal.task[found[chosen]] == goal.task[chosen]).all()


def test_the_integers_say_what_the_floats_say(batches):
    network = Network()
    network.quantized = True
    table = network._table().detach().numpy() * core.LANE_BIAS
    trained = network.integers(np.zeros(core.SLOTS, np.uint8), (core.TEMPERATURE_ONE,) * len(core.HEADS), 0)
    low, high = trained.rows & 15, trained.rows >> 4
    assert np.array_equal(low[:, 0].astype(int) - core.LANE_BIAS, table[:, 0].round().astype(int))
    assert np.array_equal(high[:, -1], table[:, -1].round())


def test_a_lane_that_needs_more_than_four_bits_is_refused():
    lanes = np.zeros((2, core.LANES), np.int64)
    lanes[1, 3] = core.LANE_BIAS
    with pytest.raises(ArtifactError, match="four bits"):
        pack_rows(lanes)
