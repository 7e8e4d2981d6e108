"""`fly.toml`: checked for what the router needs to be found, to stop and start, and to end in peace."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgewise.config import load_config
from edgewise.deploy.checks import Check
from edgewise.errors import ConfigError

HEALTH_PATH = "/healthz"
"""Where the server says that it is up."""

SHUTDOWN_SECONDS = 20
"""How long the server lets requests under way take to end."""

_LEAST_MEMORY_MB = 256
_SIGNALS = ("SIGTERM", "SIGINT")
_STOPS = ("off", "stop", "suspend", True, False)
_CONCURRENCY = ("requests", "connections")
_SECRET = re.compile(r"(API_?KEY|TOKEN|SECRET|PASSWORD)$", re.IGNORECASE)
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?")


def check_settings(settings: dict[str, Any], folder: Path) -> Iterator[Check]:
    """Check each table of a `fly.toml` whose files stand in a folder."""
    yield from _check_app(settings)
    service = table(settings, "http_service")
    yield _check_stops(service)
    yield _check_concurrency(table(service, "concurrency"))
    yield _check_health(service.get("checks"))
    yield _check_machine(settings.get("vm"))
    yield _check_end(settings)
    yield _check_environment(settings, folder)


def _check_app(settings: dict[str, Any]) -> Iterator[Check]:
    app, region = settings.get("app"), settings.get("primary_region")
    if isinstance(app, str) and re.fullmatch(r"[a-z0-9][a-z0-9-]*", app):
        yield Check(f"app: {app}")
    else:
        yield problem("app", 'missing; write the name of your app, such as app = "my-router"')
    if isinstance(region, str) and re.fullmatch(r"[a-z]{3}", region):
        yield Check(f"primary region: {region}")
    else:
        yield problem("primary_region", 'missing; write a region of three letters, such as "iad"')


def _check_end(settings: dict[str, Any]) -> Check:
    number = settings.get("kill_signal", "SIGINT")
    if number not in _SIGNALS:
        return problem("kill_signal", f"{number} does not let requests end; write SIGTERM")
    seconds = _seconds(settings.get("kill_timeout", 5), unit=1.0)
    if seconds is None or seconds <= SHUTDOWN_SECONDS:
        return problem("kill_timeout", f"requests may take {SHUTDOWN_SECONDS} s to end; write more, such as 30s")
    return Check(f"ends by {number}, within {seconds:g} s")


def _check_environment(settings: dict[str, Any], folder: Path) -> Check:
    environment = table(settings, "env")
    for name in environment:
        if _SECRET.search(name):
            return problem(f"env.{name}", f"a secret in a file; remove it and run `fly secrets set {name}=...`")
    guest = environment.get("EDGEWISE_CONFIG")
    if guest is None:
        return Check("routes by the default catalogue")
    files = {one.get("guest_path"): one for one in settings.get("files", ()) if isinstance(one, dict)}
    local = files.get(guest, {}).get("local_path")
    if local is None:
        return problem("env.EDGEWISE_CONFIG", f"no [[files]] puts a file at {guest}; give it a local_path")
    try:
        load_config(folder / local)
    except ConfigError as error:
        return Check("", str(error))
    return Check(f"routes by {local}")


def _check_stops(service: dict[str, Any]) -> Check:
    stop, start = service.get("auto_stop_machines"), service.get("auto_start_machines")
    least = service.get("min_machines_running")
    if stop not in _STOPS or stop is None:
        return problem("http_service.auto_stop_machines", 'missing; write "stop", "suspend" or "off"')
    if not isinstance(start, bool):
        return problem("http_service.auto_start_machines", "missing; write true or false")
    if stop not in ("off", False) and not start:
        return problem("http_service.auto_start_machines", "false, so machines that stopped never start; write true")
    if not isinstance(least, int) or isinstance(least, bool) or least < 0:
        return problem("http_service.min_machines_running", "missing; write how many stay up, such as 1")
    return Check(f"idle machines: {stop}, at least {least} stays up in the primary region")


def _check_concurrency(limits: dict[str, Any]) -> Check:
    soft, hard = limits.get("soft_limit"), limits.get("hard_limit")
    if limits.get("type") not in _CONCURRENCY:
        return problem("http_service.concurrency.type", 'missing; write "requests"')
    if not isinstance(soft, int) or not isinstance(hard, int) or not 0 < soft <= hard:
        return problem("http_service.concurrency", "write a soft_limit and a hard_limit that is not below it")
    return Check(f"concurrency: {soft} to {hard} {limits['type']} a machine")


def _check_health(checks: Any) -> Check:
    key = "http_service.checks"
    if not isinstance(checks, list) or not checks:
        return problem(key, f'missing; write [[{key}]] with path = "{HEALTH_PATH}"')
    for index, check in enumerate(checks):
        place = f"{key}[{index}]"
        if check.get("path") != HEALTH_PATH or str(check.get("method", "GET")).upper() != "GET":
            return problem(
                f"{place}.path", f'the server says how it is at GET {HEALTH_PATH}; write path = "{HEALTH_PATH}"'
            )
        times = {name: _seconds(check.get(name)) for name in ("interval", "timeout", "grace_period")}
        for name, value in times.items():
            if value is None:
                return problem(f"{place}.{name}", 'missing or no time; write one such as "15s"')
        if (times["timeout"] or 0) >= (times["interval"] or 0):
            return problem(f"{place}.timeout", "not below the interval; write a smaller one")
    return Check(f"health check: GET {HEALTH_PATH}")


def _check_machine(machines: Any) -> Check:
    if not isinstance(machines, list) or not machines:
        return problem("vm", 'missing; write [[vm]] with size = "shared-cpu-1x" and memory = "512mb"')
    for index, machine in enumerate(machines):
        if not ("size" in machine or "cpus" in machine):
            return problem(f"vm[{index}].size", 'missing; write one such as "shared-cpu-1x"')
        memory = _megabytes(machine.get("memory", _LEAST_MEMORY_MB))
        if memory is None or memory < _LEAST_MEMORY_MB:
            return problem(f"vm[{index}].memory", f'write at least "{_LEAST_MEMORY_MB}mb"')
    first = machines[0]
    return Check(f"machine: {first.get('size', first.get('cpus'))}, {first.get('memory', _LEAST_MEMORY_MB)}")


def table(settings: dict[str, Any], key: str) -> dict[str, Any]:
    """A table inside a table; an empty one where there is none."""
    value = settings.get(key)
    return value if isinstance(value, dict) else {}


def problem(key: str, text: str) -> Check:
    """A problem with a key of `fly.toml`."""
    return Check("", f"fly.toml: {key}: {text}")


def _seconds(value: Any, unit: float = 0.001) -> float | None:
    """A time such as "1m30s" in seconds; a bare number counts in `unit`s. None where it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value * unit
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        return None
    hours, minutes, seconds, milliseconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _megabytes(value: Any) -> int | None:
    match = re.fullmatch(r"(\d+)\s*(mb|gb)?", str(value), re.IGNORECASE)
    return None if match is None else int(match[1]) * (1024 if (match[2] or "").lower() == "gb" else 1)
