"""Variants of training prompts: what users and tools do to a text without changing what is asked.

The phrases here are not those of `perturb.py`, with which robustness is measured.
"""

from __future__ import annotations

import random
from dataclasses import replace

from edgewise_classifier.data import Row
from edgewise_classifier.perturb import bare, lower, typos, upper

_OPENINGS = (
    "hi ",
    "hey there, ",
    "ok so ",
    "Could you please help me with this? ",
    "I need your help. ",
    "Pls ",
    "Good morning! ",
    "Can you do this for me: ",
    "You are a senior specialist with 20 years of experience. ",
    "You're an assistant at our company. Be concise. ",
    "Act as a professional. ",
    "I want you to act as an expert in this field. ",
    "As an AI language model, ",
    "Answer the following. ",
    "Here is my request: ",
    "Task: ",
    "Prompt: ",
    "Dear assistant, ",
    "Yo ",
    "um ",
    "Let's start over. ",
    "new question: ",
    "Por favor, ",
    "Hola, ",
    "Bonjour, ",
    "S'il te plaît, ",
    "Bitte ",
    "Hallo, ",
    "Ciao, ",
    "Olá! ",
    "Привет! ",
    "Пожалуйста, ",
    "请帮我一下：",
    "你好，",
    "すみません、",
    "お願いします。",
    "안녕하세요, ",
    "مرحبا، ",
    "नमस्ते, ",
)
_CLOSINGS = (
    " thx",
    " Thank you so much",
    " - be brief",
    "\n\nthank you!!",
    " Please answer in detail.",
    "\nGracias",
    " merci",
    " danke",
    " Спасибо",
    "\nありがとう",
    "谢谢",
    " cheers",
    "...",
    "\n\nSent from my phone",
    " i need it today",
    "\n\nKind regards,\nSam",
    " ok?",
)
_WRAPPERS = (
    ("<request>\n", "\n</request>"),
    ("<message>", "</message>"),
    ("Human: ", "\n\nAssistant:"),
    ("Q: ", "\nA:"),
    ("Instruction:\n", "\nOutput:"),
    ("### User\n", "\n\n### Assistant\n"),
    ("<|user|>\n", "\n<|assistant|>"),
    ("```\n", "\n```"),
    ("“", "”"),
    ("'", "'"),
    ("\n", "\n\n\n"),
    ("> ", ""),
    ("[user]: ", ""),
    ("USER: ", " ASSISTANT:"),
    ("- ", ""),
    ("1. ", ""),
    ("**", "**"),
)


def vary(text: str, rng: random.Random) -> str:
    """One to three changes, drawn at random."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        kind = rng.random()
        if kind < 0.14:
            text = typos(text, rng, rng.choice((0.01, 0.03, 0.05)))
        elif kind < 0.19:
            text = lower(text, rng)
        elif kind < 0.23:
            text = upper(text, rng)
        elif kind < 0.38:
            text = bare(text, rng)
        elif kind < 0.69:
            text = rng.choice(_OPENINGS) + text
        elif kind < 0.81:
            text = text + rng.choice(_CLOSINGS)
        else:
            before, after = rng.choice(_WRAPPERS)
            text = before + text + after
    return text


def variants(rows: list[Row], seed: int) -> list[Row]:
    """Each row with its last turn varied."""
    rng = random.Random(seed)
    changed = []
    for row in rows:
        text = vary(row.text, rng)
        changed.append(replace(row, text=text, messages=(*row.messages[:-1], (row.messages[-1][0], text))))
    return changed
