"""The replay on a Ray cluster: every task replays a part of the traffic, and the reports are added up.

What is counted are whole numbers, so the sums do not depend on how the traffic was cut or who was first.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from itertools import islice
from typing import Any

from edgewise.config import Config
from edgewise.errors import EdgewiseError
from edgewise.router import Router
from edgewise.simulation.replay import replay
from edgewise.simulation.report import Report
from edgewise.simulation.rows import Part, read_part

_TASKS_PER_CPU = 2
"""More than one, so that a cluster that grows by demand sees the demand."""


def replay_part(config: Config, part: Part) -> Report:
    """The report of one part: what every task does."""
    return replay(Router(config), read_part(part))


def replay_on_ray(config: Config, parts: Iterable[Part]) -> Iterator[Report]:
    """The reports of all parts, as they come in, from the cluster that RAY_ADDRESS names or else from a local one.

    Raises EdgewiseError where Ray is not installed, RequestError where a row cannot be read.
    """
    try:
        ray: Any = import_module("ray")  # an extra, and slow to import
    except ImportError:
        raise EdgewiseError("--engine ray needs an extra: pip install 'edgewise[ray]'") from None
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        shared, task = ray.put(config), ray.remote(replay_part)
        width = _TASKS_PER_CPU * max(1, int(ray.cluster_resources().get("CPU", 1)))
        absolute = (replace(part, path=part.path.resolve()) for part in parts)
        yield from _unordered(ray, lambda part: task.remote(shared, part), absolute, width)
    finally:
        if started_here:
            ray.shutdown()


def _unordered(ray: Any, submit: Callable[[Part], Any], parts: Iterator[Part], width: int) -> Iterator[Report]:
    """Keep `width` tasks under way, and give each result as it comes."""
    running = [submit(part) for part in islice(parts, width)]
    while running:
        done, running = ray.wait(running)
        try:
            yield ray.get(done[0])
        except ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, EdgewiseError) else error) from None
        running += [submit(part) for part in islice(parts, 1)]
