"""Text features: which hashed n-grams an ask holds, where in it they stand, and the shape of its characters.

Text is read as case-folded characters. In scripts that put spaces between words, the features are words, pairs of
neighbouring words, and runs of 3 to 5 characters of a word with its edges; in scripts that do not (Han, kana, Thai and
their like), runs of 1 to 4 characters. Marks of punctuation count as words, and digits are read as one digit besides.
"""

from typing import Annotated

from edgewise.core.transcript import Ask
from edgewise.core.types import I32, U8, U32, Record, i32

MAX_FEATURES = 24576
"""Room for the features of one ask; reading stops when it is full."""

ZONE_BYTES = 128
"""The first and the last bytes of the last turn are pooled apart: people say what they want before or after a paste."""

GRAM_HEAD_BYTES, GRAM_TAIL_BYTES = 512, 256
"""Runs of characters are read this far from the ends of a turn; between, words and single signs are enough."""

ENDS = 6
"""Runs of hashes: up to two cuts through the last turn, its end, and the end of each turn before it."""

(
    SHAPE_CHARACTERS,
    SHAPE_WORDS,
    SHAPE_UPPER,
    SHAPE_DIGITS,
    SHAPE_MARKS,
    SHAPE_CODE_MARKS,
    SHAPE_LINES,
    SHAPE_INDENTS,
    SHAPE_QUESTIONS,
    SHAPE_QUOTES,
    SHAPE_LATIN_EXTENDED,
    SHAPE_OTHER_LETTERS,
    SHAPE_IDEOGRAPHS,
    SHAPE_NUMBERS,
    SHAPE_LAST_MARK,
) = range(15)
SHAPES = 16

_MASK = 0xFFFFFFFF
_STEP = 0x01000193
_WORD, _PAIR, _SKIP, _FIRST, _SHAPE_WORD = 0x2545F491, 0x9E3779B9, 0x632BE5AB, 0x85157AF5, 0x7F4A7C15
_GRAM = (0x1B873593, 0x3C6EF372, 0x5851F42D, 0x14057B7E, 0x0B4B82E3)

SPACE, LETTER, DIGIT, MARK, IDEOGRAPH = range(5)


def _ascii_class(byte: int) -> int:
    if chr(byte).isalpha():
        return LETTER
    if chr(byte).isdigit():
        return DIGIT
    return SPACE if byte <= 32 or byte == 127 else MARK


_CLASS_OF_ASCII = tuple(_ascii_class(byte) for byte in range(128))


def _fold_latin(code: int) -> int:
    """Lower case without the accent for U+00C0 to U+024F; what has no base letter stays itself in lower case."""
    import unicodedata

    lower = chr(code).lower()
    base = unicodedata.normalize("NFD", lower)[0]
    return ord(base) if base.isascii() else ord(lower[0])


_LATIN_FIRST, _LATIN_LAST = 0xC0, 0x24F
_FOLDED_LATIN = tuple(_fold_latin(code) for code in range(_LATIN_FIRST, _LATIN_LAST + 1))

_CODE_MARKS = tuple(int(chr(byte) in "{}[]()<>=;_/\\+*&|#$`^~@%") for byte in range(128))


class Features(Record):
    """The n-grams of an ask as hashes in reading order, where its zones end among them, and counts of its characters.

    Zones of the last turn: `head_end` and `tail_start` cut it into at most three runs; the turns before it follow.
    """

    hashes: Annotated[U32, MAX_FEATURES]
    ends: Annotated[I32, ENDS]
    count: i32
    shapes: Annotated[I32, SHAPES]


def _fold(code: int) -> int:
    """Lower case of a character, without accents in Latin."""
    if code < 128:
        return code + 32 if 65 <= code <= 90 else code
    if _LATIN_FIRST <= code <= _LATIN_LAST:
        return _FOLDED_LATIN[code - _LATIN_FIRST]
    if 0x391 <= code <= 0x3A9 or 0x410 <= code <= 0x42F:
        return code + 32
    if 0x400 <= code <= 0x40F:
        return code + 80
    if 0xFF01 <= code <= 0xFF5E:
        return _fold_full_width(code)
    return code


def _fold_full_width(code: int) -> int:
    ascii_code = code - 0xFEE0
    return ascii_code + 32 if 65 <= ascii_code <= 90 else ascii_code


def _class_of(code: int) -> int:
    """Whether a folded character is a space, a letter, a digit, a mark, or a sign that stands without spaces."""
    if code < 128:
        return _CLASS_OF_ASCII[code]
    if code < 0xC0:
        return LETTER if code == 0xAA or code == 0xB5 or code == 0xBA else MARK
    if code < 0xE00:
        return LETTER
    if code < 0xF00 or 0x1000 <= code < 0x10A0 or 0x1780 <= code < 0x1800:
        return IDEOGRAPH
    if code < 0x2000:
        return LETTER
    if code < 0x2E80:
        return SPACE if code <= 0x200A or code == 0x2028 else MARK
    if code < 0x3005:
        return SPACE if code == 0x3000 else (IDEOGRAPH if code < 0x3000 else MARK)
    if 0x3008 <= code <= 0x3020:
        return MARK
    if code < 0xA000:
        return IDEOGRAPH
    if 0xAC00 <= code < 0xD7A4:
        return LETTER
    if code < 0xF900 or 0xFB00 <= code < 0xFE00 or 0xFE70 <= code < 0xFF00:
        return LETTER
    if 0x20000 <= code < 0x32000 or code < 0xFB00 or 0xFF66 <= code < 0xFFE0:
        return IDEOGRAPH
    return MARK


def read_features(ask: Ask, features: Features) -> None:
    """Fill `features` from the ask: the last turn first, then the turns before it."""
    features.count = 0
    for index in range(SHAPES):
        features.shapes[index] = 0
    for index in range(ENDS):
        features.ends[index] = 0
    for index in range(ask.segment_count):
        segment = ask.segments[index]
        _scan(ask.text, segment.start, segment.length, 1 if index == 0 else 0, features)
        features.ends[2 + index] = features.count


def _scan(text: U8, start: int, length: int, is_last_turn: int, features: Features) -> None:
    """Append the features of one turn; for the last turn also note where its zones end and count its characters."""
    hashes = features.hashes
    shapes = features.shapes
    end = start + length
    count = features.count
    first_cut = start + min(ZONE_BYTES, max(0, length - ZONE_BYTES))
    second_cut = start + max(ZONE_BYTES, length - ZONE_BYTES)
    grams_until = start + GRAM_HEAD_BYTES
    grams_from = end - GRAM_TAIL_BYTES
    cuts = 0
    word, word_folded, word_length, has_digit = 0, 0, 0, 0
    previous, before = 0, 0
    words, mark_before, run = 0, 0, 0
    gram1, gram2, gram3, gram4 = 0, 0, 0, 0
    index = start
    while index <= end and count < MAX_FEATURES - 16:
        if is_last_turn == 1:
            while cuts < 2 and index >= (first_cut if cuts == 0 else second_cut):
                features.ends[cuts] = count
                cuts += 1
        code, size = 32, 1
        if index < end:
            code = text[index]
            if code >= 0x80:
                size = _size_of(code)
                if index + size <= end:
                    code = _decode(text, index, size)
                else:
                    size = 1
        reads_grams = index < grams_until or index >= grams_from
        index += size
        folded = _fold(code)
        kind = _class_of(folded)
        if kind == LETTER or kind == DIGIT:
            if word_length == 0:
                word, word_folded, has_digit = 0, 0, 0
                gram1, gram2, gram3, gram4, run = 32, 0, 0, 0, 1
            shape = folded
            if kind == DIGIT:
                shape = 48
                has_digit = 1
            word = ((word ^ folded) * _STEP) & _MASK
            word_folded = ((word_folded ^ shape) * _STEP) & _MASK
            word_length += 1
            if reads_grams:
                gram5 = (gram4 * _STEP + shape) & _MASK
                gram4 = (gram3 * _STEP + shape) & _MASK
                gram3 = (gram2 * _STEP + shape) & _MASK
                gram2 = (gram1 * _STEP + shape) & _MASK
                gram1 = shape
                run += 1
                if run >= 3:
                    hashes[count] = gram3 ^ _GRAM[2]
                    count += 1
                if run >= 4:
                    hashes[count] = gram4 ^ _GRAM[3]
                    count += 1
                if run >= 5:
                    hashes[count] = gram5 ^ _GRAM[4]
                    count += 1
        elif not (word_length > 0 and (code == 39 or code == 0x2019)):
            if word_length > 0:
                if reads_grams:
                    if run >= 2:
                        hashes[count] = ((gram2 * _STEP + 32) & _MASK) ^ _GRAM[2]
                        count += 1
                    if run >= 3:
                        hashes[count] = ((gram3 * _STEP + 32) & _MASK) ^ _GRAM[3]
                        count += 1
                    if run >= 4:
                        hashes[count] = ((gram4 * _STEP + 32) & _MASK) ^ _GRAM[4]
                        count += 1
                hashes[count] = word ^ _WORD
                count += 1
                if has_digit == 1:
                    hashes[count] = word_folded ^ _SHAPE_WORD
                    count += 1
                    word = word_folded
                hashes[count] = ((previous * 31 + word) & _MASK) ^ _PAIR
                count += 1
                hashes[count] = ((before * 37 + word) & _MASK) ^ _SKIP
                count += 1
                if words < 2:
                    hashes[count] = (word + words) ^ _FIRST
                    count += 1
                before = previous
                previous = word
                words += 1
                word_length = 0
                mark_before = 0
            if kind == IDEOGRAPH:
                if run < 64:
                    gram1, gram2, gram3, gram4, run = 0, 0, 0, 0, 64
                gram4 = (gram3 * _STEP + folded) & _MASK
                gram3 = (gram2 * _STEP + folded) & _MASK
                gram2 = (gram1 * _STEP + folded) & _MASK
                gram1 = folded
                hashes[count] = gram1 ^ _GRAM[0]
                hashes[count + 1] = gram2 ^ _GRAM[1]
                count += 2
                if reads_grams:
                    hashes[count] = gram3 ^ _GRAM[2]
                    hashes[count + 1] = gram4 ^ _GRAM[3]
                    count += 2
                mark_before = 0
            else:
                run = 0
                if kind == MARK or code == 10:
                    hashes[count] = folded ^ _WORD
                    hashes[count + 1] = ((mark_before * 31 + folded) & _MASK) ^ _PAIR
                    count += 2
                    mark_before = folded
        if is_last_turn == 1:
            _count_shapes(code, folded, kind, shapes)
    if is_last_turn == 1:
        for index in range(cuts, 2):
            features.ends[index] = count
        shapes[SHAPE_WORDS] = words
    features.count = count


def _size_of(byte: int) -> int:
    if byte < 0xC0:
        return 1
    if byte < 0xE0:
        return 2
    return 3 if byte < 0xF0 else 4


def _decode(text: U8, index: int, size: int) -> int:
    """The character of `size` bytes at `index`. What is not UTF-8 gives some number below 2**21."""
    byte = text[index]
    if size == 2:
        return (byte & 0x1F) << 6 | text[index + 1] & 0x3F
    if size == 3:
        return (byte & 0x0F) << 12 | (text[index + 1] & 0x3F) << 6 | text[index + 2] & 0x3F
    if size == 4:
        return (
            (byte & 0x07) << 18
            | (text[index + 1] & 0x3F) << 12
            | (text[index + 2] & 0x3F) << 6
            | text[index + 3] & 0x3F
        )
    return byte


def _count_shapes(code: int, folded: int, kind: int, shapes: I32) -> None:
    shapes[SHAPE_CHARACTERS] += 1
    if kind == LETTER:
        if 65 <= code <= 90:
            shapes[SHAPE_UPPER] += 1
        if code > 127:
            shapes[SHAPE_LATIN_EXTENDED if code < 0x250 else SHAPE_OTHER_LETTERS] += 1
    elif kind == DIGIT:
        shapes[SHAPE_DIGITS] += 1
    elif kind == IDEOGRAPH:
        shapes[SHAPE_IDEOGRAPHS] += 1
    elif kind == MARK:
        shapes[SHAPE_MARKS] += 1
        shapes[SHAPE_LAST_MARK] = 0 if folded > 127 else folded
        if folded < 128:
            shapes[SHAPE_CODE_MARKS] += _CODE_MARKS[folded]
        if folded == 63 or folded == 0x61F:
            shapes[SHAPE_QUESTIONS] += 1
        if folded == 34 or 0x2018 <= folded <= 0x201D:
            shapes[SHAPE_QUOTES] += 1
    elif code == 10:
        shapes[SHAPE_LINES] += 1
    elif code == 9:
        shapes[SHAPE_INDENTS] += 1
