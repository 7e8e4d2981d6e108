"""Small changes to a prompt that should not change its route: for augmentation, and to measure robustness."""

from __future__ import annotations

import random
from collections.abc import Callable

Perturbation = Callable[[str, random.Random], str]

_OPENINGS = (
    "please ",
    "Hi, ",
    "hello! ",
    "You are an expert. ",
    "You are a helpful assistant. ",
    "quick one: ",
    "Hey, can you help me? ",
)
_CLOSINGS = (" thanks", " Thanks in advance!", " please", "\n\nThank you.", " asap pls")
_WRAPPERS = (
    ("<user_query>\n", "\n</user_query>"),
    ("User: ", ""),
    ("### Instruction:\n", "\n\n### Response:"),
    ("[INST] ", " [/INST]"),
    ('"', '"'),
    ("Question: ", "\nAnswer:"),
    ("\n\n", "\n\n"),
)
_NEAR = {"a": "s", "e": "r", "i": "o", "o": "p", "t": "y", "n": "m", "s": "d", "r": "t", "l": "k", "h": "j"}


def typos(text: str, rng: random.Random, rate: float = 0.03) -> str:
    """Swaps, drops, doubles or mistypes about one letter in thirty, within the first 1,500 characters."""
    characters = list(text)
    index = 0
    while index < min(len(characters) - 1, 1500):
        if characters[index].isalpha() and rng.random() < rate:
            kind = rng.randrange(4)
            if kind == 0 and characters[index + 1].isalpha():
                characters[index], characters[index + 1] = characters[index + 1], characters[index]
            elif kind == 1:
                characters[index] = ""
            elif kind == 2:
                characters[index] *= 2
            else:
                characters[index] = _NEAR.get(characters[index], characters[index])
            index += 2
        index += 1
    return "".join(characters)


def lower(text: str, rng: random.Random) -> str:
    """All lower case."""
    return text.lower()


def upper(text: str, rng: random.Random) -> str:
    """All upper case."""
    return text.upper()


def bare(text: str, rng: random.Random) -> str:
    """Without the marks that a hurried user leaves out."""
    return "".join(character for character in text if character not in ",.!?;:'\"’“”¿¡。，？！、")


def opening(text: str, rng: random.Random) -> str:
    """With a phrase of courtesy or a role before it."""
    return rng.choice(_OPENINGS) + text


def closing(text: str, rng: random.Random) -> str:
    """With thanks after it."""
    return text + rng.choice(_CLOSINGS)


def wrapper(text: str, rng: random.Random) -> str:
    """Inside the tags or labels that tools put around a prompt."""
    before, after = rng.choice(_WRAPPERS)
    return before + text + after


PERTURBATIONS: dict[str, Perturbation] = {
    "typos": typos,
    "lower": lower,
    "upper": upper,
    "bare": bare,
    "opening": opening,
    "closing": closing,
    "wrapper": wrapper,
}
