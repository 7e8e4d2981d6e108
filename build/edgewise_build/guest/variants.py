"""The core's hottest primitives, written for an interpreter, and how they take the places of the core's own.

There are two of them: the scan of a text (`scan`, and here its copying and counting), and the sum of rows, which is a
sum of big integers (`lanes`). All else of the core runs as it is. `tests/build/test_guest.py` proves that each variant
gives what the core gives.
"""

import re
from array import array
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from operator import mul
from types import ModuleType
from typing import Any

from edgewise.core import classifier, language, selection, tokens, transcript
from edgewise.core.classifier import (
    HIDDEN,
    HIDDEN_SHIFT,
    LIMIT,
    OUTPUTS,
    VALUES,
    ZONE_ALL,
    ClassifierScratch,
    ClassifierWeights,
)
from edgewise.core.language import (
    CODE_BIAS,
    CODES,
    CODEWORDS,
    DIMENSIONS,
    LANES,
    LANGUAGES,
    LATIN,
    MAX_GRAMS,
    LanguageScratch,
    LanguageTable,
    slot_of,
)
from edgewise.core.layout import Weights
from edgewise.core.tokens import UNITS_OF_BYTE, UNITS_PER_TOKEN
from edgewise.core.transcript import ASK_BYTES, TAIL_BYTES, TAIL_TOKENS, Ask
from edgewise_build.guest.lanes import Unpacker, columns, pack, rows
from edgewise_build.guest.scan import Scanner

_UNITS = bytes(UNITS_OF_BYTE)
_MAX_GRAMS = 30_000
_MAX_WORDS = 10_000
_LESS_THAN = ord("<")
# A word of letters that the core reads byte by byte; what could belong to it must not follow, nor make it a long one.
_PLAIN_WORD = re.compile(rb"[A-Za-z]{1,24}(?![A-Za-z'`\x80-\xff])")
_core_read_word = language.read_word

OPENING_GRAMS = language._OPENING_GRAMS


def variants(weights: Weights) -> list[tuple[ModuleType, str, Callable[..., Any]]]:
    """The variants for these weights: the module and the name of the core's function, and what stands in for it."""
    scanner = Scanner(weights.classifier)
    layers = Layers(weights.classifier)
    spoken = Spoken(weights.language)
    return [
        (tokens, "units", units),
        (transcript, "_copy", copy),
        (transcript, "_tail_start", tail_start),
        (selection, "hash_bytes", hash_bytes),
        (classifier, "read_features", scanner.read_features),
        (classifier, "_find_slots", scanner.find_slots),
        (classifier, "_sum_rows", scanner.sum_rows),
        (classifier, "_hidden_layer", layers.hidden_layer),
        (classifier, "_output_layer", layers.output_layer),
        (language, "read_word", spoken.read_word),
        (language, "add_grams", spoken.add_grams),
        (language, "add_languages", spoken.add_languages),
    ]


def install(weights: Weights) -> None:
    """Let the core use the variants from now on."""
    for module, name, variant in variants(weights):
        setattr(module, name, variant)


def units(text: Any, start: int, length: int) -> int:
    """Instead of `tokens.units`."""
    return sum(bytes(text[start : start + length]).translate(_UNITS))


def copy(text: Any, start: int, end: int, max_tokens: int, max_bytes: int, ask: Ask) -> int:
    """Instead of `transcript._copy`: stretches without a `<` are copied at once, as far as the limits allow."""
    target: Any = ask.text
    index, out = start, ask.length
    last = min(out + max_bytes, ASK_BYTES - 4)
    budget = max_tokens * UNITS_PER_TOKEN
    while index < end:
        stretch = _stretch(text, index, end, last - out)
        spent = list(accumulate(stretch.translate(_UNITS)))
        size = bisect_right(spent, budget)
        target[out : out + size] = stretch[:size]
        index, out = index + size, out + size
        budget -= spent[size - 1] if size else 0
        if size < len(stretch) or index >= end or text[index] != _LESS_THAN or out >= last:
            break
        budget -= UNITS_OF_BYTE[_LESS_THAN]
        if budget < 0:
            break
        skipped = transcript._harness_length(text, index, end, ask)
        if skipped == 0:
            target[out] = _LESS_THAN
            out += 1
        index += max(1, skipped)
    ask.length = out
    return index


def tail_start(text: Any, start: int, end: int) -> int:
    """Instead of `transcript._tail_start`."""
    tail = bytes(text[max(start, end - TAIL_BYTES) : end])
    spent = list(accumulate(tail[::-1].translate(_UNITS)))
    index = end - bisect_right(spent, TAIL_TOKENS * UNITS_PER_TOKEN)
    while index < end and text[index] & 0xC0 == 0x80:
        index += 1
    return index


def hash_bytes(text: Any, start: int, length: int) -> int:
    """Instead of `endpoints.hash_bytes`, where the whole ask is hashed."""
    value = 2_166_136_261
    for byte in bytes(text[start : start + length]):
        value = (value ^ byte) * 16_777_619 & 0xFFFFFFFF
    return value


def _stretch(text: Any, start: int, end: int, room: int) -> bytes:
    """What can be copied at once: up to the next `<`, and no more than there is room for; the last character whole."""
    room = max(0, room)
    stretch = bytes(text[start : min(end, start + room + 3)])
    size = stretch.find(b"<")
    size = len(stretch) if size < 0 else size
    limit = room
    while limit < size and stretch[limit] & 0xC0 == 0x80:
        limit += 1
    return stretch[: min(size, limit)]


class Layers:
    """The classifier's two layers: each input times its row of weights, all added up."""

    def __init__(self, table: ClassifierWeights) -> None:
        rounding = 1 << (HIDDEN_SHIFT - 1)
        self._hidden_bias = pack(bias + rounding for bias in table.hidden_bias)
        self._hidden = rows(table.hidden_weights, HIDDEN)
        self._unpack_hidden = Unpacker(HIDDEN)
        self._output_bias = pack(table.output_bias)
        self._output = rows(table.output_weights, OUTPUTS)
        self._unpack_output = Unpacker(OUTPUTS)

    def hidden_layer(self, table: ClassifierWeights, scratch: ClassifierScratch) -> None:
        """Instead of the core's `_hidden_layer`."""
        inputs, outputs = scratch.inputs, scratch.outputs
        lanes = sum(map(mul, self._hidden, inputs), self._hidden_bias)
        for unit, total in enumerate(self._unpack_hidden(lanes)):
            outputs[unit] = min(LIMIT, max(0, total >> HIDDEN_SHIFT))
        for lane in range(VALUES):
            outputs[HIDDEN + lane] = inputs[ZONE_ALL * VALUES + lane]

    def output_layer(self, table: ClassifierWeights, scratch: ClassifierScratch) -> None:
        """Instead of the core's `_output_layer`."""
        lanes = sum(map(mul, self._output, scratch.outputs), self._output_bias)
        for output, total in enumerate(self._unpack_output(lanes)):
            scratch.logits[output] = total


class _Vectors(dict[int, int | None]):
    """N-grams by hash, and the vectors that the language table has for them; None for those that it does not know."""

    def __init__(self, table: LanguageTable) -> None:
        self._table = table
        codebook = [(word >> 16 * lane & 0xFFFF) - CODE_BIAS for word in table.codebook for lane in range(LANES)]
        self._rows = [pack(codebook[row : row + DIMENSIONS]) for row in range(0, len(codebook), DIMENSIONS)]

    def __missing__(self, gram: int) -> int | None:
        slot = slot_of(self._table, gram)
        vector = None
        if slot >= 0:
            codes, rows = self._table.codes[slot], self._rows
            vector = sum([rows[stage * CODEWORDS + (codes >> 8 * stage & 0xFF)] for stage in range(CODES)])
        if len(self) >= _MAX_GRAMS:
            self.clear()
        self[gram] = vector
        return vector


class Spoken:
    """Language identification: the sum of the table's vectors, and its product with every language's vector."""

    def __init__(self, table: LanguageTable) -> None:
        self._vectors = _Vectors(table)
        self._unpack = Unpacker(DIMENSIONS)
        self._languages = columns(table.output, len(LANGUAGES), DIMENSIONS)
        self._bias = pack(table.bias)
        self._unpack_languages = Unpacker(len(LANGUAGES))
        self._words: dict[bytes, tuple[array[int], int]] = {}
        self._scratch = LanguageScratch()

    def add_grams(self, table: LanguageTable, scratch: LanguageScratch) -> int:
        """Instead of the core's `add_grams`."""
        hashes: Any = scratch.hashes
        found = [self._vectors[gram] for gram in hashes[: scratch.count]]
        opening = [vector for vector in found[:OPENING_GRAMS] if vector is not None]
        rest = [vector for vector in found[OPENING_GRAMS:] if vector is not None]
        times = 2 if len(found) > OPENING_GRAMS else 1
        for dimension, value in enumerate(self._unpack(times * sum(opening) + sum(rest))):
            scratch.sums[dimension] = value
        return times * len(opening) + len(rest)

    def add_languages(self, table: LanguageTable, script: int, known: int, scratch: LanguageScratch) -> None:
        """Instead of the core's `add_languages`: those of all scripts at once."""
        lanes = sum(map(mul, self._languages, scratch.sums), known * self._bias)
        for index, logit in enumerate(self._unpack_languages(lanes)):
            scratch.logits[index] = logit

    def read_word(self, text: Any, at: int, end: int, script: int, limit: int, scratch: LanguageScratch) -> int:
        """Instead of the core's `read_word`: what it found in a word of plain letters is kept."""
        match = _PLAIN_WORD.match(text, at, end) if script == LATIN else None
        if match is None:
            return _core_read_word(text, at, end, script, limit, scratch)
        word = match[0]
        found = self._words.get(word)
        if found is None:
            if len(self._words) >= _MAX_WORDS:
                self._words.clear()
            found = self._words[word] = self._read_plain(word)
        grams, letters = found
        count = scratch.count
        if count + len(grams) + 12 > limit:
            return _core_read_word(text, at, end, script, limit, scratch)
        hashes: Any = scratch.hashes
        hashes[count : count + len(grams)] = grams
        scratch.count = count + len(grams)
        return letters << 32 | match.end()

    def _read_plain(self, word: bytes) -> "tuple[array[int], int]":
        """The n-grams that the core notes of a word of plain letters, and the number of letters it counts."""
        scratch: Any = self._scratch
        scratch.count = 0
        letters = _core_read_word(bytearray(word), 0, len(word), LATIN, MAX_GRAMS, scratch) >> 32
        return array("I", scratch.hashes[: scratch.count]), letters
