"""`edgewise deploy`: mistakes in fly.toml and the Dockerfile are named, sizes judged, and only what is sound ships."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edgewise.cli import main
from edgewise.config import Config, load_config
from edgewise.deploy import FREE, PAID, FlyApp, Upload, cloudflare
from edgewise.deploy.context import BuildContext
from edgewise.deploy.dockerfile import command_of, parse_dockerfile
from edgewise.errors import EdgewiseError
from edgewise_build import worker as bundling
from edgewise_build.errors import BuildError
from edgewise_build.worker import WorkerBundle
from edgewise_build.workerd import Workerd

ROOT = Path(__file__).parents[2]
FILES = ("fly.toml", "Dockerfile", ".dockerignore")
WHEEL = "edgewise-0.1.0-py3-none-any.whl"


def make_wheel(folder: Path, *names: str, wheel: str = WHEEL) -> None:
    """A wheel in dist/ with files of these names."""
    (folder / "dist").mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "dist" / wheel, "w") as archive:
        for name in names:
            archive.writestr(name, "")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A folder with the repository's own files, and a wheel."""
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path / name)
    make_wheel(tmp_path, "edgewise/artifacts/edgewise.wasm")
    return tmp_path


def problems(folder: Path) -> list[str]:
    return [check.problem for check in FlyApp(folder).check() if check.problem]


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["deploy", *map(str, arguments)])


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file.name}"
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_the_repository_itself_passes() -> None:
    assert problems(ROOT) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('app = "edgewise"', "", "app: missing"),
        ('app = "edgewise"', 'app = "Edge Wise"', "app: missing"),
        ('primary_region = "iad"', "", "primary_region: missing"),
        ('primary_region = "iad"', 'primary_region = "virginia"', "primary_region: missing"),
        ('"SIGTERM"', '"SIGKILL"', "kill_signal: SIGKILL does not let requests end"),
        ('kill_timeout = "30s"', 'kill_timeout = "20s"', "kill_timeout: requests may take 20 s"),
        ('kill_timeout = "30s"', "kill_timeout = 5", "kill_timeout: requests may take 20 s"),
        ('kill_timeout = "30s"', "", "kill_timeout: requests may take 20 s"),
        ("internal_port = 8080", "internal_port = 9090", "internal_port: 9090, but the Dockerfile's CMD says 8080"),
        ("internal_port = 8080", "", "internal_port: missing; write 8080"),
        ('auto_stop_machines = "stop"', "", "auto_stop_machines: missing"),
        ('auto_stop_machines = "stop"', 'auto_stop_machines = "pause"', "auto_stop_machines: missing"),
        ("auto_start_machines = true", "", "auto_start_machines: missing"),
        ("auto_start_machines = true", "auto_start_machines = false", "machines that stopped never start"),
        ("min_machines_running = 1", "min_machines_running = -1", "min_machines_running: missing"),
        ('type = "requests"', 'type = "users"', "concurrency.type: missing"),
        ("soft_limit = 50", "soft_limit = 500", "concurrency: write a soft_limit"),
        ("hard_limit = 100", "", "concurrency: write a soft_limit"),
        ('path = "/healthz"', 'path = "/"', 'checks[0].path: the server says how it is at GET /healthz'),
        ('interval = "15s"', 'interval = "often"', "checks[0].interval: missing or no time"),
        ('timeout = "2s"\ngrace', "grace", "checks[0].timeout: missing or no time"),
        ('timeout = "2s"\ngrace', 'timeout = "15000ms"\ngrace', "checks[0].timeout: not below the interval"),
        ("[[http_service.checks]]", "[http_service.other]", "http_service.checks: missing"),
        ("[[vm]]", "[other]", "vm: missing"),
        ('size = "shared-cpu-1x"', "", "vm[0].size: missing"),
        ('memory = "512mb"', 'memory = "128mb"', 'vm[0].memory: write at least "256mb"'),
        ("[[vm]]", '[env]\nOPENAI_API_KEY = "x"\n\n[[vm]]', "env.OPENAI_API_KEY: a secret in a file"),
        ("[[vm]]", '[env]\nEDGEWISE_CONFIG = "/etc/r.toml"\n\n[[vm]]', "env.EDGEWISE_CONFIG: no [[files]] puts a file"),
    ],
)  # fmt: skip
def test_a_mistake_in_fly_toml_is_named(app: Path, old: str, new: str, problem: str) -> None:
    edit(app / "fly.toml", old, new)
    found = problems(app)
    assert len(found) == 1, found
    assert found[0].startswith("fly.toml: ")
    assert problem in found[0]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("bookworm AS builder", "bookworm AS builder\nFROM debian AS other", "Dockerfile:6: the base debian may"),
        ("FROM python:3.12-slim-bookworm AS", "FROM python:latest AS", "the base python:latest may change"),
        ("FROM python:3.12-slim-bookworm AS", "FROM reg:5000/python AS", "the base reg:5000/python may change"),
        ("FROM python:3.12-slim-bookworm\n", "FROM python:3.12\n", "python:3.12 brings compilers"),
        ("USER 10001:10001\n", "", "the last stage runs as root"),
        ("USER 10001:10001\n", "USER 10001\nUSER root\n", "USER root is root"),
        ("USER 10001:10001\n", "USER 0:0\n", "USER 0:0 is root"),
        ("USER 10001", "RUN apt-get install -y build-essential\nUSER 10001", "'build-essential' in the last stage"),
        ("USER 10001", "RUN apt-get update && \\\n    # why\n    apt-get install gcc\nUSER 10001", "'gcc' in the last"),
        ("USER 10001", "RUN pip --quiet install numba\nUSER 10001", "'pip --quiet install' in the last stage"),
        ("USER 10001", "RUN apt-get install libfoo-dev\nUSER 10001", "'libfoo-dev' in the last stage"),
        ('CMD ["edgewise", "serve", "--host", "0.0.0.0", "--port", "8080"]',
         "CMD edgewise serve --host 0.0.0.0 --port 8080", "CMD in shell form"),
        ('CMD ["edgewise", "serve", "--host", "0.0.0.0", "--port", "8080"]', "", "nothing starts the server"),
        ('"--port", "8080"', '"--port=9090"', "internal_port: 8080, but the Dockerfile's CMD says 9090"),
        ("EXPOSE 8080", "EXPOSE 80/tcp", "internal_port: 8080, but the Dockerfile's EXPOSE says 80;"),
        ("127.0.0.1:8080", "127.0.0.1:80", "internal_port: 8080, but the Dockerfile's HEALTHCHECK says 80;"),
        ('"--host", "0.0.0.0", ', "", "CMD listens on 127.0.0.1, where nobody reaches it"),
        ("dist/edgewise-*.whl", "wheels/*.whl", "there is no wheels/*.whl"),
        ("dist/edgewise-*.whl", "fly.toml dist/edgewise-*.whl", ".dockerignore leaves out fly.toml"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_dockerfile_is_named(app: Path, old: str, new: str, problem: str) -> None:
    edit(app / "Dockerfile", old, new)
    found = problems(app)
    assert len(found) == 1, found
    assert problem in found[0]


def test_a_dockerfile_without_a_health_check(app: Path) -> None:
    text = (app / "Dockerfile").read_text(encoding="utf-8")
    start, end = text.index("HEALTHCHECK"), text.index('CMD ["edgewise"')
    for health, problem in (
        ("", "no HEALTHCHECK"),
        ("HEALTHCHECK NONE\n", "no HEALTHCHECK"),
        ("HEALTHCHECK CMD curl http://localhost:8080/healthz\n", "HEALTHCHECK in shell form"),
    ):
        (app / "Dockerfile").write_text(text[:start] + health + text[end:], encoding="utf-8")
        assert [problem in one for one in problems(app)] == [True]


def test_build_tools_in_an_earlier_stage_are_fine(app: Path) -> None:
    edit(app / "Dockerfile", "RUN python -m venv", "RUN apt-get install -y gcc nodejs\nRUN python -m venv")
    assert problems(app) == []


def test_a_configuration_that_ships_is_checked(app: Path) -> None:
    files = (
        '[env]\nEDGEWISE_CONFIG = "/etc/r.toml"\n\n[[files]]\nguest_path = "/etc/r.toml"\nlocal_path = "router.toml"\n'
    )
    edit(app / "fly.toml", "[[vm]]", f"{files}\n[[vm]]")
    assert "router.toml: cannot be read" in problems(app)[0]
    (app / "router.toml").write_text("[models.a]\n", encoding="utf-8")
    assert "router.toml:1: models.a.provider: missing" in problems(app)[0]
    shutil.copy(ROOT / "examples" / "configs" / "minimal.toml", app / "router.toml")
    assert problems(app) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no FROM"),
        ("RUN true\nFROM a:1.0", "Dockerfile:1: RUN stands before the first FROM"),
        ("FROM a:1.0\nRUN true \\\n", "Dockerfile:2: the last line ends with a backslash"),
        ("FROM a:1.0\nRUN <<EOF\ntrue\nEOF\n", "Dockerfile:2: here-documents are not read"),
    ],
)
def test_a_dockerfile_that_cannot_be_read_names_the_line(text: str, message: str) -> None:
    with pytest.raises(EdgewiseError, match=message):
        parse_dockerfile(text)


def test_stages_flags_and_commands_are_read() -> None:
    first, last = parse_dockerfile(
        'ARG X=1\nFROM a:1.0 AS one\n\n# no\nRUN --mount=type=cache a && \\\n  # within\n  b\nFROM one\n'
        'COPY --from=one --chown=1:1 /a /b\nENTRYPOINT ["x"]\nCMD ["y", "z"]\nCMD ["w"]\n'
    )  # fmt: skip
    assert (first.name, first.base, last.name, last.base) == ("one", "a:1.0", None, "one")
    assert [(one.line, one.flags, one.value) for one in first.instructions] == [(5, {"mount": "type=cache"}, "a && b")]
    assert last.instructions[0].flags == {"from": "one", "chown": "1:1"}
    assert command_of(last) == ["x", "w"]


@pytest.mark.parametrize(
    ("ignore", "seen"),
    [
        ("", {"a.py", "b/c.py", "b/d/e.txt"}),
        ("*.py", {"b/c.py", "b/d/e.txt"}),
        ("**/*.py", {"b/d/e.txt"}),
        ("b", {"a.py"}),
        ("b/d/", {"a.py", "b/c.py"}),
        ("*\n!b/c.py", {"b/c.py"}),
        ("# no\n*\n!b\nb/?.py", {"b/d/e.txt"}),
    ],
)
def test_dockerignore(tmp_path: Path, ignore: str, seen: set[str]) -> None:
    paths = {"a.py", "b/c.py", "b/d/e.txt"}
    (tmp_path / ".dockerignore").write_text(ignore, encoding="utf-8")
    context = BuildContext(tmp_path)
    assert {path for path in paths if context.includes(path)} == seen


def test_dry_run_lists_what_holds_and_what_would_be_run(app: Path) -> None:
    result = invoke("fly", "--dry-run", "--directory", app)
    assert result.exit_code == 0, result.output
    assert "ok  ports agree: 8080" in result.output
    assert result.output.rstrip().endswith("flyctl deploy --config fly.toml")
    assert "NO" not in result.output


def test_a_folder_with_sources_makes_the_wheel_first(app: Path) -> None:
    (app / "pyproject.toml").touch()
    shutil.rmtree(app / "dist")
    result = invoke("fly", "--dry-run", "--directory", app)
    assert result.exit_code == 0, result.output
    assert "pip wheel" in result.output.splitlines()[-2]


def test_without_sources_the_wheel_must_be_there(app: Path) -> None:
    shutil.rmtree(app / "dist")
    assert problems(app) == ["Dockerfile:6: there is no dist/edgewise-*.whl; run `make wheel`"]


def test_wheels_that_would_not_work(app: Path) -> None:
    make_wheel(app, "edgewise/__init__.py")
    assert problems(app) == [f"dist/{WHEEL}: no compiled component in it; run `make build wheel`"]
    make_wheel(app, "edgewise/artifacts/edgewise.wasm", wheel="edgewise-0.2.0-py3-none-any.whl")
    assert "2 wheels where the image takes one" in problems(app)[0]


def test_json(app: Path) -> None:
    edit(app / "Dockerfile", "USER 10001:10001\n", "")
    result = invoke("fly", "--dry-run", "--directory", app, "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (report["target"], report["ok"]) == ("fly", False)
    assert [one["text"] for one in report["checks"] if not one["ok"]] == [
        "Dockerfile:10: the last stage runs as root; write USER 10001:10001 before CMD"
    ]


def test_missing_files_are_bad_use(tmp_path: Path, app: Path) -> None:
    (app / "Dockerfile").unlink()
    result = invoke("fly", "--directory", app)
    assert (result.exit_code, "Dockerfile: no such file" in result.output) == (2, True)
    (app / "fly.toml").write_text("app = ", encoding="utf-8")
    result = invoke("fly", "--directory", app)
    assert (result.exit_code, "fly.toml: Invalid value" in result.output) == (2, True)


def fake_flyctl(folder: Path, monkeypatch: pytest.MonkeyPatch, status: int = 0) -> Path:
    """A flyctl alone on the PATH, which writes its arguments into a file."""
    programs, calls = folder / "programs", folder / "calls"
    programs.mkdir()
    (programs / "flyctl").write_text(f'#!/bin/sh\necho "$PWD $@" >> "{calls}"\nexit {status}\n', encoding="utf-8")
    (programs / "flyctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    return calls


def test_deploy_runs_flyctl_in_the_folder(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_flyctl(app, monkeypatch)
    result = invoke("fly", "--directory", app)
    assert result.exit_code == 0, result.output
    assert calls.read_text(encoding="utf-8") == f"{os.path.realpath(app)} deploy --config fly.toml\n"


def test_nothing_ships_when_a_check_fails(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_flyctl(app, monkeypatch)
    edit(app / "fly.toml", 'primary_region = "iad"', "")
    assert invoke("fly", "--directory", app).exit_code == 1
    assert invoke("fly", "--directory", app, "--json").exit_code == 1
    assert not calls.exists()


def test_a_failure_of_flyctl_is_one_line(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_flyctl(app, monkeypatch, status=3)
    result = invoke("fly", "--directory", app)
    assert (result.exit_code, result.output.splitlines()[-1].startswith("Error: failed: ")) == (2, True)


def test_a_missing_flyctl_is_one_line(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    result = invoke("fly", "--directory", app)
    assert result.exit_code == 2
    assert "flyctl is not on the PATH: install it" in result.output


def upload_of(gzip_bytes: int) -> Callable[[Config], Upload]:
    return lambda _: Upload(Path("dist"), 2 * gzip_bytes, gzip_bytes, start_ms=100.0, answer_ms=0.5)


@pytest.mark.parametrize(
    ("gzip_bytes", "plan", "status"),
    [
        (FREE.gzip_bytes, "free", 0),
        (FREE.gzip_bytes + 1, "free", 1),
        (FREE.gzip_bytes + 1, "paid", 0),
        (PAID.gzip_bytes + 1, "paid", 1),
    ],
)
def test_an_upload_over_the_limit_of_the_plan_does_not_ship(
    monkeypatch: pytest.MonkeyPatch, gzip_bytes: int, plan: str, status: int
) -> None:
    shipped: list[str] = []

    def ship() -> str:
        shipped.append("now")
        return "Uploaded edgewise"

    monkeypatch.setattr("edgewise.cli.deploy.bundle_upload", upload_of(gzip_bytes))
    monkeypatch.setattr("edgewise.cli.deploy.ship", ship)
    assert invoke("cloudflare", "--plan", plan, "--dry-run").exit_code == status
    assert not shipped
    result = invoke("cloudflare", "--plan", plan)
    assert (result.exit_code, len(shipped)) == (status, 1 - status)
    assert ("Uploaded edgewise" in result.output) == (status == 0)


def test_what_is_printed_about_an_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgewise.cli.deploy.bundle_upload", upload_of(4_500_000))
    result = invoke("cloudflare", "--dry-run")
    assert "upload: 4.50 MB after gzip (9.00 MB before)" in result.output
    assert "NO  free: 150% of 3 MB" in result.output
    assert "ok  paid: 45% of 10 MB" in result.output
    assert "limit is 1000 ms" in result.output
    assert "10 ms of CPU" in result.output
    report = json.loads(invoke("cloudflare", "--dry-run", "--json").stdout)
    assert (report["target"], report["ok"], report["gzip_bytes"]) == ("cloudflare", False, 4_500_000)
    assert [one["ok"] for one in report["plans"]] == [False, True, True]


def test_errors_of_the_build_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Config) -> Upload:
        raise BuildError("node is not on the PATH: install Node.js 20 or newer")

    monkeypatch.setattr("edgewise.cli.deploy.bundle_upload", fail)
    result = invoke("cloudflare", "--dry-run")
    assert (result.exit_code, "Error: node is not on the PATH" in result.output) == (2, True)


def test_a_bad_configuration_is_not_bundled(tmp_path: Path) -> None:
    result = invoke("cloudflare", "--dry-run", "--config", tmp_path / "none.toml")
    assert (result.exit_code, "none.toml: cannot be read" in result.output) == (2, True)


def test_the_real_upload(worker_bundle: WorkerBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def bundle(component: Path, config: Config, out: Path) -> WorkerBundle:
        given.extend((component, config))
        return worker_bundle

    monkeypatch.setattr(bundling, "bundle", bundle)
    config = load_config()
    upload = cloudflare.bundle_upload(config)
    assert given[1] == config
    assert upload.gzip_bytes == worker_bundle.upload_gzip_bytes
    assert upload.fits(FREE)
    assert upload.answer_ms > 0
    assert upload.answer_ms < upload.start_ms


def test_the_request_that_is_timed_is_one(worker: Workerd) -> None:
    status, answer = worker.ask("POST", "/v1/route", cloudflare.TIMED_REQUEST)
    assert status == 200
    assert 400 < json.loads(answer)["tokens"]["input"] < 700
