"""The WIT contract and the Python labels and records say the same, in the same order: both are numbered by position."""

import re

import pytest

from edgewise.core import labels
from edgewise.core.endpoints import OUTCOMES
from edgewise.core.language import LANGUAGES, SCRIPTS
from edgewise.core.layout import Action, Decision, Event, Observation, Reason, Request
from edgewise.core.policy import POLICY_STATUSES
from edgewise.core.session import ACTIONS, EVENTS, FAULTS, FINISHES, SESSION_REASONS
from edgewise.core.transcript import Message
from edgewise.core.types import Record
from edgewise_build.checkout import WIT


def block(kind: str, name: str) -> list[str]:
    """The names that stand in one block of the contract, in order, as Python spells them."""
    found = re.search(
        rf"^    {kind} {name} \{{\n(.*?)^    \}}", WIT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert found, f"the contract has no {kind} {name}"
    return [line.replace("-", "_") for line in re.findall(r"^        %?([a-z][\w-]*)[,:]", found[1], re.MULTILINE)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("role", labels.ROLES),
        ("tier", labels.TIERS),
        ("objective", labels.OBJECTIVES),
        ("status", labels.STATUSES),
        ("task", labels.TASKS),
        ("cluster", labels.CLUSTERS),
        ("domain", labels.DOMAINS),
        ("language", LANGUAGES),
        ("script", [script.lower() for script in SCRIPTS]),
        ("reason-code", labels.REASONS),
        ("policy-status", POLICY_STATUSES),
        ("outcome", OUTCOMES),
        ("event-kind", EVENTS),
        ("fault", FAULTS),
        ("finish", FINISHES),
        ("action-kind", ACTIONS),
        ("session-reason", SESSION_REASONS),
    ],
)
def test_enums(name: str, expected: tuple[str, ...]) -> None:
    assert block("enum", name) == list(expected)


def test_flags() -> None:
    assert block("flags", "needs") == list(labels.NEEDS)


def test_task_scores() -> None:
    assert block("record", "task-scores") == list(labels.TASKS)


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("request", Request),
        ("message", Message),
        ("reason", Reason),
        ("decision", Decision),
        ("observation", Observation),
        ("event", Event),
        ("action", Action),
    ],
)
def test_records(name: str, record: type[Record]) -> None:
    assert block("record", name) == list(record.__annotations__)
