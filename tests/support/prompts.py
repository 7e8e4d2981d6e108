"""Real prompts of the data folder, where there is one beside the checkout or EDGEWISE_DATA names one."""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewise.request import Request
from edgewise_build.checkout import ROOT

TRAFFIC = ROOT / "examples" / "traffic.jsonl"
DATA = Path(os.environ.get("EDGEWISE_DATA", ROOT.parent / "shared" / "data"))


def sampled_requests(count: int, seed: int = 7) -> list[Request]:
    """So many requests, evenly from all sets of the data folder. Skips the test where there is none."""
    files = sorted((DATA / "sets").glob("*.jsonl"))
    if not files:
        pytest.skip(f"no data folder at {DATA.name}: set EDGEWISE_DATA to compare real prompts")
    draw = random.Random(seed)
    requests: list[Request] = []
    for index, file in enumerate(files):
        rows = file.read_text(encoding="utf-8").strip("\n").split("\n")  # prompts hold other line separators
        wanted = (count - len(requests)) // (len(files) - index)
        requests += _requests(draw.sample(rows, min(wanted, len(rows))))
    return requests


def _requests(rows: list[str]) -> Iterator[Request]:
    for row in rows:
        data = json.loads(row)
        text = data["text"].replace("\0", " ")
        yield Request.parse({"id": data["id"], "text": text.encode(errors="replace").decode()})
