"""The scan of an ask for its known n-grams, for an interpreter: words at once instead of byte by byte.

`read_features`, `_find_slots` and `_sum_rows` of the core find the hashes of all n-grams, look each up, and add the
rows of the known ones. Tokens repeat. So here a token is hashed and looked up once, and what it adds to the sums is
kept; what depends on the words around it (pairs of words) is hashed for all words of a turn together, as lanes of one
big integer. The sums are the same: `tests/build/test_guest.py` compares them for any text.
"""

import re
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, compress
from operator import eq, itemgetter
from typing import Any

from edgewise.core import classifier, features
from edgewise.core.classifier import LANE_BIAS, LANES, SLOTS, VALUES, ClassifierScratch, ClassifierWeights
from edgewise.core.features import (
    DIGIT,
    ENDS,
    GRAM_HEAD_BYTES,
    GRAM_TAIL_BYTES,
    IDEOGRAPH,
    LETTER,
    MARK,
    SHAPE_CHARACTERS,
    SHAPE_LAST_MARK,
    SHAPE_MARKS,
    SHAPE_WORDS,
    SHAPES,
    SPACE,
    ZONE_BYTES,
    Features,
)
from edgewise.core.transcript import ASK_BYTES, Ask
from edgewise.core.types import U8, U32
from edgewise_build.guest.lanes import Unpacker, pack

_MASK = 0xFFFFFFFF
_APOSTROPHES = "'\u2019"
_LAST_CHARACTER = 0x10FFFF
_CONTINUATION_BYTES = bytes(range(0x80, 0xC0))
_WORD_RUN = 63  # from this many letters on, an ideograph right behind a word is read as part of it

_MAX_TOKENS = 20_000
_ONES = sum(1 << (64 * lane) for lane in range(ASK_BYTES * 3))
"""A 1 in every lane of 64 bits."""

# Kept from before the variants take their places.
_core_read_features = features.read_features
_core_find_slots = classifier._find_slots
_core_sum_rows = classifier._sum_rows
_fold, _class_of, _count_shapes = features._fold, features._class_of, features._count_shapes
_STEP, _WORD, _PAIR, _SKIP = features._STEP, features._WORD, features._PAIR, features._SKIP
_FIRST, _SHAPE_WORD, _GRAM = features._FIRST, features._SHAPE_WORD, features._GRAM


class _Kinds(dict[str, int]):
    """What each character is to the core: a space, a letter, a digit, a mark or an ideograph."""

    def __missing__(self, character: str) -> int:
        self[character] = kind = _class_of(_fold(ord(character)))
        return kind


_KINDS = _Kinds()


def _ranges(kinds: bytearray, *wanted: int) -> str:
    """The body of a character class: all characters of the wanted kinds."""
    parts = []
    start = None
    for character, kind in enumerate(chain(kinds, [-1])):
        if kind in wanted:
            start = character if start is None else start
        elif start is not None:
            parts.append(f"\\U{start:08x}-\\U{character - 1:08x}")
            start = None
    return "".join(parts)


def _compile_tokens() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What cuts a text into tokens, and what finds a word that is too long.

    A token is a word, ideographs in a row, or marks and line ends in a row, each with the spaces behind it; a text may
    begin with a token of spaces alone.
    """
    kinds = bytearray(map(_class_of, map(_fold, range(_LAST_CHARACTER + 1))))
    kinds[ord("\n")] = MARK
    word, ideograph, mark = _ranges(kinds, LETTER, DIGIT), _ranges(kinds, IDEOGRAPH), _ranges(kinds, MARK)
    space = _ranges(kinds, SPACE)
    tokens = [f"[{word}][{word}{_APOSTROPHES}]*[{space}]*", f"[{ideograph}]+[{space}]*", f"(?:[{mark}][{space}]*)+"]
    long_word = f"[{word}{_APOSTROPHES}]{{{_WORD_RUN},}}[{ideograph}]"
    return re.compile("|".join([*tokens, f"[{space}]+"])), re.compile(long_word)


_TOKEN, _LONG_WORD = _compile_tokens()


class _Shapes(dict[int, int]):
    """Characters, each as the number of its signature: what the core counts when it meets the character."""

    def __init__(self) -> None:
        self.signatures: list[tuple[int, ...]] = []
        self.marks: list[str] = []

    def __missing__(self, character: int) -> int:
        folded = _fold(character)
        counts: Any = [0] * SHAPES
        _count_shapes(character, folded, _class_of(folded), counts)
        signature = tuple(counts)
        if signature not in self.signatures:
            self.signatures.append(signature)
            if signature[SHAPE_MARKS]:
                self.marks.append(chr(len(self.signatures) - 1))
        self[character] = self.signatures.index(signature)
        return self[character]

    def count(self, text: str) -> list[int]:
        """What the core counts in the text, all added up; the last mark is that of the last one."""
        shapes = [0] * SHAPES
        numbered = text.translate(self)
        for number in set(numbered):
            times = numbered.count(number)
            for index, value in enumerate(self.signatures[ord(number)]):
                if value:
                    shapes[index] += times * value
        last = max((numbered.rfind(mark) for mark in self.marks), default=-1)
        shapes[SHAPE_LAST_MARK] = 0 if last < 0 else self.signatures[ord(numbered[last])][SHAPE_LAST_MARK]
        return shapes


class _Folding(dict[int, int | None]):
    """For `str.translate`: characters of some kinds, folded, and all others left out, but for line ends.

    `digit` is what stands for every digit, where something does.
    """

    def __init__(self, *kinds: int, digit: str = "") -> None:
        self._kinds, self._digit = kinds, digit
        self[ord("\n")] = ord("\n")

    def __missing__(self, character: int) -> int | None:
        folded = _fold(character)
        kind = _class_of(folded)
        if kind == DIGIT and self._digit:
            folded = ord(self._digit)
        self[character] = found = folded if kind in self._kinds else None
        return found


_LETTERS = _Folding(LETTER, DIGIT)
_SHAPED = _Folding(LETTER, DIGIT, digit="0")
_SIGNS = _Folding(IDEOGRAPH)


def _fold_all(tokens: list[str], folding: _Folding) -> list[str]:
    """Each of some tokens, none with a line end in it, folded."""
    return "\n".join(tokens).translate(folding).split("\n")


_LOW_HALVES, _HIGH_HALVES = bytes(byte & 15 for byte in range(256)), bytes(byte >> 4 for byte in range(256))


class _Rows(dict[int, int]):
    """The rows of the classifier's table as lanes, by slot, made when they are first asked for."""

    def __init__(self, rows: U32) -> None:
        self._values = struct.pack(f"<{len(rows)}I", *rows)  # two lanes a byte
        self._bias = pack([LANE_BIAS] * VALUES)

    def __missing__(self, slot: int) -> int:
        row = self._values[slot * LANES // 2 : (slot + 1) * LANES // 2]
        spread = bytearray(4 * LANES)
        spread[::8], spread[4::8] = row.translate(_LOW_HALVES), row.translate(_HIGH_HALVES)
        self[slot] = lanes = int.from_bytes(spread, "little") - self._bias
        return lanes


class Table:
    """The classifier's table: the rows of n-grams by their hashes."""

    def __init__(self, weights: ClassifierWeights) -> None:
        self._fingerprints = bytes(weights.fingerprints)
        self._rows = _Rows(weights.rows)

    def row_of(self, hashed: int) -> int:
        """The row of an n-gram by its hash, 0 where the table does not know it."""
        mixed = (hashed * 0x9E3779B1) & _MASK
        mixed ^= mixed >> 15
        mixed = (mixed * 0x85EBCA6B) & _MASK
        slot = (mixed * SLOTS) >> 32
        return self._rows[slot] if self._fingerprints[slot] == (mixed >> 4) & 0xFF else 0

    def rows_of(self, hashes: int, owners: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Of n-grams, each with an owner, those that the table knows: owner and row, as `row_of` finds it for one.

        The hashes stand in lanes of 64 bits, as many as there are owners.
        """
        count = len(owners)
        ones = _ones(count)
        mask = _MASK * ones
        mixed = (hashes * 0x9E3779B1) & mask
        mixed ^= (mixed >> 15) & mask
        mixed = (mixed * 0x85EBCA6B) & mask
        slots = memoryview((((mixed * SLOTS) >> 32) & mask).to_bytes(8 * count, "little")).cast("Q").tolist()
        marks = ((mixed >> 4) & (0xFF * ones)).to_bytes(8 * count, "little")[::8]
        stored = itemgetter(*slots, 0, 0)(self._fingerprints)  # of fewer than two, it would give no tuple
        known = list(map(eq, stored, marks))
        return zip(compress(owners, known), map(self._rows.__getitem__, compress(slots, known)), strict=True)

    def sum_grams(self, texts: Sequence[str], sizes: Sequence[int], skip: int = 0) -> list[int]:
        """For each text, the sum of the rows of all its runs of so many characters.

        Runs that end in the first `skip` characters do not count, runs that begin there do.
        """
        joined = "".join(texts)
        ones = _ones(len(joined))
        mask = _MASK * ones
        spread = bytearray(8 * len(joined))
        characters = joined.encode("utf-32-le")
        for byte in range(3):
            spread[byte::8] = characters[byte::4]
        codes = lanes = int.from_bytes(spread, "little")
        totals = [0] * (len(texts) + 1)  # the last is for runs that do not count
        for size in range(1, max(sizes) + 1):
            if size > 1:
                lanes = ((lanes << 64) * _STEP + codes) & mask
            if size in sizes:
                first = max(skip, size - 1)
                owners: list[int] = []
                for index, text in enumerate(texts):
                    owners += [-1] * min(first, len(text)) + [index] * (len(text) - first)
                for owner, row in self.rows_of(lanes ^ (_GRAM[size - 1] * ones), owners):
                    totals[owner] += row
        return totals[:-1]


def _ones(count: int) -> int:
    """A 1 in each of `count` lanes of 64 bits."""
    return _ONES & ((1 << (64 * count)) - 1)


def _chain(characters: str) -> int:
    """The hash of a run of characters, before the salt of its length."""
    value = 0
    for character in characters:
        value = (value * _STEP + ord(character)) & _MASK
    return value


class _Marks(dict[str, int]):
    """A mark, with the mark before it where there is one, and what both add to the sums."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __missing__(self, marks: str) -> int:
        mark = _fold(ord(marks[-1]))
        before = _fold(ord(marks[0])) if len(marks) > 1 else 0
        if len(self) >= _MAX_TOKENS:
            self.clear()
        pair = ((before * 31 + mark) & _MASK) ^ _PAIR
        self[marks] = row = self._table.row_of(mark ^ _WORD) + self._table.row_of(pair)
        return row


class _Tokens(dict[str, tuple[int, int]]):
    """What each token adds to the sums, its grams left out, and a word's hash; -1 where a token is no word."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.marks = _Marks(table)

    def learn(self, tokens: Iterable[str]) -> None:
        """Make the entries of all tokens that have none."""
        words, ideographs, marks = _new_by_kind(tokens, self)
        if words:
            self._learn_words(words)
        if ideographs:
            signs = [_START + signs for signs in _fold_all(ideographs, _SIGNS)]
            for token, row in zip(ideographs, self._table.sum_grams(signs, (1, 2), len(_START)), strict=True):
                self[token] = row, -1
        for token in marks:
            self[token] = sum(map(self.marks.__getitem__, _mark_pairs(token))), -1

    def _learn_words(self, tokens: list[str]) -> None:
        words, shapes = _fold_all(tokens, _LETTERS), _fold_all(tokens, _SHAPED)
        hashes = list(map(_hash_word, words))
        rows = [0] * len(tokens)
        salt = _WORD * _ones(len(hashes))
        for index, row in self._table.rows_of(_lanes_of(hashes) ^ salt, range(len(hashes))):
            rows[index] = row
        for index, shape in enumerate(shapes):
            if "0" in shape:
                hashes[index] = _hash_word(shape)
                rows[index] += self._table.row_of(hashes[index] ^ _SHAPE_WORD)
        self.update(zip(tokens, zip(rows, hashes, strict=True), strict=True))


class _Grams(dict[str, int]):
    """What each token adds to the sums by its grams: runs of 3 and more characters, which count near a turn's ends."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def learn(self, tokens: Iterable[str]) -> None:
        """Make the entries of all tokens that have none."""
        words, ideographs, marks = _new_by_kind(tokens, self)
        if words:
            edged = [f" {shape} " for shape in _fold_all(words, _SHAPED)]
            self.update(zip(words, self._table.sum_grams(edged, (3, 4, 5)), strict=True))
        if ideographs:
            signs = [_START + signs for signs in _fold_all(ideographs, _SIGNS)]
            self.update(zip(ideographs, self._table.sum_grams(signs, (3, 4), len(_START)), strict=True))
        self.update(dict.fromkeys(marks, 0))


def _new_by_kind(tokens: Iterable[str], known: dict[str, Any]) -> tuple[list[str], list[str], list[str]]:
    """Those tokens that are not known yet, each once: words, ideographs, and marks or spaces. Forgets when full."""
    if len(known) >= _MAX_TOKENS:
        known.clear()
    new: tuple[list[str], list[str], list[str]] = [], [], []
    for token in {token for token in tokens if token not in known}:
        kind = _KINDS[token[0]]
        new[0 if kind in (LETTER, DIGIT) else 1 if kind == IDEOGRAPH else 2].append(token)
    return new


_START = "\0\0\0"
"""Before the first of ideographs in a row: their runs begin with nothing."""


def _hash_word(letters: str) -> int:
    value = 0
    for letter in map(ord, letters):
        value = ((value ^ letter) * _STEP) & _MASK
    return value


def _lanes_of(hashes: list[int]) -> int:
    """Hashes as lanes of 64 bits."""
    return int.from_bytes(struct.pack(f"<{len(hashes)}Q", *hashes), "little")


def _ideographs(token: str) -> str:
    """A token of ideographs without the spaces behind it."""
    end = len(token)
    while _KINDS[token[end - 1]] != IDEOGRAPH:
        end -= 1
    return token[:end]


def _mark_pairs(token: str) -> Iterator[str]:
    """Each mark of a token with the one before it."""
    before = ""
    for character in token:
        if character == "\n" or _KINDS[character] == MARK:
            yield before + character
            before = character


class _Turn:
    """A turn's text, and by place in it, counted in characters, which run its n-grams go to and whether grams count."""

    def __init__(self, encoded: bytes, index: int) -> None:
        self.text = encoded.decode()
        self.encoded = encoded
        self.first_run = 0 if index == 0 else 2 + index
        length = len(encoded)
        cuts = []
        if index == 0:  # the last turn has zones, cut as the core cuts them
            cuts = [min(ZONE_BYTES, max(0, length - ZONE_BYTES)), max(ZONE_BYTES, length - ZONE_BYTES)]
        self._cuts = [self._place(cut) for cut in cuts]
        self._grams_until = self._place(GRAM_HEAD_BYTES)
        self._grams_from = self._place(length - GRAM_TAIL_BYTES)
        self.changes = sorted({*self._cuts, self._grams_until, self._grams_from})

    def _place(self, byte: int) -> int:
        """The first character that begins at or after a byte; behind the end of the text where there is none."""
        if byte > len(self.encoded):
            return len(self.text) + 1
        if byte <= 0 or len(self.text) == len(self.encoded):
            return max(0, byte)
        return len(self.encoded[:byte].translate(None, _CONTINUATION_BYTES))

    def run_at(self, place: int) -> int:
        """The run that what stands at a place goes to."""
        return self.first_run + sum(place >= cut for cut in self._cuts)

    def reads_grams(self, place: int) -> bool:
        """Whether runs of characters count there."""
        return place < self._grams_until or place >= self._grams_from


def _read_turns(ask: Ask) -> list[_Turn] | None:
    """The turns of the ask. None where they are not UTF-8, or hold what only the core itself reads right."""
    text: Any = ask.text
    turns = []
    for index in range(ask.segment_count):
        segment = ask.segments[index]
        try:
            turns.append(_Turn(bytes(text[segment.start : segment.start + segment.length]), index))
        except UnicodeDecodeError:
            return None
    return None if any(_LONG_WORD.search(turn.text) for turn in turns) else turns


class Scanner:
    """The variants of the core's three steps from the ask to the sums of rows."""

    def __init__(self, weights: ClassifierWeights) -> None:
        self._table = Table(weights)
        self._tokens = _Tokens(self._table)
        self._grams = _Grams(self._table)
        self._shapes = _Shapes()
        self._unpack = Unpacker(LANES)
        self._sums: list[int] | None = None

    def read_features(self, ask: Ask, found: Features) -> None:
        """Instead of the core's: sum the rows of all n-grams at once, run by run. The hashes stay unwritten."""
        turns = _read_turns(ask)
        self._sums = None
        if turns is None:
            _core_read_features(ask, found)
            return
        self._sums = [0] * ENDS
        shapes = self._shapes.count(turns[0].text) if turns else [0] * SHAPES
        for index, turn in enumerate(turns):
            words = self._scan(turn, self._sums)
            if index == 0:
                shapes[SHAPE_CHARACTERS] += 1  # the end of the text
                shapes[SHAPE_WORDS] = words
        for index, value in enumerate(shapes):
            found.shapes[index] = value

    def find_slots(self, found: Features, fingerprints: U8, scratch: ClassifierScratch) -> None:
        """Instead of the core's: nothing is left to look up."""
        if self._sums is None:
            _core_find_slots(found, fingerprints, scratch)

    def sum_rows(self, rows: U32, scratch: ClassifierScratch) -> None:
        """Instead of the core's: the sums are there, and take their places."""
        if self._sums is None:
            _core_sum_rows(rows, scratch)
            return
        sums = scratch.sums
        for run, lanes in enumerate(self._sums):
            base = run * LANES
            for lane, value in enumerate(self._unpack(lanes)):
                sums[base + lane] = value

    def _scan(self, turn: _Turn, sums: list[int]) -> int:
        """Add the rows of one turn to the sums of its runs; gives the number of its words."""
        tokens = _TOKEN.findall(turn.text)
        self._tokens.learn(tokens)
        ends = list(accumulate(map(len, tokens)))
        words: list[int] = []
        runs: list[tuple[int, int]] = []  # how many words there are up to here, and their run
        first = 0
        for change in [*turn.changes, len(turn.text) + 1]:
            across = bisect_left(ends, change)  # the token in which, or at whose end, something changes
            if first < across:
                start = ends[first - 1] if first else 0
                run, part = turn.run_at(start), tokens[first:across]
                entries = [self._tokens[token] for token in part]
                sums[run] += sum([row for row, _ in entries])
                words += [word for _, word in entries if word >= 0]
                if turn.reads_grams(start):
                    self._grams.learn(part)
                    sums[run] += sum([self._grams[token] for token in part])
                runs.append((len(words), run))
                first = across
            if first == across < len(tokens):
                self._add_across(tokens[across], ends[across], turn, sums, words, runs)
                first += 1
        self._add_pairs(words, runs, sums)
        return len(words)

    def _add_across(
        self, token: str, end: int, turn: _Turn, sums: list[int], words: list[int], runs: list[tuple[int, int]]
    ) -> None:
        """Add a token in which a run ends, or grams stop or start to count: character by character."""
        start = end - len(token)
        kind = _KINDS[token[0]]
        if kind == IDEOGRAPH:
            context = _START
            for place, character in enumerate(_ideographs(token), start):
                context = context[-3:] + chr(_fold(ord(character)))
                for size in (1, 2, 3, 4) if turn.reads_grams(place) else (1, 2):
                    sums[turn.run_at(place)] += self._table.row_of(_chain(context[-size:]) ^ _GRAM[size - 1])
        elif kind in (LETTER, DIGIT):
            end = self._add_grams(token, start, turn, sums)
            whole, word = self._tokens[token]
            sums[turn.run_at(end)] += whole
            words.append(word)
            runs.append((len(words), turn.run_at(end)))
        else:
            places = [start + at for at, mark in enumerate(token) if mark == "\n" or _KINDS[mark] == MARK]
            for place, marks in zip(places, _mark_pairs(token), strict=True):
                sums[turn.run_at(place)] += self._tokens.marks[marks]

    def _add_grams(self, token: str, start: int, turn: _Turn, sums: list[int]) -> int:
        """Add the runs of characters of a word; gives the place where it ends."""
        word = token
        while _KINDS[word[-1]] == SPACE:
            word = word[:-1]
        grams = [ord(" ")]  # the hashes of the last 1, 2, ... up to 5 characters, before their salts
        for place, character in enumerate([*word, " "], start):
            if character in _APOSTROPHES or not turn.reads_grams(place):
                continue
            letter = _fold(ord(character))
            letter = ord("0") if _class_of(letter) == DIGIT else letter
            grams = [letter, *[(gram * _STEP + letter) & _MASK for gram in grams[:4]]]
            run = turn.run_at(place)
            for gram, salt in zip(grams[2:], _GRAM[2:], strict=False):
                sums[run] += self._table.row_of(gram ^ salt)
        return start + len(word)

    def _add_pairs(self, words: list[int], runs: list[tuple[int, int]], sums: list[int]) -> None:
        """Add the rows of what two words make, neighbours or with one between, and of the first two by their places."""
        run_of_word: list[int] = []
        for count, run in runs:
            run_of_word += [run] * (count - len(run_of_word))
        for place, word in enumerate(words[:2]):
            sums[run_of_word[place]] += self._table.row_of((word + place) ^ _FIRST)
        count = len(words)
        everywhere = (1 << (64 * count)) - 1
        ones = _ONES & everywhere
        lanes = _lanes_of(words)
        for distance, factor, salt in ((1, 31, _PAIR), (2, 37, _SKIP)):
            earlier = (lanes << (64 * distance)) & everywhere
            pairs = ((earlier * factor + lanes) & (_MASK * ones)) ^ (salt * ones)
            for run, row in self._table.rows_of(pairs, run_of_word):
                sums[run] += row
