"""How many tokens a text takes: an estimate from the first byte of each character, without a vocabulary.

The costs were fitted by hand to what common byte-pair vocabularies do: about four letters of English a token, two and a
half digits, one mark of punctuation, and between one and three tokens for two characters of other scripts.
"""

from edgewise.core.types import U8

UNITS_PER_TOKEN = 64

_LETTER, _DIGIT, _SPACE, _MARK = 15, 26, 4, 48
_LATIN_EXTENDED, _TWO_BYTE, _THREE_BYTE, _CJK, _FOUR_BYTE = 40, 28, 40, 60, 120


def _cost_of_first_byte(byte: int) -> int:
    if byte < 0x80:
        if chr(byte).isalpha():
            return _LETTER
        if chr(byte).isdigit():
            return _DIGIT
        return _SPACE if byte <= 0x20 else _MARK
    if byte < 0xC0:
        return 0
    if byte < 0xC6:
        return _LATIN_EXTENDED
    if byte < 0xE0:
        return _TWO_BYTE
    if byte < 0xE3:
        return _THREE_BYTE
    return _CJK if byte < 0xF0 else _FOUR_BYTE


UNITS_OF_BYTE = tuple(_cost_of_first_byte(byte) for byte in range(256))

_SAMPLE_BYTES = 256


def units(text: U8, start: int, length: int) -> int:
    """The estimated size of `text[start : start + length]` in units, UNITS_PER_TOKEN of them a token."""
    total = 0
    for index in range(start, start + length):
        total += UNITS_OF_BYTE[text[index]]
    return total


def estimate(text: U8, start: int, length: int) -> int:
    """The estimated number of tokens, at least 1 for a text that is not empty.

    A long text is judged by samples from its start, middle and end, so the time it takes does not grow with it.
    """
    if length <= 3 * _SAMPLE_BYTES:
        return (units(text, start, length) + UNITS_PER_TOKEN - 1) // UNITS_PER_TOKEN
    sampled = units(text, start, _SAMPLE_BYTES)
    sampled += units(text, start + (length - _SAMPLE_BYTES) // 2, _SAMPLE_BYTES)
    sampled += units(text, start + length - _SAMPLE_BYTES, _SAMPLE_BYTES)
    return sampled * length // (3 * _SAMPLE_BYTES * UNITS_PER_TOKEN) + 1
