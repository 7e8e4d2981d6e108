"""What holds for the repository as a whole."""

import ast
import re
import subprocess
from collections.abc import Iterator

import pytest

from edgewise.core import labels, language
from edgewise.core.layout import Decision, Reason, Request
from edgewise.core.policy import POLICY_STATUSES
from edgewise.core.transcript import Message
from edgewise_build.checkout import ROOT, WIT

_ABSOLUTE_PATH = re.compile(r"""(?:^|[\s"'`=(])(?:/home/\w|/Users/\w|/root/|/work/|/tmp/\w|[A-Z]:\\\\Users)""")
_REGISTRY_HOST = re.compile(r"https?://(?!\S*(?:example|localhost))\S*(?:registry|pypi|npm)\S*/", re.IGNORECASE)
_PUBLIC_PAGES = re.compile(r"https://(?:pypi\.org/project|www\.npmjs\.com/package)/")


def tracked_files() -> list[str]:
    run = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        pytest.skip("this is no git checkout")
    return [name for name in run.stdout.split("\0") if name and (ROOT / name).is_file()]


def lines_of_text(skip: tuple[str, ...] = ()) -> Iterator[tuple[str, int, str]]:
    for name in tracked_files():
        data = (ROOT / name).read_bytes()
        if name.startswith(skip) or b"\0" in data[:1000]:
            continue
        for number, line in enumerate(data.decode("utf-8", errors="replace").split("\n"), 1):
            yield name, number, line


def test_no_file_names_a_place_of_one_machine():
    prompts = ("classifier/data/", "examples/", "tests/")
    found = [f"{name}:{number}" for name, number, line in lines_of_text(prompts) if _ABSOLUTE_PATH.search(line)]
    assert found == []


def test_no_file_names_a_package_registry():
    """Lock files carry hashes only: whoever installs uses the registry of their own."""
    found = [
        f"{name}:{number}: {line.strip()[:80]}"
        for name, number, line in lines_of_text(("classifier/data/", "examples/"))
        if _REGISTRY_HOST.search(_PUBLIC_PAGES.sub("", line)) and name != "tests/test_repository.py"
    ]
    assert found == []


@pytest.mark.parametrize("line", ["cd /home/jane/x", 'path = "/root/y"', "(/tmp/z)"])
def test_the_search_for_places_can_find_one(line):
    assert _ABSOLUTE_PATH.search(line)


def test_the_search_for_registries_can_find_one():
    assert _REGISTRY_HOST.search('"resolved": "https://registry.npmjs.org/jco/-/jco-1.0.0.tgz"')
    assert not _REGISTRY_HOST.search("https://example.com/docs/")


def test_every_public_module_says_what_it_is_for():
    missing = []
    for name in tracked_files():
        is_public = name.endswith(".py") and name.startswith(("edge/edgewise/", "classifier/", "build/"))
        if is_public and not ast.get_docstring(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            missing.append(name)
    assert missing == []


def wit_names(kind: str, name: str) -> list[str]:
    """The members of an enum, flags or record of the contract, in order."""
    text = re.sub(r"//.*", "", WIT.read_text(encoding="utf-8"))
    body = re.search(rf"\b{kind} {name} \{{([^}}]*)\}}", text)
    assert body is not None, f"{kind} {name}"
    return [part.split(":")[0].strip().lstrip("%") for part in body[1].split(",") if part.strip()]


@pytest.mark.parametrize(
    ("kind", "name", "names"),
    [
        ("enum", "role", labels.ROLES),
        ("flags", "needs", labels.NEEDS),
        ("enum", "tier", labels.TIERS),
        ("enum", "objective", labels.OBJECTIVES),
        ("enum", "status", labels.STATUSES),
        ("enum", "task", labels.TASKS),
        ("record", "task-scores", labels.TASKS),
        ("enum", "cluster", labels.CLUSTERS),
        ("enum", "domain", labels.DOMAINS),
        ("enum", "language", language.LANGUAGES),
        ("enum", "script", tuple(script.lower() for script in language.SCRIPTS)),
        ("enum", "reason-code", labels.REASONS),
        ("enum", "policy-status", POLICY_STATUSES),
        ("record", "request", tuple(field.name for field in Request.fields)),
        ("record", "message", tuple(field.name for field in Message.fields)),
        ("record", "decision", tuple(field.name for field in Decision.fields)),
        ("record", "reason", tuple(field.name for field in Reason.fields)),
    ],
)
def test_the_contract_lists_what_the_core_numbers(kind, name, names):
    assert [member.replace("-", "_") for member in wit_names(kind, name)] == list(names)


def test_labels_are_complete():
    assert len(labels.CLUSTER_OF_TASK) == labels.TASK_COUNT
    assert set(labels.CLUSTER_OF_TASK) == set(range(labels.CLUSTER_COUNT))
    for names in (labels.TASKS, labels.DOMAINS, labels.REASONS, language.LANGUAGES, language.SCRIPTS):
        assert len(set(names)) == len(names)
