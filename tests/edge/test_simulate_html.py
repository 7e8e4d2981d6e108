"""The report as a page: self-contained, and the same for the same report."""

import sys
from html.parser import HTMLParser

import pytest

from edgewise.errors import EdgewiseError
from edgewise.simulation import Report, Row, Scenario, simulate
from edgewise.simulation.html import Page
from support.scene import NOON, config_of

CONFIG = config_of({"a": {"quality": 0.9}, "b": {"provider": "other"}}, policy={"regions": ["us-east"]})
WORLD = Scenario.model_validate(
    {
        "outages": {"<gone>": {"models": ["a"], "hours": "12:02-12:05"}, "always": {"models": ["b"], "regions": ["x"]}},
        "price_changes": {"up": {"model": "a", "at": "12:08", "price_in": 9, "price_out": 9}},
    }
)


@pytest.fixture(scope="module")
def report() -> Report:
    outcomes = {"a": 1, "b": 0.5}
    rows = [
        Row.parse({"text": "How high?", "at_ms": NOON + n * 5_000, "region": "us-east", "outcomes": outcomes})
        for n in range(120)
    ]
    return simulate(CONFIG, WORLD, rows)


class Tags(HTMLParser):
    """Collects the tags and their attributes; fails on what is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_it_needs_nothing_beside_it(report):
    page = Tags(Page().render(report, "t.jsonl", WORLD))
    assert page.open == []
    assert page.tags.count("svg") == 4
    assert {"script", "link", "img", "iframe"}.isdisjoint(page.tags)
    assert all(reference.startswith("#") for reference in page.references)


def test_it_says_what_happened_and_escapes_names(report):
    page = Page().render(report, "<t>.jsonl", WORLD)
    assert "outages.&lt;gone&gt;" in page
    assert "hours = 12:02-12:05" in page
    assert "at = 12:08" in page
    assert "<t>" not in page
    assert "<gone>" not in page
    assert "circuit opened" in page
    assert "price changed" in page


def test_the_same_report_is_the_same_page(report):
    assert Page().render(report, "t", WORLD) == Page().render(report, "t", WORLD)


def test_without_times_and_outcomes_there_are_tables_only():
    page = Page().render(Report("a"), "t")
    assert "<svg" not in page
    assert "nothing to draw" in page


def test_without_what_draws_it_what_to_install_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(EdgewiseError, match=r"pip install 'edgewise\[report\]'"):
        Page()
