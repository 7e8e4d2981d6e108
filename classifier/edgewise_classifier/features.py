"""The core's own transcript and feature reader, compiled for this machine, over many prompts.

Features exist once, in `edgewise.core`: what training sees is what the edge sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.core import features as core
from edgewise.core import transcript
from edgewise.core.labels import ROLE_USER, ROLES
from edgewise_build.lower import native, record_dtype

MAX_BYTES = 65536
"""Longest conversation that is read here; the ends of longer ones are what votes in any case."""

Turns = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Hashed:
    """The features of many prompts: hashes end to end, with where each prompt begins, its zone ends and its shapes."""

    hashes: npt.NDArray[np.uint32]
    offsets: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int32]
    shapes: npt.NDArray[np.int32]
    shared: npt.NDArray[np.float32]  # 1 where the middle of the last turn belongs to head and tail alike

    def __len__(self) -> int:
        return len(self.offsets) - 1


class Reader:
    """Reads conversations into asks and asks into features, through the compiled core."""

    def __init__(self) -> None:
        self._read_ask: Any = native(transcript.read_ask)
        self._read_features: Any = native(core.read_features)
        self.ask = np.zeros(1, record_dtype(transcript.Ask))
        self.features = np.zeros(1, record_dtype(core.Features))
        self._message_dtype = record_dtype(transcript.Message)

    def read(self, turns: Turns) -> None:
        """Fill `self.ask` and `self.features` from a conversation of (role, content) turns."""
        self.read_ask(turns)
        self._read_features(self.ask[0], self.features[0])

    def read_ask(self, turns: Turns) -> None:
        """Fill `self.ask` alone."""
        contents = [_clip(content).encode("utf-8", "replace") for _, content in turns]
        messages = np.zeros(max(1, len(turns)), self._message_dtype)
        start = 0
        for index, (role, _) in enumerate(turns):
            messages[index]["role"] = ROLES.index(role) if role in ROLES else ROLE_USER
            messages[index]["content"] = (start, len(contents[index]))
            start += len(contents[index])
        text = np.frombuffer(b"".join(contents) or b" ", np.uint8)
        self._read_ask(messages[: len(turns)], text, self.ask[0])

    def read_many(self, conversations: Sequence[Turns]) -> Hashed:
        """The features of every conversation, end to end."""
        hashes: list[npt.NDArray[np.uint32]] = []
        offsets = np.zeros(len(conversations) + 1, np.int64)
        ends = np.zeros((len(conversations), core.ENDS), np.int32)
        shapes = np.zeros((len(conversations), core.SHAPES), np.int32)
        shared = np.zeros(len(conversations), np.float32)
        for row, turns in enumerate(conversations):
            self.read(turns)
            count = int(self.features["count"][0])
            hashes.append(self.features["hashes"][0][:count].copy())
            offsets[row + 1] = offsets[row] + count
            ends[row] = self.features["ends"][0]
            shapes[row] = self.features["shapes"][0]
            shared[row] = self.ask["segments"][0][0]["length"] < 2 * core.ZONE_BYTES
        return Hashed(np.concatenate(hashes) if hashes else np.zeros(0, np.uint32), offsets, ends, shapes, shared)


def _clip(text: str) -> str:
    return text if len(text) <= MAX_BYTES else text[: MAX_BYTES // 2] + text[-MAX_BYTES // 2 :]
