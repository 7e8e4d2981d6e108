"""The simulator: replays traffic through the compiled router, by itself or in a world that changes underneath it."""

from edgewise.simulation.events import simulate
from edgewise.simulation.replay import replay
from edgewise.simulation.report import Report
from edgewise.simulation.rows import Row, read_rows
from edgewise.simulation.scenario import Scenario, load_scenario, parse_scenario

__all__ = ["Report", "Row", "Scenario", "load_scenario", "parse_scenario", "read_rows", "replay", "simulate"]
