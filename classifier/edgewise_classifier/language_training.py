"""Trains the table of language identification.

Four steps: count the n-grams of the corpus by language and keep those that say most, at most two a bucket; learn a
vector for each and one per language, as a softmax over the languages of the text's script; write every vector as the
sum of four from small codebooks; learn the codebooks again, so that they make up for what the coding lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from edgewise.core import language as core
from edgewise_build.lower import native, record_dtype
from edgewise_classifier import language_corpus as corpus
from edgewise_classifier.language import write_table

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

SAMPLES = 20_000_000
_TUNING_SAMPLES = 6_000_000
_DIMENSIONS = core.DIMENSIONS
_LANGUAGES = len(core.LANGUAGES)
_BUCKETS = core.BUCKETS
_STEP, _START, _BITS_32 = core._HASH_STEP, core._HASH_START, 0xFFFFFFFF
_FIRST = np.array(core.FIRST_CANDIDATE)
_CANDIDATES = np.array(core.CANDIDATES)

# How often each source is drawn for a language that has them all.
_SOURCE_WEIGHTS = {
    "languages": 4.0, "lingua_sentences": 3.0, "authored": 2.0, "chat": 2.0, "wordfreq": 2.0, "lingua_grams": 0.7,
    "udhr": 0.7, "interface": 0.7, "lingua_words": 0.5, "uncommonroute": 1.0, "stripped": 0.5, "lemmas": 0.4,
}  # fmt: skip
_GRAMS_ALONE = 2.0  # the weight of n-gram statistics for a language without word frequencies
_MOST_COUNTED = {"wordfreq": 2000, "lemmas": 1000, "stripped": 300}
_LANGUAGE_WEIGHTS = {"en": 2.0, "ia": 0.7} | dict.fromkeys(
    ("es", "fr", "de", "pt", "it", "ru", "zh", "ja", "ko", "ar", "hi", "tr", "vi", "id", "pl", "nl", "uk", "fa"), 1.3
)
_FEWEST_SEEN = 4

# Which languages prompts are really written in, beside an even share: natural logarithms.
_PRIORS = (
    dict.fromkeys(("es", "fr", "de", "pt", "it", "ru", "ja", "ar", "hi", "tr", "id", "vi", "pl", "nl"), 0.2)
    | dict.fromkeys(("st", "ts", "tn", "rw", "ig", "ha", "lg", "sn", "mi", "ia"), -0.4)
    | {"en": 1.2, "zh": 0.8, "yue": -0.5}
)

_collect = native(core.collect)
_dominant = native(core.dominant_script)
_mixed = native(core.mixed)
_decode = native(core.decode)
_script_of = native(core.script_of)
_folded = native(core.folded)
_identify = native(core.identify)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Texts:
    """Texts end to end in one array, sorted by language and source, with the groups that those make."""

    data: npt.NDArray[np.uint8]
    offsets: Integers
    labels: Integers
    groups: Integers  # language, first text, last text + 1
    shares: npt.NDArray[np.float64]  # cumulative share with which each group is drawn


@dataclass
class Model:
    """What is learned: which n-gram each slot holds, the slots' vectors as sums of codewords, and the languages'."""

    marks: npt.NDArray[np.uint8]
    weights: npt.NDArray[np.float64]  # how often a slot's n-gram is seen
    codes: Integers  # stage, slot
    codebook: Floats  # stage, codeword, dimension
    output: Floats
    bias: Floats


def _weight_of_source(source: str, with_words: bool) -> float:
    if source == "lingua_grams" and not with_words:
        return _GRAMS_ALONE
    return _SOURCE_WEIGHTS[source.removesuffix(" cyrillic")]


def pack_texts(samples: Sequence[corpus.Sample]) -> Texts:
    """Put the samples into arrays."""
    index = {language: number for number, language in enumerate(core.LANGUAGES)}
    ordered = sorted(samples, key=lambda sample: (index[sample.language], sample.source))
    data = bytearray()
    offsets = [0]
    groups: dict[tuple[int, str], list[int]] = {}
    for number, sample in enumerate(ordered):
        data += sample.text.encode("utf-8", "ignore")[:4000]
        offsets.append(len(data))
        groups.setdefault((index[sample.language], sample.source), [number, number])[1] = number + 1
    with_words = {key[0] for key in groups if key[1] == "wordfreq"}
    weights = {
        key: _weight_of_source(key[1], key[0] in with_words) * min(1.0, ((stop - first) / 60) ** 0.5)
        for key, (first, stop) in groups.items()
    }
    totals: dict[int, float] = defaultdict(float)
    for (language, _), weight in weights.items():
        totals[language] += weight
    shares = np.array(
        [
            _LANGUAGE_WEIGHTS.get(core.LANGUAGES[key[0]], 1.0) * weight / totals[key[0]]
            for key, weight in weights.items()
        ]
    )
    return Texts(
        np.frombuffer(bytes(data), np.uint8).copy(),
        np.array(offsets, np.int64),
        np.array([index[sample.language] for sample in ordered], np.int64),
        np.array([(key[0], first, stop) for key, (first, stop) in groups.items()], np.int64),
        np.cumsum(shares / shares.sum()),
    )


def _scratch() -> Any:
    return np.zeros(1, record_dtype(core.LanguageScratch))[0]


@numba.njit
def _random(state):  # type: ignore[no-untyped-def]
    value = state[0]
    value ^= value << np.uint64(13)
    value ^= value >> np.uint64(7)
    value ^= value << np.uint64(17)
    state[0] = value
    return float(value >> np.uint64(11)) / 9007199254740992.0


@numba.njit
def _crop(data, first, stop, state, out):  # type: ignore[no-untyped-def]
    """Copy a part of a text, mostly short, that begins and ends with a word; gives its length in bytes."""
    kind = _random(state)
    size = _random(state)
    if kind < 0.25:
        target = 5 + int(size * 15)
    elif kind < 0.6:
        target = 20 + int(size * 30)
    elif kind < 0.85:
        target = 50 + int(size * 70)
    else:
        target = 300
    begin = first
    if stop - first > target and _random(state) < 0.7:
        begin = first + int(_random(state) * (stop - first - 1))
        word = begin
        while word > first and data[word - 1] != 32 and begin - word < 24:
            word -= 1
        begin = word
        while begin < stop and (data[begin] >> 6) == 2:
            begin += 1
    end = begin
    points = 0
    while end < stop and points < target:
        if (data[end] >> 6) != 2:
            points += 1
        end += 1
    rest = 0
    while end < stop and data[end] != 32 and (rest < 20 or (data[end] >> 6) == 2):
        end += 1
        rest += 1
    length = min(end - begin, len(out))
    for at in range(length):
        out[at] = data[begin + at]
    return length


@numba.njit
def _inner_grams(data, first, stop, most, hashes):  # type: ignore[no-untyped-def]
    """Note the n-grams inside `most` pieces, none with a word's edge; gives their count and the script."""
    count = 0
    letters = 0
    pieces = 0
    script = 0
    one = two = three = four = 0
    at = first
    while at < stop and count + 6 < len(hashes):
        decoded = _decode(data, at, stop)
        point = decoded >> 3
        at += decoded & 7
        if point == 32:
            letters = 0
            pieces += 1
            if pieces >= most:
                break
            continue
        kind = _script_of(point)
        if kind in (0, 63):
            continue
        if script == 0:
            script = kind
        letter = _folded(point)
        letters += 1
        five = (four * _STEP + letter) & _BITS_32
        four = (three * _STEP + letter) & _BITS_32
        three = (two * _STEP + letter) & _BITS_32
        two = (one * _STEP + letter) & _BITS_32
        one = (_START + letter) & _BITS_32
        if letter >= 0x80:
            hashes[count] = one
            count += 1
        if letters > 1:
            hashes[count] = two
            count += 1
        if letters > 2:
            hashes[count] = three
            count += 1
        if letters > 3:
            hashes[count] = four
            count += 1
        if letters > 4:
            hashes[count] = five
            count += 1
    return count, script


@numba.njit
def _instances(data, offsets, hashes, texts, scratch):  # type: ignore[no-untyped-def]
    """Every n-gram of every text, with the number of the text."""
    count = 0
    for text in range(len(offsets) - 1):
        at = offsets[text]
        stop = offsets[text + 1]
        while at < stop:
            if data[at] == 1:
                found, _ = _inner_grams(data, at + 1, stop, 99, scratch["hashes"])
                end = stop
            else:
                end = min(stop, at + 200)
                while end < stop and data[end] != 32 and (data[end] >> 6) == 2:
                    end += 1
                _collect(data, at, end - at, scratch)
                found = scratch["count"]
            if count + found > len(hashes):
                return count
            for index in range(found):
                hashes[count] = scratch["hashes"][index]
                texts[count] = text
                count += 1
            at = end
    return count


@numba.njit
def _fill(order, buckets, marks_of, marks, owners):  # type: ignore[no-untyped-def]
    """Give the slots to the n-grams in order: two a bucket, never the same mark twice."""
    used = np.zeros(len(marks) // 2, np.int64)
    for index in range(len(order)):
        bucket = buckets[index]
        slot = 2 * bucket + used[bucket]
        if used[bucket] == 2 or (used[bucket] == 1 and marks[slot - 1] == marks_of[index]):
            continue
        marks[slot] = marks_of[index]
        owners[slot] = order[index]
        used[bucket] += 1


def choose_grams(texts: Texts) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """The marks of the n-grams that say most about the language, and how often each is seen."""
    share_of_byte = np.zeros(len(texts.labels))
    sizes = np.diff(texts.offsets)
    for (_, first, stop), share in zip(texts.groups, np.diff(texts.shares, prepend=0.0), strict=True):
        share_of_byte[first:stop] = share / max(1, sizes[first:stop].sum())
    room = 4 * len(texts.data)
    hashes, numbers = np.empty(room, np.uint32), np.empty(room, np.int32)
    count = _instances(texts.data, texts.offsets, hashes, numbers, _scratch())
    keys = hashes[:count].astype(np.uint64) << np.uint64(7) | texts.labels[numbers[:count]].astype(np.uint64)
    order = np.argsort(keys, kind="stable")
    keys, weights = keys[order], share_of_byte[numbers[:count]][order]
    starts = np.flatnonzero(np.diff(keys, prepend=keys[0] + np.uint64(1)))
    seen = np.diff(starts, append=len(keys))
    mass = np.add.reduceat(weights, starts)
    grams, labels = (keys[starts] >> np.uint64(7)).astype(np.int64), (keys[starts] & np.uint64(127)).astype(np.int64)
    rates = mass / np.bincount(labels, mass, _LANGUAGES)[labels]
    starts = np.flatnonzero(np.diff(grams, prepend=-1))
    totals = np.add.reduceat(rates, starts)
    posterior = rates / (np.repeat(totals, np.diff(starts, append=len(grams))) + 2e-6)
    gains = np.add.reduceat(rates * np.log(np.maximum(posterior, 1e-12) * 70), starts)
    gains[np.add.reduceat(seen, starts) < _FEWEST_SEEN] = 0
    order = np.argsort(-gains, kind="stable")
    order = order[gains[order] > 0][: 24 * _BUCKETS]
    mixed = np.array([_mixed(gram) for gram in grams[starts][order].tolist()], np.int64)
    marks, owners = np.zeros(2 * _BUCKETS, np.uint8), np.full(2 * _BUCKETS, -1, np.int64)
    _fill(order, mixed * _BUCKETS >> 32, (mixed & 0xFF).astype(np.uint8), marks, owners)
    frequency = np.where(owners >= 0, totals[owners], 1e-9)
    return marks, frequency / frequency.max()


@numba.njit
def _fit(  # type: ignore[no-untyped-def]
    data, offsets, groups, shares, marks, codes, codebook, output, bias, samples, rate, last_rate, drop, seed, scratch
):
    """Stochastic gradient descent on crops of the texts; gives the mean loss and the accuracy on them."""
    state = np.empty(1, np.uint64)
    state[0] = np.uint64(seed * 7919 + 12345)
    for _ in range(10):
        _random(state)
    stages, dimensions = codebook.shape[0], codebook.shape[2]
    text = np.empty(1200, np.uint8)
    slots = np.empty(4096, np.int64)
    hidden = np.empty(dimensions, np.float32)
    slope = np.empty(dimensions, np.float32)
    odds = np.empty(output.shape[0], np.float32)
    loss = 0.0
    seen = right = 0
    for sample in range(samples):
        step = np.float32(rate + (last_rate - rate) * sample / samples)
        group = min(np.searchsorted(shares, _random(state)), len(groups) - 1)
        label = groups[group, 0]
        number = groups[group, 1] + int(_random(state) * (groups[group, 2] - groups[group, 1]))
        if data[offsets[number]] == 1:
            most = 3 + int(_random(state) * 8)
            count, script = _inner_grams(data, offsets[number] + 1, offsets[number + 1], most, scratch["hashes"])
        else:
            length = _crop(data, offsets[number], offsets[number + 1], state, text)
            _collect(text, 0, length, scratch)
            script = _dominant(scratch)
            count = scratch["count"]
        first, stop = _FIRST[script], _FIRST[script + 1]
        possible = False
        for index in range(first, stop):
            possible = possible or _CANDIDATES[index] == label
        if stop - first < 2 or not possible:
            continue
        dropped = drop * _random(state) * 2
        known = 0
        for index in range(count):
            value = _mixed(np.int64(scratch["hashes"][index]))
            slot = (value * _BUCKETS >> 32) * 2
            if marks[slot] != value & 0xFF:
                slot += 1
                if marks[slot] != value & 0xFF:
                    continue
            if _random(state) >= dropped:
                slots[known] = slot
                known += 1
        if known == 0:
            continue
        hidden[:] = 0
        for index in range(known):
            for stage in range(stages):
                code = codes[stage, slots[index]]
                for dimension in range(dimensions):
                    hidden[dimension] += codebook[stage, code, dimension]
        inverse = np.float32(1.0 / known)
        for dimension in range(dimensions):
            hidden[dimension] *= inverse
            slope[dimension] = 0
        highest = np.float32(-1e30)
        best = -1
        for index in range(first, stop):
            language = _CANDIDATES[index]
            logit = bias[language]
            for dimension in range(dimensions):
                logit += output[language, dimension] * hidden[dimension]
            odds[language] = logit
            if logit > highest:
                highest = logit
                best = language
        total = np.float32(0)
        for index in range(first, stop):
            language = _CANDIDATES[index]
            odds[language] = np.exp(odds[language] - highest)
            total += odds[language]
        for index in range(first, stop):
            language = _CANDIDATES[index]
            error = odds[language] / total
            if language == label:
                loss -= np.log(max(error, np.float32(1e-9)))
                error -= np.float32(1)
            for dimension in range(dimensions):
                slope[dimension] += error * output[language, dimension]
                output[language, dimension] -= step * error * hidden[dimension]
            bias[language] -= np.float32(0.1) * step * error
        for dimension in range(dimensions):
            slope[dimension] *= step * inverse
        for index in range(known):
            for stage in range(stages):
                code = codes[stage, slots[index]]
                for dimension in range(dimensions):
                    codebook[stage, code, dimension] -= slope[dimension]
        seen += 1
        right += best == label
    return loss / max(seen, 1), right / max(seen, 1)


def _descend(
    texts: Texts, model: Model, samples: int, rates: tuple[float, float], seed: int, progress: Progress, what: str
) -> None:
    parts = 8
    for part in range(parts):
        now, later = (rates[0] + (rates[1] - rates[0]) * place / parts for place in (part, part + 1))
        loss, accuracy = _fit(
            texts.data, texts.offsets, texts.groups, texts.shares, model.marks, model.codes, model.codebook,
            model.output, model.bias, samples // parts, now, later, 0.2, seed + part, _scratch(),
        )  # fmt: skip
        progress(f"{what}, part {part + 1} of {parts}: loss {loss:.3f}, accuracy on the crops {accuracy:.3f}")


def _nearest(points: Floats, centres: Floats) -> Integers:
    return np.asarray((-2 * points @ centres.T + (centres**2).sum(1)).argmin(1), np.int64)


def _means(points: Floats, weights: npt.NDArray[np.float64], chosen: Integers, centres: Floats) -> Floats:
    mass = np.bincount(chosen, weights, len(centres))
    moved = centres.copy()
    for dimension in range(points.shape[1]):
        sums = np.bincount(chosen, weights * points[:, dimension], len(centres))
        moved[mass > 0, dimension] = sums[mass > 0] / mass[mass > 0]
    return moved


def encode(vectors: Floats, weights: npt.NDArray[np.float64], seed: int) -> tuple[Integers, Floats]:
    """Codes and codebooks whose sums come closest to the vectors: k-means stage by stage, then all stages in turn."""
    draw = np.random.default_rng(seed)
    rest = vectors.copy()
    codes = np.zeros((core.CODES, len(vectors)), np.int64)
    codebook = np.zeros((core.CODES, core.CODEWORDS, vectors.shape[1]), np.float32)
    for stage in range(core.CODES):
        picked = draw.choice(len(vectors), core.CODEWORDS, replace=False, p=weights / weights.sum())
        codebook[stage] = rest[picked]
        for _ in range(14):
            codes[stage] = _nearest(rest, codebook[stage])
            codebook[stage] = _means(rest, weights, codes[stage], codebook[stage])
        codes[stage] = _nearest(rest, codebook[stage])
        rest -= codebook[stage][codes[stage]]
    for stage in [*range(core.CODES)] * 3:
        target = rest + codebook[stage][codes[stage]]
        codes[stage] = _nearest(target, codebook[stage])
        codebook[stage] = _means(target, weights, codes[stage], codebook[stage])
        rest = target - codebook[stage][codes[stage]]
    return codes, codebook


def pack(model: Model) -> npt.NDArray[Any]:
    """The model as one `LanguageTable`: 8-bit vectors, their scales folded into the sharpness."""
    table = np.zeros(1, record_dtype(core.LanguageTable))
    record = table[0]
    record["marks"][:] = model.marks
    for stage in range(core.CODES):
        record["codes"][:] |= (model.codes[stage] << 8 * stage).astype(np.uint32)
    scale, output_scale = 127 / np.abs(model.codebook).max(), 127 / np.abs(model.output).max()
    values = np.round(model.codebook * scale).astype(np.int64) + core.CODE_BIAS
    lanes = values.reshape(-1, core.LANES) << 16 * np.arange(core.LANES)
    record["codebook"][:] = lanes.sum(1)
    record["output"][:] = np.round(model.output * output_scale).astype(np.int8).ravel()
    record["bias"][:] = np.round(model.bias * scale * output_scale).astype(np.int32)
    record["sharpness"][:] = np.round(32 * 65536 / (scale * output_scale))
    return table


@numba.njit
def _margins(data, offsets, labels, table, scratch, result, logits, known, scripts):  # type: ignore[no-untyped-def]
    for text in range(len(labels)):
        _identify(data, offsets[text], offsets[text + 1] - offsets[text], table, scratch, result)
        known[text] = result["known"]
        scripts[text] = result["script"]
        logits[text, :] = -(1 << 40)
        if known[text] > 0:
            for index in range(_FIRST[scripts[text]], _FIRST[scripts[text] + 1]):
                logits[text, _CANDIDATES[index]] = scratch["logits"][_CANDIDATES[index]] / known[text]


def calibrate(table: npt.NDArray[Any], texts: Texts) -> None:
    """Choose, for every number of known n-grams, the sharpness under which held-out texts are likeliest."""
    count = len(texts.labels)
    logits = np.zeros((count, _LANGUAGES), np.float64)
    known, scripts = np.zeros(count, np.int64), np.zeros(count, np.int64)
    result = np.zeros(1, record_dtype(core.LanguageResult))[0]
    _margins(texts.data, texts.offsets, texts.labels, table[0], _scratch(), result, logits, known, scripts)
    possible = (known > 0) & (logits[np.arange(count), texts.labels] > -(1 << 39))
    base = float(table[0]["sharpness"][0])
    lengths = np.array([int(number).bit_length() for number in known])
    factors = np.geomspace(0.2, 4.0, 40)

    def best(rows: npt.NDArray[np.bool_]) -> float:
        chosen = logits[rows] * (base / 65536 / 32)
        chosen = chosen - chosen.max(1, keepdims=True)
        losses = []
        for factor in factors:
            scaled = chosen * factor
            likelihood = scaled[np.arange(len(scaled)), texts.labels[rows]] - np.log(np.exp(scaled).sum(1))
            losses.append(-np.maximum(likelihood, -12).mean())
        return float(factors[int(np.argmin(losses))])

    overall = best(possible)
    for length in range(16):
        rows = possible & (lengths == length)
        table[0]["sharpness"][length] = round(base * (best(rows) if rows.sum() >= 150 else overall))


def _pieces(held_out: Sequence[corpus.Sample]) -> list[corpus.Sample]:
    """Held-out texts, whole and cut to a few words."""
    pieces = []
    for sample in held_out:
        pieces.append(sample)
        words = sample.text.split(" ")
        for size in (2, 4, 8):
            if len(words) > size + 2:
                pieces.append(corpus.Sample(sample.language, sample.source, " ".join(words[1 : 1 + size]), True))
    return pieces


def train(data: Path, out: Path, *, samples: int = SAMPLES, seed: int = 1, progress: Progress = print) -> None:
    """Train the table on the sets in `data` and write it to `out`.

    About ten minutes on one core with the default number of samples. The same inputs give the same table.
    """
    everything = corpus.build(data)
    learned = [sample for sample in everything if not sample.held_out]
    texts = pack_texts(learned)
    progress(f"{len(learned)} texts, {len(texts.data) >> 20} MB")
    taken: dict[tuple[str, str], int] = defaultdict(int)
    counted = []
    for sample in learned:
        taken[sample.language, sample.source] += 1
        if taken[sample.language, sample.source] <= _MOST_COUNTED.get(sample.source, 1500):
            counted.append(sample)
    marks, weights = choose_grams(pack_texts(counted))
    progress("n-grams chosen")
    draw = np.random.default_rng(seed)
    limit = 1 / _DIMENSIONS
    model = Model(
        marks,
        weights,
        np.arange(2 * _BUCKETS, dtype=np.int64)[None],
        draw.uniform(-limit, limit, (1, 2 * _BUCKETS, _DIMENSIONS)).astype(np.float32),
        draw.normal(0, 0.1, (_LANGUAGES, _DIMENSIONS)).astype(np.float32),
        np.zeros(_LANGUAGES, np.float32),
    )
    _descend(texts, model, samples, (0.5, 0.001), seed, progress, "vectors")
    model.codes, model.codebook = encode(model.codebook[0], weights**0.5, seed)
    _descend(texts, model, _TUNING_SAMPLES * samples // SAMPLES, (0.06, 0.001), seed + 100, progress, "codebooks")
    table = pack(model)
    calibrate(table, pack_texts(_pieces([sample for sample in everything if sample.held_out])))
    for language, prior in _PRIORS.items():
        table[0]["prior"][core.LANGUAGES.index(language)] = round(32 * prior)
    write_table(table.tobytes(), out)
    progress(f"{out}: {out.stat().st_size} bytes")
