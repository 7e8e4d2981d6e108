"""Reads the prompt sets and gives every row the labels that the heads learn from.

A set is one JSON Lines file. `load_sets` reads the public ones (`DATA/sets/NAME.jsonl`, labels as `label_*`),
`load_own` the prompts written for this project (`classifier/data/NAME.jsonl`, labels without the prefix), and
`load_outcomes` turns per-model results into difficulty. Rows keep the role of their set: train, val or test.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgewise.core.labels import DOMAINS, TASKS

UNKNOWN = -1


OWN = Path(__file__).resolve().parent.parent / "data"
LABELS = Path(__file__).resolve().parent / "labels"

_ALIASES = {"other": "other_knowledge", "computer science": "computer_science"}

# clinc150's intents name what a voice assistant is asked to do; these follow from the intent alone.
_CLINC = {
    "tool": "alarm balance bill_balance bill_due book_flight book_hotel calendar calendar_update"
    " cancel_reservation car_rental change_accent change_ai_name change_language change_speed"
    " change_user_name change_volume confirm_reservation current_location credit_limit_change find_phone"
    " flight_status flip_coin freeze_account insurance_change last_maintenance make_call meeting_schedule"
    " min_payment next_song order order_checks order_status pay_bill pin_change play_music pto_balance"
    " pto_request pto_request_status pto_used redeem_rewards reminder reminder_update report_fraud"
    " report_lost_card reset_settings restaurant_reservation rewards_balance roll_dice rollover_401k"
    " schedule_maintenance schedule_meeting share_location shopping_list shopping_list_update smart_home"
    " spending_history sync_device text time timer tire_pressure todo_list todo_list_update transactions"
    " transfer travel_notification uber update_playlist weather what_song whisper_mode date traffic"
    " credit_score",
    "factual": "cook_time food_last ingredient_substitution ingredients_list international_visa jump_start"
    " oil_change_how plug_type recipe tire_change vaccines improve_credit_score",
    "reasoning": "calculator measurement_conversion",
    "brainstorm": "meal_suggestion travel_suggestion restaurant_suggestion",
    "chat": "yes no maybe repeat",
}
_CLINC_TASK = {f"clinc:{intent}": task for task, names in _CLINC.items() for intent in names.split()}
_FRR_CODE = ("program", "script", "code", "function", "python", "implement")


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt with what is known of it. Labels are class indices or 0/1; UNKNOWN where nobody said."""

    id: str
    source: str
    text: str
    lang: str
    role: str
    history: tuple[str, ...] = ()  # prior user turns, newest first
    task: int = UNKNOWN
    domain: int = UNKNOWN
    code: int = UNKNOWN
    recency: int = UNKNOWN
    harm: int = UNKNOWN
    jailbreak: int = UNKNOWN
    pii: int = UNKNOWN
    difficulty: float = -1.0  # share of small models that fail, 0 to 1; below 0: unknown
    own: bool = False
    messages: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Gives the objects of a JSON Lines file."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _index(names: tuple[str, ...], name: Any) -> int:
    if name is None:
        return UNKNOWN
    name = _ALIASES.get(str(name), str(name))
    return names.index(name) if name in names else UNKNOWN


def _messages(raw: dict[str, Any], text: str) -> tuple[tuple[str, str], ...]:
    turns = tuple((str(m.get("role", "user")), str(m.get("content") or "")) for m in raw.get("messages") or ())
    return turns or (("user", text),)


def _history(turns: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    users = [content for role, content in turns if role == "user" and content]
    return tuple(reversed(users[:-1]))[:3]


_DIFFICULTY = (0.08, 0.30, 0.62, 0.90)


def _own_row(raw: dict[str, Any], name: str, number: int) -> Row:
    text = str(raw["text"])
    turns = _messages(raw, text)
    task = _index(TASKS, raw.get("task"))
    safety = raw.get("safety", "safe")
    level = raw.get("difficulty")
    return Row(
        id=f"{name}-{number}",
        source=name,
        text=text,
        lang=str(raw.get("lang", "und")),
        role="train",
        history=_history(turns),
        messages=turns,
        task=task,
        domain=_index(DOMAINS, raw.get("domain")),
        code=int(raw.get("code", int(raw.get("task") == "code"))) if task != UNKNOWN or "code" in raw else UNKNOWN,
        recency=int(raw.get("time_sensitive", 0)),
        harm=int(safety == "harmful"),
        jailbreak=int(safety in ("jailbreak", "injection")),
        pii=int(raw.get("pii", 0)),
        difficulty=_DIFFICULTY[int(level)] if level is not None else -1.0,
        own=True,
    )


def load_own(folder: Path = OWN) -> list[Row]:
    """Reads the prompts written for this project; `languages.jsonl` holds sentences, not asks, and is left out."""
    rows = []
    for path in sorted(folder.glob("*.jsonl")):
        if path.stem != "languages":
            rows += [_own_row(raw, path.stem, n) for n, raw in enumerate(read_jsonl(path), 1)]
    return rows


def read_labels(name: str) -> dict[str, int]:
    """Labels that we gave to rows of public sets by reading them: `labels/NAME.csv`, lines of row id and label."""
    path = LABELS / f"{name}.csv"
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as lines:
        return {row[0]: int(row[1]) for row in csv.reader(lines) if row and not row[0].startswith("#")}


def _public_row(raw: dict[str, Any], read_recency: dict[str, int], read_task: dict[str, int]) -> Row:
    source, text = str(raw["source"]), str(raw["text"])
    turns = _messages(raw, text)
    task_raw = str(raw.get("label_task_raw") or "")
    task = _index(TASKS, raw.get("label_task") or _CLINC_TASK.get(task_raw))
    if source == "linguist_samples":
        task = TASKS.index("code")
    if source == "cyberseceval_frr" and any(word in text.lower() for word in _FRR_CODE):
        task = TASKS.index("code")
    task = read_task.get(raw["id"], task)
    code = raw.get("label_code")
    if code is None:
        code = UNKNOWN if task == UNKNOWN else int(task == TASKS.index("code"))
    safety = raw.get("label_safety")
    recency = raw.get("label_time_sensitive")
    recency = read_recency.get(raw["id"], recency)
    domain = raw.get("label_domain")
    if domain is None and task_raw.startswith("mmlu_pro:"):
        domain = task_raw.split(":", 1)[1]
    level = raw.get("label_difficulty")
    return Row(
        id=str(raw["id"]),
        source=source,
        text=text,
        lang=str(raw.get("lang") or "und"),
        role=str(raw["role"]),
        history=_history(turns),
        messages=turns,
        task=task,
        domain=_index(DOMAINS, domain),
        code=int(code),
        recency=UNKNOWN if recency is None else int(recency),
        harm=UNKNOWN if safety is None else int(safety == "harmful"),
        jailbreak=UNKNOWN if safety is None else int(safety in ("jailbreak", "injection")),
        pii=UNKNOWN if raw.get("label_pii") is None else int(raw["label_pii"]),
        difficulty=_DIFFICULTY[int(level)] if level is not None else -1.0,
    )


def load_sets(data: Path, role: str, names: Iterable[str] | None = None) -> list[Row]:
    """Reads the public sets of one role; sets named `authored_*` are left out, since `classifier/data` holds them."""
    recency, task = read_labels("recency"), read_labels("task")
    rows: list[Row] = []
    wanted = None if names is None else set(names)
    for path in sorted((data / "sets").glob("*.jsonl")):
        if path.stem.startswith("authored_") or (wanted is not None and path.stem not in wanted):
            continue
        raws = read_jsonl(path)
        for raw in raws:
            if raw.get("role") != role:
                break
            rows.append(_public_row(raw, recency, task))
    return rows


# Models of about 8B parameters and less: what a small model means when difficulty is learned from outcomes.
SMALL_MODELS = (
    "Llama-2-13b-hf",
    "Meta-Llama-3-8B",
    "Meta-Llama-3_1-8B-Instruct",
    "Meta-Llama-3_1-8B",
    "Mistral-7B-Instruct-v0.2",
    "Mistral-7B-v0.1",
    "Mixtral-8x7B-Instruct-v0.1",
    "Mixtral-8x7B-v0.1",
    "Phi-3-mini-4k-instruct",
    "Qwen1.5-7B-Chat",
    "gemma-7b",
    "mathstral-7B",
    "qwen2.5-7b-instruct",
    "mistral-7b-instruct-v0.3",
    "gemma-2-9b-it",
    "llama-3.1-8b-instruct",
)


_OUTCOME_TASKS = {
    "factual": "trivia_qa natural_qa commonsense_qa openbook_qa arc_challenge law psychology biology health history"
    " philosophy other",
    "reasoning": "math gsm8k agentverse-logicgrid physics chemistry engineering",
    "code": "mbpp",
    "creative": "commongen",
}
_TASK_OF_OUTCOME = {name: TASKS.index(task) for task, names in _OUTCOME_TASKS.items() for name in names.split()}


OUTCOMES = "outcomes_"
"""How the sources begin whose rows small models tried."""

_PUNCTUATION = "?!.,:;'\"()"


def shingles(text: str, size: int = 8) -> set[int]:
    """Hashes of every run of `size` words, or of all words where there are fewer; case and punctuation do not count."""
    words = [word.strip(_PUNCTUATION) for word in text.lower().split()]
    return {hash(tuple(words[index : index + size])) for index in range(max(1, len(words) - size + 1))}


def test_shingles(data: Path) -> set[int]:
    """The shingles of the test sets."""
    return {run for row in load_sets(data, "test") for run in shingles(row.text)}


def test_outcome_shingles(data: Path) -> set[int]:
    """The shingles of the prompts whose outcomes are kept for testing, where only difficulty is measured."""
    tested = [raw for raw in read_jsonl(data / "outcomes" / "llmrouter_mix.jsonl") if raw["split"] == "test"]
    for name in ("routellm_mmlu_gsm8k", "alpaca_eval2"):
        tested += read_jsonl(data / "outcomes" / f"{name}.jsonl")
    return {run for raw in tested for run in shingles(str(raw["text"]))}


def load_outcomes(data: Path, name: str, *, split: str | None = None, avoid: set[int] | None = None) -> list[Row]:
    """Rows whose difficulty is one minus the mean score of the small models that tried them.

    The benchmark a row comes from also gives its task where that is plain. Rows that share a run of eight words with
    `avoid` are left out.
    """
    rows = []
    for raw in read_jsonl(data / "outcomes" / f"{name}.jsonl"):
        if split is not None and raw.get("split") != split:
            continue
        text = str(raw["text"])
        if raw.get("in_routellm_mmlu") or (avoid is not None and not avoid.isdisjoint(shingles(text))):
            continue
        scores = [float(raw["scores"][m]) for m in SMALL_MODELS if raw["scores"].get(m) is not None]
        if not scores:
            continue
        task = _TASK_OF_OUTCOME.get(str(raw["category"]), UNKNOWN)
        rows.append(
            Row(
                id=str(raw["id"]),
                source=f"{OUTCOMES}{name}",
                text=text,
                lang="en",
                role="train",
                messages=(("user", text),),
                task=task,
                code=UNKNOWN if task == UNKNOWN else int(task == TASKS.index("code")),
                domain=_index(DOMAINS, raw["category"]) if name == "mmlu_pro" else UNKNOWN,
                difficulty=1.0 - sum(scores) / len(scores),
            )
        )
    return rows
