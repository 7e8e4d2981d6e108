"""Which language a text is written in, from a small table of n-grams.

A text votes with the n-grams of its words. Every n-gram that the table knows adds a short vector; the sum, compared
with one vector per language, gives the scores. Code, mathematics, URLs and identifiers do not vote. The script
settles the question alone where only one language is written in it, and limits the candidates everywhere else.
"""

from typing import Annotated

from edgewise.core.types import I8, I32, I64, U8, U32, Record, i32

_NAMES = """
    und af am ar as az be bg bn bo br bs ca ceb ckb cs cy da de dv el en eo es et eu fa fi fo fr fy ga gd gl gu ha
    he hi hr ht hu hy ia id ig is it ja jv ka kk km kn ko ku ky la lb lg lo lt lv mg mi mk ml mn mr ms mt my nb ne
    nl nn oc or pa pl ps pt ro ru rw sd si sk sl sn so sq sr st sv sw ta te tg th tk tl tn tr ts tt ug uk ur uz vi
    xh yi yo yue zh zu
"""
LANGUAGES = tuple(_NAMES.split())
"""ISO 639-1 codes (639-3 where there is none) in the order of the table; the first stands for no language."""

UNDETERMINED = 0

TELLING_LETTERS = 10
"""From so many letters on, the letters can tell a language from the others of its script."""

_SCRIPT_RANGES = (
    ("Latn", ((0x41, 0x5A), (0x61, 0x7A), (0xAA, 0xAA), (0xBA, 0xBA), (0xC0, 0x24F), (0x250, 0x2BF), (0x1E00, 0x1EFF))),
    ("Cyrl", ((0x400, 0x52F), (0x1C80, 0x1C8F))),
    ("Grek", ((0x370, 0x3FF), (0x1F00, 0x1FFF))),
    ("Armn", ((0x531, 0x556), (0x561, 0x587))),
    ("Hebr", ((0x5D0, 0x5F2), (0xFB1D, 0xFB4F))),
    ("Arab", ((0x620, 0x64A), (0x66E, 0x6D3), (0x6D5, 0x6D5), (0x6EE, 0x6EF), (0x6FA, 0x6FF), (0x750, 0x77F))),
    ("Deva", ((0x900, 0x963), (0x970, 0x97F))),
    ("Beng", ((0x980, 0x9E5), (0x9F0, 0x9FF))),
    ("Guru", ((0xA00, 0xA65), (0xA70, 0xA7F))),
    ("Gujr", ((0xA80, 0xAE5), (0xAF0, 0xAFF))),
    ("Orya", ((0xB00, 0xB65), (0xB70, 0xB7F))),
    ("Taml", ((0xB80, 0xBE5),)),
    ("Telu", ((0xC00, 0xC65),)),
    ("Knda", ((0xC80, 0xCE5),)),
    ("Mlym", ((0xD00, 0xD65), (0xD7A, 0xD7F))),
    ("Sinh", ((0xD80, 0xDE5), (0xDF2, 0xDF3))),
    ("Thai", ((0xE00, 0xE3E), (0xE40, 0xE4E))),
    ("Laoo", ((0xE80, 0xECF), (0xEDC, 0xEDF))),
    ("Tibt", ((0xF00, 0xF1F), (0xF40, 0xFBF))),
    ("Mymr", ((0x1000, 0x103F), (0x1050, 0x108F), (0xAA60, 0xAA7F))),
    ("Geor", ((0x10A0, 0x10FF), (0x1C90, 0x1CBF))),
    ("Ethi", ((0x1200, 0x135F), (0x1380, 0x139F))),
    ("Khmr", ((0x1780, 0x17D3),)),
    ("Hang", ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7AF))),
    ("Jpan", ((0x3041, 0x309F), (0x30A1, 0x30FA), (0x30FC, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F))),
    ("Hani", ((0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF))),
    ("Thaa", ((0x780, 0x7B1),)),
    ("Syrc", ((0x710, 0x72F),)),
    ("Mong", ((0x1820, 0x18AF),)),
    ("Cher", ((0x13A0, 0x13FF),)),
)

_OTHER_RANGES = (
    (0x7C0, 0x89F), (0x1400, 0x177F), (0x1900, 0x1C7F), (0x2C00, 0x2DFF), (0xA000, 0xA95F), (0xA980, 0xAA5F),
    (0xAA80, 0xABFF),
)  # fmt: skip

SCRIPTS = ("Zyyy", *(name for name, _ in _SCRIPT_RANGES), "Zzzz")
"""ISO 15924 codes by script index. Zyyy: no letters at all; Zzzz: letters of a script that is not in this list."""

LATIN = SCRIPTS.index("Latn")
JAPANESE = SCRIPTS.index("Jpan")
HAN = SCRIPTS.index("Hani")
OTHER_SCRIPT = SCRIPTS.index("Zzzz")
_NO_SCRIPT = 0
_JOINER = 63

_MULTIPLE_SCRIPTS = {
    "az": "Latn Cyrl", "hi": "Deva Latn", "ja": "Jpan Hani", "kk": "Cyrl Latn", "ku": "Latn Arab", "mn": "Cyrl",
    "sr": "Cyrl Latn", "tg": "Cyrl", "tt": "Cyrl Latn", "ug": "Arab Cyrl", "ur": "Arab Latn", "uz": "Latn Cyrl",
    "pa": "Guru", "tk": "Latn Cyrl", "bs": "Latn Cyrl",
}  # fmt: skip
_SCRIPT_OF_LANGUAGES = {
    "Cyrl": "be bg ky mk ru uk", "Grek": "el", "Armn": "hy", "Hebr": "he yi", "Arab": "ar ckb fa ps sd",
    "Deva": "mr ne", "Beng": "as bn", "Gujr": "gu", "Orya": "or", "Taml": "ta", "Telu": "te", "Knda": "kn",
    "Mlym": "ml", "Sinh": "si", "Thai": "th", "Laoo": "lo", "Tibt": "bo", "Mymr": "my", "Geor": "ka", "Ethi": "am",
    "Khmr": "km", "Hang": "ko", "Hani": "yue zh", "Thaa": "dv",
}  # fmt: skip


def scripts_of(language: str) -> tuple[str, ...]:
    """The scripts in which a language is usually typed: `scripts_of("sr") == ("Cyrl", "Latn")`."""
    if language in _MULTIPLE_SCRIPTS:
        return tuple(_MULTIPLE_SCRIPTS[language].split())
    for script, languages in _SCRIPT_OF_LANGUAGES.items():
        if language in languages.split():
            return (script,)
    return () if language == "und" else ("Latn",)


def _candidates_of(script: str) -> tuple[int, ...]:
    return tuple(index for index, language in enumerate(LANGUAGES) if script in scripts_of(language))


_CANDIDATES = tuple(_candidates_of(script) for script in SCRIPTS)
CANDIDATES = tuple(index for candidates in _CANDIDATES for index in candidates)
"""The languages written in each script, script after script; FIRST_CANDIDATE says where each script begins."""
FIRST_CANDIDATE = tuple(sum(len(one) for one in _CANDIDATES[:script]) for script in range(len(SCRIPTS) + 1))


def _script_table() -> list[int]:
    table = [0] * 0x10000
    for index, (_, ranges) in enumerate(_SCRIPT_RANGES, 1):
        for first, last in ranges:
            for point in range(first, last + 1):
                table[point] = index
    for first, last in _OTHER_RANGES:
        for point in range(first, last + 1):
            table[point] = OTHER_SCRIPT
    for point in (0xD7, 0xF7, 0x37E, 0x387, 0x482):
        table[point] = _NO_SCRIPT
    joiners = [*range(0x300, 0x370), *range(0x483, 0x48A), *range(0x591, 0x5C8), 0x640, *range(0x64B, 0x660), 0x670]
    for point in (0xAD, *joiners, *range(0x6D6, 0x6ED), 0x200C, 0x200D, *range(0xFE00, 0xFE10)):
        table[point] = _JOINER
    return table


_SCRIPT_BY_POINT = _script_table()
_BLOCKS = [tuple(_SCRIPT_BY_POINT[start : start + 16]) for start in range(0, 0x10000, 16)]
_DISTINCT_BLOCKS = sorted(set(_BLOCKS))
_BLOCK_INDEX = {block: index for index, block in enumerate(_DISTINCT_BLOCKS)}
SCRIPT_BLOCKS = tuple(_BLOCK_INDEX[block] for block in _BLOCKS)
"""For every 16 code points of the basic plane, which run of SCRIPT_VALUES describes them."""
SCRIPT_VALUES = tuple(script for block in _DISTINCT_BLOCKS for script in block)


def _fold(point: int) -> int:
    """The code point by which n-grams know a letter: lower case, and one form for letters that users mix up."""
    lower = chr(point).lower()[0]
    return ord({"ς": "σ", "ʻ": "'", "ʼ": "'"}.get(lower, lower))


FOLDED_POINTS = 0x700
FOLDED = tuple(_fold(point) for point in range(FOLDED_POINTS))

# What a byte of ASCII is to the reader of lines.
_LETTER, _DIGIT, _BLANK, _MARK, _CODE_MARK = 0, 1, 2, 3, 4


def _kind_of_byte(byte: int) -> int:
    if byte >= 0x80 or chr(byte).isalpha():
        return _LETTER
    if chr(byte).isdigit():
        return _DIGIT
    if byte <= 0x20 or byte == 0x7F:
        return _BLANK
    return _CODE_MARK if chr(byte) in "_{}=;<>\\^~$" else _MARK


KIND_OF_BYTE = tuple(_kind_of_byte(byte) for byte in range(256))

# A word that touches one of these is an identifier, a path, an address or a command, not a word of a language.
_CODE_NEIGHBOURS = "_{}=<>\\^~$@/0123456789"
BEFORE_CODE = tuple(int(chr(byte) in _CODE_NEIGHBOURS) for byte in range(256))
AFTER_CODE = tuple(int(chr(byte) in _CODE_NEIGHBOURS + "(") for byte in range(256))

SYMBOLS = tuple(int(chr(byte) in "BCDFGHJKLMNPQRSTVWXZ") for byte in range(256))

# Letters of scripts that say more than others count more when the text's script is chosen.
_WEIGHTS = {"Hani": 5, "Jpan": 4, "Hang": 4, "Ethi": 3}
WEIGHT_OF_SCRIPT = tuple(_WEIGHTS.get(script, 2) if script != "Zyyy" else 0 for script in SCRIPTS)

_ORDERS = {"Latn": 5, "Cyrl": 5, "Arab": 5, "Deva": 5, "Hebr": 5, "Beng": 5, "Guru": 0, "Hani": 2}
ORDER_OF_SCRIPT = tuple(_ORDERS.get(script, 0) for script in SCRIPTS)
"""The longest n-gram that is read of a script: none where the script alone names the language."""

DIMENSIONS = 24
BUCKETS = 22000
CODEWORDS = 256
LANES = 4
CODE_BIAS = 128
_WORDS = DIMENSIONS // LANES
_BLOCK_GRAMS = 32
CODES = 4

HEAD_BYTES = 512
TAIL_BYTES = 96
_LONGEST_UNSPLIT = 320
_HEAD_GRAMS = 320
_TAIL_GRAMS = 112
MAX_GRAMS = _HEAD_GRAMS + _TAIL_GRAMS
_OPENING_GRAMS = 160
_RUN_LETTERS = 32
_FIRST_RUN_WEIGHT = 5

_LONGEST_WORD = 40
_LONGEST_QUOTE = 160

_HASH_STEP = 0x5BD1E995
_HASH_START = 0x1B873593
_WORD_SEED = 0x3C6EF372
_MIX = 0x2C1B3C6D

ODDS = tuple(round(65536 * 2.718281828459045 ** (-step / 32)) for step in range(352))
"""65536 times e to the minus step / 32."""

_BITS_32 = 0xFFFFFFFF


class LanguageTable(Record):
    """The trained table, part of the artifact.

    Two slots a bucket: `marks` holds the n-gram's fingerprint, `codes` which four vectors of `codebook` make its own,
    one byte for each quarter of the codebook. A vector is _WORDS words of LANES values, 16 bits apart and CODE_BIAS too
    large, so that words add up lane by lane: _BLOCK_GRAMS n-grams fit. `output`: one vector per language, `bias` the
    score it starts with.
    `sharpness`: by the bit length of the number of known n-grams, what turns score differences into odds.
    `prior`: how much more often a language is met than the table was taught, in steps of ODDS.
    """

    marks: Annotated[U8, 2 * BUCKETS]
    codes: Annotated[U32, 2 * BUCKETS]
    codebook: Annotated[I64, CODES * CODEWORDS * _WORDS]
    output: Annotated[I8, len(LANGUAGES) * DIMENSIONS]
    bias: Annotated[I32, len(LANGUAGES)]
    sharpness: Annotated[I32, 16]
    prior: Annotated[I32, len(LANGUAGES)]


class LanguageScratch(Record):
    """Working space of `identify`: the n-grams that were read, sums, and the letters seen of each script."""

    hashes: Annotated[U32, MAX_GRAMS]
    sums: Annotated[I32, DIMENSIONS]
    logits: Annotated[I32, len(LANGUAGES)]
    letters: Annotated[I32, len(SCRIPTS)]
    votes: Annotated[I32, len(SCRIPTS)]
    run_script: i32
    run_letters: i32
    runs: i32
    first_script: i32
    first_letters: i32
    first_words: i32
    count: i32
    code_bytes: i32
    read_bytes: i32
    only_code: i32


class LanguageResult(Record):
    """What `identify` found: indices into LANGUAGES and SCRIPTS, scores from 0 to 10000.

    `histogram`: percent of the letters by script. `code`: the share of the text that reads as code, not as a language.
    """

    language: i32
    score: i32
    runner_up: i32
    runner_up_score: i32
    script: i32
    code: i32
    letters: i32
    known: i32
    histogram: Annotated[U8, len(SCRIPTS)]


def decode(text: U8, at: int, end: int) -> int:
    """The code point at `at`, times 8, plus the bytes it takes; U+FFFD and one byte where it is not UTF-8."""
    first = text[at]
    if first < 0x80:
        return first << 3 | 1
    if first < 0xE0:
        if first >= 0xC2 and at + 1 < end and text[at + 1] >> 6 == 2:
            return ((first & 0x1F) << 6 | (text[at + 1] & 0x3F)) << 3 | 2
    elif first < 0xF0:
        if at + 2 < end and text[at + 1] >> 6 == 2 and text[at + 2] >> 6 == 2:
            return ((first & 0x0F) << 12 | (text[at + 1] & 0x3F) << 6 | (text[at + 2] & 0x3F)) << 3 | 3
    elif first < 0xF5 and at + 3 < end and text[at + 1] >> 6 == 2 and text[at + 2] >> 6 == 2 and text[at + 3] >> 6 == 2:
        high = (first & 0x07) << 18 | (text[at + 1] & 0x3F) << 12
        return (high | (text[at + 2] & 0x3F) << 6 | (text[at + 3] & 0x3F)) << 3 | 4
    return 0xFFFD << 3 | 1


def script_of(point: int) -> int:
    """The script of a code point: an index of SCRIPTS, 0 where it is no letter, 63 where it only joins letters."""
    if point < 0x10000:
        return SCRIPT_VALUES[SCRIPT_BLOCKS[point >> 4] * 16 + (point & 15)]
    return HAN if point >= 0x20000 and point < 0x32000 else _NO_SCRIPT


def folded(point: int) -> int:
    """The letter by which n-grams know `point`: lower case."""
    if point < FOLDED_POINTS:
        return FOLDED[point]
    return point | 1 if point >= 0x1E00 and point < 0x1F00 else point


def is_apostrophe(point: int) -> bool:
    """Whether `point` is one of the signs typed for the apostrophe inside a word."""
    return point == 0x27 or point == 0x2019 or point == 0x2018 or point == 0x60


def read_word(text: U8, at: int, end: int, script: int, limit: int, scratch: LanguageScratch) -> int:
    """Read the word at `at`, letters of one script, and note its n-grams unless it looks like code.

    Gives the number of letters, times 2**32, plus where the word ends.
    """
    order = ORDER_OF_SCRIPT[script]
    count = scratch.count
    letters = 0
    code = 0
    was_lower = 0
    last = 0
    one = (_HASH_START + 0x20) & _BITS_32
    two = three = four = 0
    word = _WORD_SEED
    while at < end:
        point = text[at]
        size = 1
        if point < 0x80:
            kind = LATIN if KIND_OF_BYTE[point] == _LETTER else _NO_SCRIPT
            letter = point | 0x20
        else:
            decoded = decode(text, at, end)
            point = decoded >> 3
            size = decoded & 7
            kind = script_of(point)
            letter = folded(point)
            if kind == _JOINER:
                at += size
                continue
        if kind != script:
            if letters == 0 or order < 5 or not is_apostrophe(point) or at + size >= end:
                break
            if script_of(decode(text, at + size, end) >> 3) != script:
                break
            letter = 0x27
        at += size
        letters += 1
        if size == 1:
            upper = 1 if point < 0x5B and kind == script else 0
            code |= upper & was_lower
            was_lower = 1 - upper
        if order == 0 or count + 12 > limit:
            continue
        last = letter
        word = (word * _HASH_STEP + letter) & _BITS_32
        five = (four * _HASH_STEP + letter) & _BITS_32
        four = (three * _HASH_STEP + letter) & _BITS_32
        three = (two * _HASH_STEP + letter) & _BITS_32
        two = (one * _HASH_STEP + letter) & _BITS_32
        one = (_HASH_START + letter) & _BITS_32
        if letter >= 0x80:
            scratch.hashes[count] = one
            count += 1
        scratch.hashes[count] = two
        count += 1
        if order > 2:
            scratch.hashes[count] = three
            count += 1 if letters > 1 else 0
            scratch.hashes[count] = four
            count += 1 if letters > 2 else 0
            scratch.hashes[count] = five
            count += 1 if letters > 3 else 0
    if order > 2 and last != 0:
        scratch.hashes[count] = (one * _HASH_STEP + 0x20) & _BITS_32
        scratch.hashes[count + 1] = (two * _HASH_STEP + 0x20) & _BITS_32
        count += 2
        scratch.hashes[count] = (three * _HASH_STEP + 0x20) & _BITS_32
        count += 1 if letters > 1 else 0
        scratch.hashes[count] = (four * _HASH_STEP + 0x20) & _BITS_32
        count += 1 if letters > 2 else 0
        scratch.hashes[count] = word
        count += 1 if letters > 3 else 0
    if code == 0 and letters <= _LONGEST_WORD:
        scratch.count = count
    return (0 if code else letters) << 32 | at


def is_address(text: U8, at: int, end: int) -> bool:
    """Whether `://` stands at `at`: the rest of a URL does not vote."""
    return at + 2 < end and text[at] == 0x3A and text[at + 1] == 0x2F and text[at + 2] == 0x2F


def is_symbol(text: U8, at: int, end: int) -> bool:
    """Whether a word is one capital consonant: a variable, a unit or a step of a drawing, not a word."""
    return end - at == 1 and SYMBOLS[text[at]] == 1


def touches_code(text: U8, at: int, end: int, start: int, stop: int) -> bool:
    """Whether the word `text[at : end]` of the line `text[start : stop]` is part of an identifier, address or call."""
    if at > start:
        before = text[at - 1]
        if BEFORE_CODE[before] == 1 or (before == 0x2E and at - 1 > start and KIND_OF_BYTE[text[at - 2]] <= _DIGIT):
            return True
    if end < stop:
        after = text[end]
        if is_address(text, end, stop):
            return True
        return AFTER_CODE[after] == 1 or (after == 0x2E and end + 1 < stop and KIND_OF_BYTE[text[end + 1]] <= _DIGIT)
    return False


def after_address(text: U8, at: int, end: int) -> int:
    """Where the URL around `at` ends: at the next blank or letter of another script."""
    while at < end and text[at] < 0x80 and KIND_OF_BYTE[text[at]] != _BLANK:
        at += 1
    return at


def vote(script: int, letters: int, scratch: LanguageScratch) -> None:
    """Count a word for its script, and for the run of words of one script that it belongs to."""
    family = HAN if script == JAPANESE else script
    if family != scratch.run_script:
        scratch.run_script = family
        scratch.run_letters = 0
        scratch.runs += 1
    scratch.run_letters += letters
    if scratch.runs == 1:
        scratch.first_script = family
        scratch.first_letters = scratch.run_letters
        scratch.first_words += 1
    scratch.letters[script] += letters
    scratch.votes[script] += letters * WEIGHT_OF_SCRIPT[script]


def favour_own_words(scratch: LanguageScratch) -> None:
    """Let the first and the last run of one script vote again: there the user speaks, pasted text stands between.

    One or two Latin words at the start may be names ("Excel ..."), so they get nothing more.
    """
    if scratch.runs < 2:
        return
    first = scratch.first_script
    if first != LATIN or scratch.first_words > 2:
        scratch.votes[first] += _FIRST_RUN_WEIGHT * min(scratch.first_letters, _RUN_LETTERS) * WEIGHT_OF_SCRIPT[first]
    last = scratch.run_script
    scratch.votes[last] += min(scratch.run_letters, _RUN_LETTERS) * WEIGHT_OF_SCRIPT[last]


def after_quoted_code(text: U8, at: int, end: int) -> int:
    """Where the formula or the code that opens at `at`, by a dollar, a backslash or a backtick, ends; else `at`."""
    byte = text[at]
    end = min(end, at + _LONGEST_QUOTE)
    stop = at + 1
    if byte == 0x24 or (byte == 0x60 and (at == 0 or KIND_OF_BYTE[text[at - 1]] != _LETTER)):
        while stop < end and text[stop] == byte:
            stop += 1
        opened = stop
        while stop < end and text[stop] != byte:
            stop += 1
        if stop == end or stop == opened:
            return at
        while stop < end and text[stop] == byte:
            stop += 1
        return stop
    if byte == 0x5C and stop < end and (text[stop] == 0x28 or text[stop] == 0x5B):
        closing = text[stop] + (1 if text[stop] == 0x28 else 2)
        while stop + 1 < end:
            if text[stop] == 0x5C and text[stop + 1] == closing:
                return stop + 2
            stop += 1
    return at


def read_line(text: U8, start: int, end: int, limit: int, scratch: LanguageScratch) -> None:
    """Read the words of one line; those that touch code count as code."""
    at = start
    while at < end and scratch.count + 12 <= limit:
        byte = text[at]
        if byte < 0x80 and KIND_OF_BYTE[byte] != _LETTER:
            after = after_quoted_code(text, at, end)
            if after == at and is_address(text, at, end):
                after = after_address(text, at, end)
            scratch.code_bytes += after - at
            scratch.read_bytes += after - at
            at = max(after, at + 1)
            continue
        decoded = decode(text, at, end)
        script = script_of(decoded >> 3) % _JOINER
        if script == _NO_SCRIPT:
            at += decoded & 7
            continue
        count = scratch.count
        read = read_word(text, at, end, script, limit, scratch)
        after = read & _BITS_32
        letters = read >> 32
        if letters == 0 or (
            script == LATIN and (is_symbol(text, at, after) or touches_code(text, at, after, start, end))
        ):
            scratch.count = count
            scratch.code_bytes += after - at
        else:
            vote(script, letters, scratch)
        scratch.read_bytes += after - at
        at = after


def line_end(text: U8, at: int, end: int) -> int:
    """Where the line that holds `at` ends."""
    while at < end and text[at] != 0x0A:
        at += 1
    return at


def is_code_line(text: U8, start: int, end: int) -> bool:
    """Whether a line reads as source code, LaTeX or markup: many of their marks for its letters.

    How many depends on how it ends: fewest after `;`, `{` or `}`, most where a sentence ends.
    """
    letters = marks = 0
    previous = last = before = 0x20
    at = start
    while at < end:
        byte = text[at]
        kind = KIND_OF_BYTE[byte]
        at += 1
        if kind == _LETTER:
            letters += 1
        elif after_quoted_code(text, at - 1, end) >= at:
            at = after_quoted_code(text, at - 1, end)
            continue
        elif kind == _CODE_MARK:
            marks += 1
        elif (byte == 0x28 or byte == 0x5B) and KIND_OF_BYTE[previous] == _LETTER:
            marks += 2
        if kind != _BLANK:
            before = last
            last = byte
        previous = byte
    if marks == 0:
        return False
    if end - start > 1 and text[start] <= 0x20 and text[start + 1] <= 0x20:
        marks += 2
    if last == 0x3A and before == 0x29:
        marks += 1
    weight = 5
    if last == 0x3B or last == 0x7B or last == 0x7D:
        weight = 12
    elif last == 0x3F or last == 0x2E:
        weight = 1
    return marks >= 2 and marks * weight >= letters


def is_fence(text: U8, at: int, end: int) -> bool:
    """Whether the line at `at` opens or closes a fenced block: three backticks."""
    return at + 2 < end and text[at] == 0x60 and text[at + 1] == 0x60 and text[at + 2] == 0x60


def read_window(text: U8, start: int, end: int, limit: int, strict: int, scratch: LanguageScratch) -> None:
    """Read the lines of a part of the text until `limit` n-grams are noted; `strict` leaves code lines out."""
    at = start
    fenced = 0
    while at < end and scratch.count + 12 <= limit:
        stop = line_end(text, at, end)
        fence = is_fence(text, at, stop)
        if fence:
            fenced = 1 - fenced
        if strict == 1 and (fence or fenced == 1 or is_code_line(text, at, stop)):
            scratch.code_bytes += stop - at
            scratch.read_bytes += stop - at
        else:
            read_line(text, at, stop, limit, scratch)
        at = stop + 1


def collect(text: U8, start: int, length: int, scratch: LanguageScratch) -> None:
    """Read the text's head and tail into the scratch: its n-grams, and the letters of each script.

    A text that is nothing but code is read again as if it were prose, so that comments can still speak.
    """
    scratch.count = 0
    scratch.code_bytes = 0
    scratch.read_bytes = 0
    scratch.only_code = 0
    scratch.run_script = _NO_SCRIPT
    scratch.run_letters = 0
    scratch.runs = 0
    scratch.first_words = 0
    for script in range(len(SCRIPTS)):
        scratch.letters[script] = 0
        scratch.votes[script] = 0
    end = start + length
    head = end if length <= _LONGEST_UNSPLIT else start + min(HEAD_BYTES, length - TAIL_BYTES)
    read_window(text, start, head, _HEAD_GRAMS, 1, scratch)
    read_window(text, max(head, end - TAIL_BYTES), end, MAX_GRAMS, 1, scratch)
    if scratch.runs == 0 and scratch.code_bytes > 0:
        scratch.only_code = 1
        read_window(text, start, head, _HEAD_GRAMS, 0, scratch)
    favour_own_words(scratch)


def mixed(gram: int) -> int:
    """Spread an n-gram's hash over 32 bits: the high ones choose the bucket, the low ones are the fingerprint."""
    value = gram ^ gram >> 15
    value = (value * _MIX) & _BITS_32
    return value ^ value >> 13


def slot_of(table: LanguageTable, gram: int) -> int:
    """The table's slot of an n-gram, or -1 where the table does not know it."""
    value = mixed(gram)
    slot = (value * BUCKETS >> 32) * 2
    mark = value & 0xFF
    if table.marks[slot] == mark:
        return slot
    return slot + 1 if table.marks[slot + 1] == mark else -1


def dominant_script(scratch: LanguageScratch) -> int:
    """The script with most of the letters; kana makes the Chinese characters beside it Japanese."""
    kana = scratch.letters[JAPANESE]
    han = scratch.letters[HAN]
    best = _NO_SCRIPT
    most = 0
    for script in range(len(SCRIPTS)):
        votes = scratch.votes[script]
        if script == HAN:
            votes += scratch.votes[JAPANESE]
        if votes > most:
            most = votes
            best = script
    if best == HAN and kana * 8 >= kana + han:
        return JAPANESE
    return best


def add_block(table: LanguageTable, first: int, stop: int, scratch: LanguageScratch) -> int:
    """Add the vectors of at most _BLOCK_GRAMS n-grams to the sums; gives how many the table knows."""
    book = table.codebook
    known = 0
    a = b = c = d = e = f = 0
    for index in range(first, stop):
        slot = slot_of(table, scratch.hashes[index])
        if slot >= 0:
            known += 1
            codes = table.codes[slot]
            one = (codes & 0xFF) * _WORDS
            two = (CODEWORDS + (codes >> 8 & 0xFF)) * _WORDS
            three = (2 * CODEWORDS + (codes >> 16 & 0xFF)) * _WORDS
            four = (3 * CODEWORDS + (codes >> 24)) * _WORDS
            a += book[one] + book[two] + book[three] + book[four]
            b += book[one + 1] + book[two + 1] + book[three + 1] + book[four + 1]
            c += book[one + 2] + book[two + 2] + book[three + 2] + book[four + 2]
            d += book[one + 3] + book[two + 3] + book[three + 3] + book[four + 3]
            e += book[one + 4] + book[two + 4] + book[three + 4] + book[four + 4]
            f += book[one + 5] + book[two + 5] + book[three + 5] + book[four + 5]
    bias = CODES * CODE_BIAS * known
    for lane in range(LANES):
        shift = 16 * lane
        scratch.sums[lane] += (a >> shift & 0xFFFF) - bias
        scratch.sums[LANES + lane] += (b >> shift & 0xFFFF) - bias
        scratch.sums[2 * LANES + lane] += (c >> shift & 0xFFFF) - bias
        scratch.sums[3 * LANES + lane] += (d >> shift & 0xFFFF) - bias
        scratch.sums[4 * LANES + lane] += (e >> shift & 0xFFFF) - bias
        scratch.sums[5 * LANES + lane] += (f >> shift & 0xFFFF) - bias
    return known


def add_grams(table: LanguageTable, scratch: LanguageScratch) -> int:
    """Sum the vectors of the n-grams that the table knows; gives how many those are.

    Beside a longer rest, the opening of the text counts twice.
    """
    for dimension in range(DIMENSIONS):
        scratch.sums[dimension] = 0
    known = 0
    for first in range(0, scratch.count, _BLOCK_GRAMS):
        if first == _OPENING_GRAMS:
            known *= 2
            for dimension in range(DIMENSIONS):
                scratch.sums[dimension] *= 2
        known += add_block(table, first, min(first + _BLOCK_GRAMS, scratch.count), scratch)
    return known


def add_languages(table: LanguageTable, script: int, known: int, scratch: LanguageScratch) -> None:
    """Write the logits of the script's languages: the sum of `known` n-grams times each language's vector."""
    for index in range(FIRST_CANDIDATE[script], FIRST_CANDIDATE[script + 1]):
        language = CANDIDATES[index]
        row = language * DIMENSIONS
        logit = table.bias[language] * known
        for dimension in range(DIMENSIONS):
            logit += scratch.sums[dimension] * table.output[row + dimension]
        scratch.logits[language] = logit


def odds(difference: int, sharpness: int) -> int:
    """How likely a language is beside the best one, 65536 for equally: e to the minus `difference`, scaled."""
    step = difference * sharpness >> 16
    return ODDS[step] if step < len(ODDS) else 0


def bit_length(value: int) -> int:
    """The bits that `value`, up to 32767, takes."""
    bits = 0
    while value > 0 and bits < 15:
        value >>= 1
        bits += 1
    return bits


def compare(table: LanguageTable, script: int, known: int, scratch: LanguageScratch, result: LanguageResult) -> None:
    """Compare the sum of `known` n-grams, at least one, with every language of the script; write the best two."""
    first = FIRST_CANDIDATE[script]
    stop = FIRST_CANDIDATE[script + 1]
    best = second = UNDETERMINED
    best_logit = second_logit = -(1 << 40)
    add_languages(table, script, known, scratch)
    sharpness = table.sharpness[bit_length(known)]
    prior_step = (known << 16) // max(1, sharpness)
    for index in range(first, stop):
        language = CANDIDATES[index]
        logit = scratch.logits[language] + table.prior[language] * prior_step
        scratch.logits[language] = logit
        if logit > best_logit:
            second = best
            second_logit = best_logit
            best = language
            best_logit = logit
        elif logit > second_logit:
            second = language
            second_logit = logit
    inverse = 0x10000 // known
    total = 0
    for index in range(first, stop):
        total += odds((best_logit - scratch.logits[CANDIDATES[index]]) * inverse >> 16, sharpness)
    result.language = best
    result.score = 10000 * ODDS[0] // total
    result.runner_up = second
    result.runner_up_score = 10000 * odds((best_logit - second_logit) * inverse >> 16, sharpness) // total


def describe_scripts(scratch: LanguageScratch, result: LanguageResult) -> int:
    """Write the histogram of scripts and the dominant one; gives the percent of the letters that it holds."""
    script = dominant_script(scratch)
    total = weights = 0
    for index in range(len(SCRIPTS)):
        total += scratch.letters[index]
        weights += scratch.votes[index]
    for index in range(len(SCRIPTS)):
        result.histogram[index] = scratch.letters[index] * 100 // total if total > 0 else 0
    result.script = script
    result.letters = total
    if total == 0:
        return 0
    share = scratch.votes[script]
    if script == JAPANESE:
        share += scratch.votes[HAN]
    elif script == HAN:
        share += scratch.votes[JAPANESE]
    return share * 100 // weights


def temper(result: LanguageResult, share: int, only_code: int) -> None:
    """Lower the scores where most of the text is code, or where no script holds three quarters of the letters."""
    keep = 2500 if only_code == 1 else 10000
    if share < 75:
        keep = keep * share // 75
    if result.code > 7500 and only_code == 0:
        keep = keep * (10000 - result.code) // 2500
    result.score = result.score * keep // 10000
    result.runner_up_score = result.runner_up_score * keep // 10000


def hold_back(result: LanguageResult) -> None:
    """Lower the scores of a text of few letters: a short word stands in many languages."""
    if result.letters < TELLING_LETTERS:
        result.score = result.score * result.letters // TELLING_LETTERS
        result.runner_up_score = result.runner_up_score * result.letters // TELLING_LETTERS


def identify(
    text: U8, start: int, length: int, table: LanguageTable, scratch: LanguageScratch, result: LanguageResult
) -> None:
    """Write the language of `text[start : start + length]`, UTF-8, into `result`.

    A long text is read at its head and its tail, where the user's own words stand around whatever was pasted.
    """
    collect(text, start, length, scratch)
    share = describe_scripts(scratch, result)
    script = result.script
    result.language = UNDETERMINED
    result.score = 0
    result.runner_up = UNDETERMINED
    result.runner_up_score = 0
    result.known = 0
    result.code = scratch.code_bytes * 10000 // scratch.read_bytes if scratch.read_bytes > 0 else 0
    first = FIRST_CANDIDATE[script]
    candidates = FIRST_CANDIDATE[script + 1] - first
    if candidates == 1 or (candidates > 0 and script == JAPANESE):
        result.language = CANDIDATES[first]
        result.score = 10000
    elif candidates > 1:
        result.known = add_grams(table, scratch)
        if result.known > 0:
            compare(table, script, result.known, scratch, result)
            hold_back(result)
    temper(result, share, scratch.only_code)
