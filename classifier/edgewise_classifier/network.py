"""The network in floats, as training sees it: the core's arithmetic with rounding that lets gradients pass."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgewise.core import classifier as core
from edgewise_build.lower import native
from edgewise_classifier.artifact import Trained, pack_rows
from edgewise_classifier.balance import Targets
from edgewise_classifier.features import Hashed
from edgewise_classifier.losses import label_loss, teacher_loss
from edgewise_classifier.select import known_slots
from edgewise_classifier.teacher import Taught

Array = npt.NDArray[Any]
_LANE_ONE = 8  # fixed point of rows
_WEIGHT_ONE = 64  # fixed point of weights
_INPUT_ONE = 32  # fixed point of inputs and hidden units: their product with a weight has LOGIT_ONE
_LEAST_VALUE, _TOP_VALUE = -core.LANE_BIAS / _LANE_ONE, (core.LANE_BIAS - 1) / _LANE_ONE
_TOP_MASS = (2 * core.LANE_BIAS - 1) / _LANE_ONE
_TOP_WEIGHT = core.LIMIT / _WEIGHT_ONE
_INPUT_TOP = core.LIMIT / _INPUT_ONE
_GAIN = core.VALUE_ONE / _INPUT_ONE
_COMPANION_LIMIT = 400  # known n-grams


@dataclass(frozen=True)
class Prepared:
    """Prompts ready for the network: known slots with the bounds of their runs, and the shape inputs."""

    slots: Array
    bounds: Array
    shared: Tensor
    shapes: Tensor


def prepare(hashed: Hashed, marks: npt.NDArray[np.uint8]) -> Prepared:
    """Look the features of prompts up in the chosen slots."""
    slots, bounds = known_slots(hashed, marks)
    shape_inputs: Any = native(core._shape_inputs)
    inputs = np.zeros(core.INPUTS, np.int16)
    shapes = np.zeros((len(hashed), core.SHAPE_INPUTS), np.float32)
    for index in range(len(hashed)):
        shape_inputs(hashed.shapes[index], inputs)
        shapes[index] = inputs[core.ZONES * core.VALUES :]
    return Prepared(slots, bounds, torch.from_numpy(hashed.shared), torch.from_numpy(shapes / _INPUT_ONE))


def _rounded(values: Tensor, one: int) -> Tensor:
    return values + (torch.round(values * one) / one - values).detach()


class Network(nn.Module):
    """The classifier in floats. With `quantized` set, every number it uses is one that the integers can say."""

    def __init__(self, mass_floor: float = 4.0, dropout: float = 0.1) -> None:
        super().__init__()
        self.mass_floor = mass_floor
        self.rows = nn.Parameter(torch.randn(core.SLOTS, core.LANES) * 0.05)
        with torch.no_grad():
            self.rows[:, -1] = 0.5
        self.hidden = nn.Linear(core.INPUTS, core.HIDDEN)
        self.output = nn.Linear(core.OUTPUT_INPUTS, core.OUTPUTS)
        self.dropout = nn.Dropout(dropout)
        self.quantized = False

    def _quantize(self, values: Tensor, one: int) -> Tensor:
        return _rounded(values, one) if self.quantized else values

    def _table(self) -> Tensor:
        values = self.rows[:, :-1].clamp(_LEAST_VALUE, _TOP_VALUE)
        return self._quantize(torch.cat([values, self.rows[:, -1:].clamp(0.0, _TOP_MASS)], 1), _LANE_ONE)

    def forward(self, slots: Tensor, starts: Tensor, shared: Tensor, shapes: Tensor) -> Tensor:
        """Logits of a batch: `starts` holds where each of the six runs of every prompt begins among `slots`."""
        sums = functional.embedding_bag(slots, self._table(), starts, mode="sum").view(len(shared), -1, core.LANES)
        head, middle, tail, *earlier = sums.unbind(1)
        both = shared[:, None] * middle
        before = sum((w * turn for w, turn in zip(core.EARLIER_WEIGHTS, earlier, strict=True)), torch.zeros_like(head))
        zones = torch.stack([head + middle + tail, head + both, tail + both, before], 1)
        means = zones[..., :-1] / (zones[..., -1:] + self.mass_floor) * _GAIN
        means = self._quantize(means.clamp(-_INPUT_TOP, _INPUT_TOP), _INPUT_ONE)
        inputs = self.dropout(torch.cat([means.flatten(1), shapes], 1))
        weights = self._quantize(self.hidden.weight.clamp(-_TOP_WEIGHT, _TOP_WEIGHT), _WEIGHT_ONE)
        hidden = self._quantize((inputs @ weights.T + self.hidden.bias).clamp(0, _INPUT_TOP), _INPUT_ONE)
        last = self._quantize(self.output.weight.clamp(-_TOP_WEIGHT, _TOP_WEIGHT), _WEIGHT_ONE)
        return torch.cat([hidden, means[:, 0]], 1) @ last.T + self.output.bias

    def integers(self, marks: npt.NDArray[np.uint8], temperatures: tuple[int, ...], abstain_below: int) -> Trained:
        """The same network in the integers of the artifact."""
        self.quantized = True

        def whole(values: Tensor, one: int) -> Array:
            result: Array = torch.round(values.detach() * one).numpy()
            return result

        return Trained(
            fingerprints=marks,
            rows=pack_rows(whole(self._table(), _LANE_ONE).astype(np.int64)),
            hidden_weights=whole(self.hidden.weight.T.clamp(-_TOP_WEIGHT, _TOP_WEIGHT), _WEIGHT_ONE).astype(np.int8),
            hidden_bias=whole(self.hidden.bias, core.LOGIT_ONE).astype(np.int32),
            output_weights=whole(self.output.weight.T.clamp(-_TOP_WEIGHT, _TOP_WEIGHT), _WEIGHT_ONE).astype(np.int8),
            output_bias=whole(self.output.bias, core.LOGIT_ONE).astype(np.int32),
            mass_floor=round(self.mass_floor * _LANE_ONE),
            temperatures=temperatures,
            abstain_below=abstain_below,
        )


def _gather(
    slots: Array,
    bounds: Array,
    rows: Array,
    before: Array,
    drop: float,
    forget: float,
    seed: int,
    out: Array,
    starts: Array,
) -> int:
    """Copy the runs of rows, leaving out a share `drop` of n-grams, and the turns before with the chance `forget`.

    Where no turn before is left, the last turn of the prompt `before[at]` takes its place, unless that is -1.
    """
    np.random.seed(seed)
    runs = bounds.shape[1] - 1
    position = 0
    for at in range(len(rows)):
        i = rows[at]
        alone = bounds[i, 3] == bounds[i, runs] or np.random.random() < forget
        for run in range(runs):
            starts[at * runs + run] = position
            first, last = bounds[i, run], bounds[i, run + 1]
            if run >= 3 and alone:
                other = before[at] if run == 3 else -1
                first = bounds[other, 0] if other >= 0 else 0
                last = min(bounds[other, 3], first + _COMPANION_LIMIT) if other >= 0 else 0
            for k in range(first, last):
                if drop == 0 or np.random.random() >= drop:
                    out[position] = slots[k]
                    position += 1
    return position


class Batches:
    """Makes batches of prepared prompts."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self._buffer = np.zeros(16_000_000, np.int64)

    def batch(
        self, rows: Array, before: Array | None = None, drop: float = 0.0, forget: float = 0.0, seed: int = 0
    ) -> tuple[Tensor, ...]:
        """The inputs of `Network.forward` for some rows; `_gather` has the meaning of the other arguments."""
        p = self.prepared
        before = np.full(len(rows), -1) if before is None else before
        starts = np.zeros(len(rows) * (p.bounds.shape[1] - 1), np.int64)
        used = _compiled_gather(p.slots, p.bounds, rows, before, drop, forget, seed, self._buffer, starts)
        return (
            torch.from_numpy(self._buffer[:used].copy()),
            torch.from_numpy(starts),
            p.shared[rows],
            p.shapes[rows],
        )

    def logits(self, network: Network, size: int = 1024) -> Array:
        """The network's logits for all rows."""
        network.eval()
        rows = np.arange(len(self.prepared.shared))
        with torch.no_grad():
            parts = [network(*self.batch(rows[k : k + size])).numpy() for k in range(0, len(rows), size)]
        return np.concatenate(parts)


@dataclass(frozen=True)
class Fit:
    """How to fit."""

    epochs: int = 8
    batch: int = 256
    rate: float = 0.01
    drop: float = 0.35
    forget: float = 0.35  # how often the turns before are left out
    company: float = 0.3  # how often another prompt stands before one that has no turns before
    alike: float = 0.6  # how often that one has the same task, as the turns of a conversation mostly have
    smoothing: float = 0.05
    decay: float = 0.001
    average: float = 0.997
    original: float = 0.3  # how often a row is seen as it is, rather than one of its variants
    trust: float = 0.3  # how much of the loss is the teacher's, where there is one
    seed: int = 0


def fit(
    batches: Batches,
    goal: Targets,
    order: Array,
    versions: int,
    how: Fit,
    progress: Callable[[str], None],
    taught: Taught | None = None,
) -> Network:
    """Train on the rows of `order` and return the averaged network.

    Version v of row i stands at v * len(goal.task) + i among the prepared prompts. All versions of a row
    should come near what a teacher says of it.
    """
    torch.manual_seed(how.seed)
    torch.set_num_threads(1)
    network = Network()
    averaged = copy.deepcopy(network)
    others = [parameter for name, parameter in network.named_parameters() if name != "rows"]
    optimizer = torch.optim.Adam(
        [{"params": [network.rows], "lr": how.rate}, {"params": others, "lr": how.rate / 4, "weight_decay": 1e-5}],
        betas=(0.9, 0.98),
    )
    rng = np.random.default_rng(how.seed)
    order = order.copy()
    steps = how.epochs * (len(order) // how.batch)
    size = len(goal.task)
    by_task = {task: order[goal.task[order] == task] for task in np.unique(goal.task[order]).tolist()}
    step = 0
    for epoch in range(how.epochs):
        network.train()
        rng.shuffle(order)
        network.quantized = averaged.quantized = epoch >= how.epochs // 3
        total = 0.0
        for first in range(0, len(order) - how.batch + 1, how.batch):
            rows = order[first : first + how.batch]
            version = rng.integers(1, versions, len(rows)) if versions > 1 else np.zeros(len(rows), np.int64)
            version[rng.random(len(rows)) < how.original] = 0
            factor = max(0.02, min(1.0, step / 100) * (1 - step / steps))
            optimizer.param_groups[0]["lr"] = how.rate * factor
            optimizer.param_groups[1]["lr"] = how.rate / 4 * factor
            before = _companions(rows, goal, order, by_task, how, rng)
            inputs = batches.batch(rows + version * size, before, how.drop, how.forget, how.seed * 1_000_003 + step)
            logits = network(*inputs)
            loss = label_loss(logits, goal, rows, how.smoothing)
            if taught is not None:
                said, weights = torch.from_numpy(taught.logits[rows]), torch.from_numpy(taught.weights[rows])
                of_teacher = teacher_loss(logits, said, weights)
                loss = (1 - how.trust) * loss + how.trust * of_teacher
            if how.decay:
                loss = loss + how.decay * (network.rows[torch.unique(inputs[0])] ** 2).sum() / how.batch
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            keep = min(how.average, (step + 1) / (step + 10))
            with torch.no_grad():
                for mean, value in zip(averaged.parameters(), network.parameters(), strict=True):
                    mean.mul_(keep).add_(value, alpha=1 - keep)
            total += float(loss.item())
            step += 1
        progress(f"epoch {epoch + 1} of {how.epochs}: loss {total / max(1, len(order) // how.batch):.3f}")
    averaged.quantized = True
    return averaged


def _companions(
    rows: Array, goal: Targets, order: Array, by_task: dict[int, Array], how: Fit, rng: np.random.Generator
) -> Array:
    """For each row the prompt that stands before it where nothing else does, or -1."""
    found = np.full(len(rows), -1)
    for at in np.nonzero(rng.random(len(rows)) < how.company)[0]:
        found[at] = rng.choice(by_task[int(goal.task[rows[at]])] if rng.random() < how.alike else order)
    return found


_compiled_gather: Any = numba.njit(_gather)
