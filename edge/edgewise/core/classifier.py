"""The classifier: from the features of an ask to the scores of every head, in integers.

A known n-gram owns one slot of the table: its fingerprint tells it from the n-grams that nobody trained. The rows of
the known ones are summed over four zones (all of the last turn, its head, its tail, the turns before), divided by their
learned mass, and go with the shape of the text through one hidden layer. `classifier/` trains the table and exports
the same arithmetic as ONNX; both agree bit for bit.
"""

import math
from typing import Annotated

from edgewise.core.features import (
    ENDS,
    MAX_FEATURES,
    SHAPE_CHARACTERS,
    SHAPE_CODE_MARKS,
    SHAPE_DIGITS,
    SHAPE_IDEOGRAPHS,
    SHAPE_INDENTS,
    SHAPE_LAST_MARK,
    SHAPE_LATIN_EXTENDED,
    SHAPE_LINES,
    SHAPE_MARKS,
    SHAPE_OTHER_LETTERS,
    SHAPE_QUESTIONS,
    SHAPE_QUOTES,
    SHAPE_UPPER,
    SHAPE_WORDS,
    ZONE_BYTES,
    Features,
    read_features,
)
from edgewise.core.labels import DOMAIN_COUNT, DOMAINS, SCORE_ONE, TASK_COUNT, TASKS
from edgewise.core.transcript import Ask
from edgewise.core.types import I8, I16, I32, U8, U16, U32, Record, i32, u16, u32

SLOTS = 60_000
LANES = 24
VALUES = LANES - 1
"""All lanes but the last hold meaning; the last one holds how much the n-gram weighs in the mean."""
WORDS = LANES // 8
LANE_BIAS = 8
"""A lane has four bits: values are stored so much above what they are, the weight as it is."""
_NIBBLES = 0x0F0F0F0F
_BLOCK_ROWS = 16
"""So many lanes of four bits can be added in a byte."""

ZONES = 4
ZONE_ALL, ZONE_HEAD, ZONE_TAIL, ZONE_EARLIER = range(ZONES)
EARLIER_WEIGHTS = (4, 2, 1)

SHAPE_INPUTS = 24
INPUTS = ZONES * VALUES + SHAPE_INPUTS
HIDDEN = 64
OUTPUT_INPUTS = HIDDEN + VALUES

BINARY_HEADS = ("code", "recency", "harm", "jailbreak", "pii", "difficulty")
HEADS = ("task", "domain", *BINARY_HEADS)
FIRST_DOMAIN = TASK_COUNT
FIRST_BINARY = TASK_COUNT + DOMAIN_COUNT
OUTPUTS = FIRST_BINARY + len(BINARY_HEADS)

MAGIC = 0x4C434745
"""The bytes `EGCL`."""
VERSION = 2


def _hash_names(names: tuple[str, ...]) -> int:
    value = 0x811C9DC5
    for byte in " ".join(names).encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


SCHEMA = _hash_names((*HEADS, *TASKS, *DOMAINS))
"""A table made for other labels, or the same in another order, is refused."""

LOGIT_ONE = 2048
"""The fixed point of logits: LOGIT_ONE stands for 1.0."""
LIMIT = 127
VALUE_ONE = 128  # sum / mass of 1.0, before clipping
HIDDEN_SHIFT = 6

_STEPS = 64
_EXP_ENTRIES = 16 * _STEPS
_EXP_ONE = 1 << 16
EXP = tuple(round(_EXP_ONE * math.exp(-(index + 0.5) / _STEPS)) for index in range(_EXP_ENTRIES))
"""e**-x in steps of 1/64, for x from 0 to 16."""
SIGMOID = tuple(round(SCORE_ONE / (1 + math.exp(-(index + 0.5) / _STEPS))) for index in range(_EXP_ENTRIES))
"""The logistic function of x, in steps of 1/64, for x from 0 to 16."""
TEMPERATURE_ONE = 256

_LOG2_STEPS = tuple(round(8 * math.log2(1 + index / 16)) for index in range(16))
_LAST_MARKS = (ord("?"), ord("."), ord(":"), ord("!"), ord(")"), ord("}"))


class ClassifierWeights(Record):
    """The trained table; an artifact file is exactly these bytes."""

    magic: u32
    version: u32
    schema: u32
    mass_floor: i32  # added to every mass, so that a short text is judged with restraint
    abstain_below: i32  # task confidence (0 to SCORE_ONE) under which the router takes its default
    temperatures: Annotated[I32, 8]  # one for each head: TEMPERATURE_ONE leaves the logits as they are
    hidden_bias: Annotated[I32, HIDDEN]
    output_bias: Annotated[I32, OUTPUTS]
    hidden_weights: Annotated[I8, INPUTS * HIDDEN]  # input by input, a weight for each unit
    output_weights: Annotated[I8, OUTPUT_INPUTS * OUTPUTS]
    fingerprints: Annotated[U8, SLOTS]
    rows: Annotated[U32, SLOTS * WORDS]  # lane by lane, two in a byte


class ClassifierScratch(Record):
    """Working memory of one classification."""

    features: Features
    slots: Annotated[U16, MAX_FEATURES]
    ends: Annotated[I32, ENDS]
    slot_count: i32
    sums: Annotated[I32, ENDS * LANES]
    zones: Annotated[I32, ZONES * LANES]
    inputs: Annotated[I16, INPUTS]
    units: Annotated[I32, HIDDEN]
    outputs: Annotated[I16, OUTPUT_INPUTS]
    logits: Annotated[I32, OUTPUTS]
    powers: Annotated[I32, DOMAIN_COUNT]


class Scores(Record):
    """What the classifier says, every score from 0 to SCORE_ONE; softmax heads sum to about SCORE_ONE."""

    task: Annotated[U16, TASK_COUNT]
    domain: Annotated[U16, DOMAIN_COUNT]
    code: u16
    recency: u16
    harm: u16
    jailbreak: u16
    pii: u16
    difficulty: u16
    abstain_below: u16  # the best task's score under which the router had better take its default


def is_valid(table: ClassifierWeights) -> bool:
    """Whether the table was made for this code: its format and its labels."""
    return table.magic == MAGIC and table.version == VERSION and table.schema == SCHEMA


def classify(ask: Ask, table: ClassifierWeights, scratch: ClassifierScratch, scores: Scores) -> None:
    """Fill `scores` from the ask. Of an ask without text they say little: check its segments."""
    infer(ask, table, scratch)
    logits = scratch.logits
    _softmax(logits, 0, TASK_COUNT, table.temperatures[0], scratch.powers, scores.task)
    _softmax(logits, FIRST_DOMAIN, DOMAIN_COUNT, table.temperatures[1], scratch.powers, scores.domain)
    scores.code = _logistic(logits[FIRST_BINARY], table.temperatures[2])
    scores.recency = _logistic(logits[FIRST_BINARY + 1], table.temperatures[3])
    scores.harm = _logistic(logits[FIRST_BINARY + 2], table.temperatures[4])
    scores.jailbreak = _logistic(logits[FIRST_BINARY + 3], table.temperatures[5])
    scores.pii = _logistic(logits[FIRST_BINARY + 4], table.temperatures[6])
    scores.difficulty = _logistic(logits[FIRST_BINARY + 5], table.temperatures[7])
    scores.abstain_below = table.abstain_below


def infer(ask: Ask, table: ClassifierWeights, scratch: ClassifierScratch) -> None:
    """Fill `scratch.logits`, and on the way the slots, zones and inputs that an outside check can follow."""
    read_features(ask, scratch.features)
    _find_slots(scratch.features, table.fingerprints, scratch)
    _sum_rows(table.rows, scratch)
    _add_zones(ask, scratch)
    _divide_zones(table.mass_floor, scratch)
    _shape_inputs(scratch.features.shapes, scratch.inputs)
    _hidden_layer(table, scratch)
    _output_layer(table, scratch)


def _find_slots(features: Features, fingerprints: U8, scratch: ClassifierScratch) -> None:
    """Keep the n-grams whose fingerprint stands in their slot."""
    hashes = features.hashes
    slots = scratch.slots
    count = 0
    index = 0
    for run in range(ENDS):
        end = features.ends[run]
        while index < end:
            mixed = (hashes[index] * (0x9E3779B1 - 0x100000000)) & 0xFFFFFFFF
            mixed = mixed ^ (mixed >> 15)
            mixed = (mixed * (0x85EBCA6B - 0x100000000)) & 0xFFFFFFFF
            slot = (mixed * SLOTS) >> 32
            slots[count] = slot
            count += 1 if fingerprints[slot] == (mixed >> 4) & 0xFF else 0
            index += 1
        scratch.ends[run] = count
    scratch.slot_count = count


def _sum_rows(rows: U32, scratch: ClassifierScratch) -> None:
    """Sum the rows of the slots, each run of them for itself."""
    sums = scratch.sums
    for index in range(ENDS * LANES):
        sums[index] = 0
    start = 0
    for run in range(ENDS):
        first = start
        end = scratch.ends[run]
        while start < end:
            block_end = min(end, start + _BLOCK_ROWS)
            _sum_block(rows, scratch.slots, start, block_end, run * LANES, sums)
            start = block_end
        for lane in range(VALUES):
            sums[run * LANES + lane] -= (end - first) * LANE_BIAS


def _sum_block(rows: U32, slots: U16, start: int, end: int, base: int, sums: I32) -> None:
    """Add at most _BLOCK_ROWS rows to `sums[base:]`, eight lanes at a time.

    The low halves of the bytes of a word are added up as four numbers in one integer, and the high halves in another.
    """
    low0, high0, low1, high1, low2, high2 = 0, 0, 0, 0, 0, 0
    for position in range(start, end):
        word = slots[position] * WORDS
        lanes = rows[word]
        low0 += lanes & _NIBBLES
        high0 += (lanes >> 4) & _NIBBLES
        lanes = rows[word + 1]
        low1 += lanes & _NIBBLES
        high1 += (lanes >> 4) & _NIBBLES
        lanes = rows[word + 2]
        low2 += lanes & _NIBBLES
        high2 += (lanes >> 4) & _NIBBLES
    _unpack(low0, high0, base, sums)
    _unpack(low1, high1, base + 8, sums)
    _unpack(low2, high2, base + 16, sums)


def _unpack(low: int, high: int, base: int, sums: I32) -> None:
    for pair in range(4):
        sums[base + 2 * pair] += (low >> (8 * pair)) & 0xFF
        sums[base + 2 * pair + 1] += (high >> (8 * pair)) & 0xFF


def _add_zones(ask: Ask, scratch: ClassifierScratch) -> None:
    """Add the runs up to zones: all, head, tail, and the turns before with falling weight.

    The middle run of a short turn belongs to its head and its tail alike; of a long one, to neither.
    """
    sums = scratch.sums
    zones = scratch.zones
    shared = 1 if ask.segments[0].length < 2 * ZONE_BYTES else 0
    for lane in range(LANES):
        head = sums[lane]
        middle = sums[LANES + lane]
        tail = sums[2 * LANES + lane]
        zones[ZONE_ALL * LANES + lane] = head + middle + tail
        zones[ZONE_HEAD * LANES + lane] = head + shared * middle
        zones[ZONE_TAIL * LANES + lane] = tail + shared * middle
        earlier = 0
        for turn in range(3):
            earlier += EARLIER_WEIGHTS[turn] * sums[(3 + turn) * LANES + lane]
        zones[ZONE_EARLIER * LANES + lane] = earlier


def _divide_zones(mass_floor: int, scratch: ClassifierScratch) -> None:
    """The mean of each zone, by mass, as inputs from -127 to 127."""
    for zone in range(ZONES):
        mass = max(1, scratch.zones[zone * LANES + VALUES] + mass_floor)
        for lane in range(VALUES):
            total = min(mass, max(-mass, scratch.zones[zone * LANES + lane]))
            value = (VALUE_ONE * total + (mass >> 1)) // mass
            scratch.inputs[zone * VALUES + lane] = min(LIMIT, max(-LIMIT, value))


def _log2(value: int) -> int:
    """Eight times the binary logarithm of a value of at least 1."""
    exponent = 0
    rest = value << 4
    while rest >= 32:
        rest >>= 1
        exponent += 1
    return 8 * exponent + _LOG2_STEPS[rest - 16]


def _share(part: int, whole: int) -> int:
    return min(LIMIT, 254 * part // whole)


def _shape_inputs(shapes: I32, inputs: I16) -> None:
    """The shape of the last turn as inputs from 0 to 127: its size, and which characters it is made of."""
    base = ZONES * VALUES
    characters = max(1, shapes[SHAPE_CHARACTERS])
    inputs[base] = min(LIMIT, _log2(characters))
    inputs[base + 1] = min(LIMIT, _log2(shapes[SHAPE_WORDS] + 1))
    inputs[base + 2] = _share(shapes[SHAPE_UPPER], characters)
    inputs[base + 3] = _share(shapes[SHAPE_DIGITS], characters)
    inputs[base + 4] = _share(shapes[SHAPE_MARKS], characters)
    inputs[base + 5] = _share(shapes[SHAPE_CODE_MARKS], characters)
    inputs[base + 6] = _share(shapes[SHAPE_LATIN_EXTENDED], characters)
    inputs[base + 7] = _share(shapes[SHAPE_OTHER_LETTERS], characters)
    inputs[base + 8] = _share(shapes[SHAPE_IDEOGRAPHS], characters)
    inputs[base + 9] = min(LIMIT, 16 * shapes[SHAPE_LINES])
    inputs[base + 10] = min(LIMIT, 32 * shapes[SHAPE_QUESTIONS])
    inputs[base + 11] = min(LIMIT, 16 * shapes[SHAPE_QUOTES])
    inputs[base + 12] = min(LIMIT, 4 * shapes[SHAPE_CODE_MARKS])
    inputs[base + 13] = min(LIMIT, 8 * shapes[SHAPE_DIGITS])
    for mark in range(len(_LAST_MARKS)):
        inputs[base + 14 + mark] = LIMIT if shapes[SHAPE_LAST_MARK] == _LAST_MARKS[mark] else 0
    inputs[base + 20] = LIMIT if characters < 40 else 0
    inputs[base + 21] = min(LIMIT, 16 * shapes[SHAPE_INDENTS])
    inputs[base + 22] = 0
    inputs[base + 23] = 0


def _hidden_layer(table: ClassifierWeights, scratch: ClassifierScratch) -> None:
    weights = table.hidden_weights
    inputs = scratch.inputs
    units = scratch.units
    for unit in range(HIDDEN):
        units[unit] = table.hidden_bias[unit] + (1 << (HIDDEN_SHIFT - 1))
    for index in range(INPUTS):
        value = inputs[index]
        base = index * HIDDEN
        if value != 0:
            for unit in range(HIDDEN):
                units[unit] += weights[base + unit] * value
    for unit in range(HIDDEN):
        scratch.outputs[unit] = min(LIMIT, max(0, units[unit] >> HIDDEN_SHIFT))
    for lane in range(VALUES):
        scratch.outputs[HIDDEN + lane] = inputs[ZONE_ALL * VALUES + lane]


def _output_layer(table: ClassifierWeights, scratch: ClassifierScratch) -> None:
    weights = table.output_weights
    logits = scratch.logits
    for output in range(OUTPUTS):
        logits[output] = table.output_bias[output]
    for index in range(OUTPUT_INPUTS):
        value = scratch.outputs[index]
        base = index * OUTPUTS
        if value != 0:
            for output in range(OUTPUTS):
                logits[output] += weights[base + output] * value


def _softmax(logits: I32, first: int, count: int, temperature: int, powers: I32, scores: U16) -> None:
    """Write the scores of one head's classes."""
    best = 0
    for index in range(1, count):
        if logits[first + index] > logits[first + best]:
            best = index
    total = 0
    for index in range(count):
        powers[index] = _power((logits[first + best] - logits[first + index]) * temperature)
        total += powers[index]
    for index in range(count):
        scores[index] = (powers[index] * SCORE_ONE + (total >> 1)) // total


def _power(distance: int) -> int:
    """e**-x for a distance in LOGIT_ONE * TEMPERATURE_ONE; 0 from 16 on."""
    index = distance * _STEPS // (LOGIT_ONE * TEMPERATURE_ONE)
    return 0 if index >= _EXP_ENTRIES else EXP[index]


def _logistic(logit: int, temperature: int) -> int:
    """The score of a logit, from 0 to SCORE_ONE."""
    index = min(_EXP_ENTRIES - 1, abs(logit) * temperature * _STEPS // (LOGIT_ONE * TEMPERATURE_ONE))
    return SIGMOID[index] if logit >= 0 else SCORE_ONE - SIGMOID[index]
