"""The report as one page of HTML that needs nothing beside it."""

from importlib.resources import files
from typing import Any

from pydantic import BaseModel

from edgewise.errors import EdgewiseError
from edgewise.simulation.report import MINUTE_MS, Report
from edgewise.simulation.scenario import DAY_MS, Scenario, clock


class Page:
    """What draws the page; made before a long replay, so that what is missing shows at once.

    Raises EdgewiseError where what draws it is not installed.
    """

    def __init__(self) -> None:
        try:
            import jinja2
            import markupsafe

            from edgewise.simulation.charts import draw_charts
        except ImportError:
            raise EdgewiseError("--html needs an extra: pip install 'edgewise[report]'") from None
        source = files(__package__).joinpath("report.html.jinja").read_text(encoding="utf-8")
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
        self._template = environment.from_string(source)
        self._mark_safe, self._draw_charts = markupsafe.Markup, draw_charts

    def render(self, report: Report, traffic: str, scenario: Scenario | None = None) -> str:
        """The page; `traffic` is the name of what was replayed. The same report gives the same page."""
        drawn = self._draw_charts(report, _spans(report, scenario))
        charts = {title: self._mark_safe(svg[svg.index("<svg") :]) for title, svg in drawn.items()}
        return self._template.render(
            report=report.to_json(), charts=charts, traffic=traffic, scenario=_describe(scenario)
        )


def _spans(report: Report, scenario: Scenario | None) -> list[tuple[str, int, int]]:
    """When the scenario's disruptions hold that come and go, minute by minute."""
    if scenario is None or not report.bins:
        return []
    first, last = min(report.bins), max(report.bins)
    spans: list[tuple[str, int, int]] = []
    for key, one in scenario.disruptions.items():
        if one.hours is None and one.day is None:
            continue
        begin = None
        for minute in range(first, last + 2 * MINUTE_MS, MINUTE_MS):
            holds = minute <= last and one.holds(minute, first // DAY_MS)
            if holds and begin is None:
                begin = minute
            elif not holds and begin is not None:
                spans.append((key.split(".", 1)[1], begin, minute))
                begin = None
    return spans


def _describe(scenario: Scenario | None) -> list[tuple[str, dict[str, Any]]]:
    """The scenario's disruptions and price changes by their names, with what they say."""
    if scenario is None:
        return []
    prices = {f"price_changes.{name}": one for name, one in scenario.price_changes.items()}
    return [(name, _say(one)) for name, one in {**scenario.disruptions, **prices}.items()]


def _say(table: BaseModel) -> dict[str, Any]:
    """The keys that a table gives, with their values as one would write them."""
    given = {name: getattr(table, name) for name in type(table).model_fields if name in table.model_fields_set}
    if "hours" in given:
        given["hours"] = "-".join(clock(minute) for minute in given["hours"])
    if "at" in given:
        given["at"] = clock(given["at"])
    return {name: ", ".join(value) if isinstance(value, tuple) else value for name, value in given.items()}
