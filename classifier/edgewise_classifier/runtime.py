"""Runs the shipped classifier for training and evaluation: the compiled core, and onnxruntime beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.core import classifier as core
from edgewise.core import features
from edgewise_build.lower import native, record_dtype
from edgewise_classifier.features import Reader, Turns
from edgewise_classifier.linear import MARKS, identities

Logits = npt.NDArray[np.int32]


class CoreClassifier:
    """The core's own `classify`, compiled for this machine, with the weights of one artifact."""

    def __init__(self, weights: bytes) -> None:
        self.reader = Reader()
        self._classify: Any = native(core.classify)
        self._weights = np.frombuffer(weights, record_dtype(core.ClassifierWeights))
        self.scratch = np.zeros(1, record_dtype(core.ClassifierScratch))
        self.scores = np.zeros(1, record_dtype(core.Scores))

    def classify(self, turns: Turns) -> npt.NDArray[Any]:
        """The scores of a conversation, as a view that the next call overwrites."""
        self.reader.read_ask(turns)
        self._classify(self.reader.ask[0], self._weights[0], self.scratch[0], self.scores[0])
        return self.scores

    def logits(self, conversations: Sequence[Turns]) -> Logits:
        """The logits of every conversation: one row each."""
        out = np.zeros((len(conversations), core.OUTPUTS), np.int32)
        for index, turns in enumerate(conversations):
            self.classify(turns)
            out[index] = self.scratch["logits"][0]
        return out

    def graph_inputs(self) -> dict[str, npt.NDArray[Any]]:
        """What the ONNX graph takes, for the conversation that was classified last."""
        found = self.scratch["features"][0]
        count = int(found["count"])
        slots, marks = np.divmod(identities(found["hashes"][:count]), MARKS)
        ends = np.maximum.accumulate(found["ends"])
        runs = np.searchsorted(ends, np.arange(count), side="right")
        shared = int(self.reader.ask["segments"][0][0]["length"] < 2 * features.ZONE_BYTES)
        zones = np.zeros((core.ZONES, count), np.int32)
        zones[core.ZONE_ALL] = runs < 3
        zones[core.ZONE_HEAD] = (runs == 0) | ((runs == 1) & (shared == 1))
        zones[core.ZONE_TAIL] = (runs == 2) | ((runs == 1) & (shared == 1))
        for turn, weight in enumerate(core.EARLIER_WEIGHTS):
            zones[core.ZONE_EARLIER][runs == 3 + turn] = weight
        return {
            "slots": slots,
            "marks": marks.astype(np.uint8),
            "zones": zones,
            "shape": self.scratch["inputs"][0][core.ZONES * core.VALUES :].astype(np.int32),
        }


class OnnxClassifier:
    """The artifact under onnxruntime."""

    def __init__(self, model: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def logits(self, inputs: dict[str, npt.NDArray[Any]]) -> Logits:
        """The logits for what `CoreClassifier.graph_inputs` gives."""
        result: Logits = self._session.run(["logits"], inputs)[0]
        return result
