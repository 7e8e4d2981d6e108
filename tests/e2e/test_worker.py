"""The shipped Worker, bundled by wrangler and served by real workerd: what clients get, and what it weighs."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgewise.config import load_config
from edgewise.errors import EngineError, RequestError
from edgewise.percentiles import percentile
from edgewise.request import Request
from edgewise.router import Router, no_feasible_model
from edgewise_build import node, worker_bench
from edgewise_build import worker as bundling
from edgewise_build.errors import BuildError
from edgewise_build.worker import WorkerBundle
from edgewise_build.workerd import Workerd, WorkerdEngine
from support.prompts import TRAFFIC

MIB = 1024 * 1024
UPLOAD_BUDGET = 1.5 * MIB
START_BUDGET_MS = 10
MEMORY_BUDGET = 8 * MIB


@pytest.fixture(scope="module")
def router() -> Router:
    return Router()


def post(worker: Workerd, request: object, path: str = "/v1/route") -> tuple[int, Any]:
    """The status and the JSON of the answer; bytes are sent as they are."""
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    status, answer = worker.ask("POST", path, body)
    return status, json.loads(answer)


def test_answers_as_the_python_host(worker: Workerd, router: Router) -> None:
    for line in TRAFFIC.read_text(encoding="utf-8").strip("\n").split("\n"):
        request = Request.parse(json.loads(line))
        status, answer = post(worker, line.encode())
        decision = router.engine.decide(request)
        if decision.status == "no_feasible_model":
            expected = no_feasible_model(decision)
            assert (status, answer["error"]["message"]) == (422, str(expected)), line
            assert [(one["model"], one["text"]) for one in answer["error"]["dropped"]] == expected.dropped
            continue
        assert status == 200, line
        assert answer.pop("edgewise") == {**router.about, "engine": "workerd"}
        assert answer == {"id": request.id, **decision.to_json()}, line
        assert list(answer) == ["id", *decision.to_json()]


BAD_REQUESTS: list[Any] = [
    "hi",
    [],
    {},
    {"text": "a", "messages": []},
    {"messages": []},
    {"messages": "hi"},
    {"messages": ["hi"]},
    {"messages": [{"content": "hi"}]},
    {"messages": [{"role": "wizard", "content": "hi"}]},
    {"messages": [{"role": "user", "content": "hi"}, {"role": "user", "content": {"a": 1}}]},
    {"text": 5},
    {"text": "a\ud800b"},
    {"text": "\U0001f600a\0b"},
    {"text": "a", "id": "\udfff"},
    {"text": "a", "region": 5},
    {"text": "a", "budget_usd": -0.5},
    {"text": "a", "budget_usd": 1e7},
    {"text": "a", "budget_usd": []},
    {"text": "a", "max_tokens": -1},
    {"text": "a", "max_tokens": 1.5},
    {"text": "a", "max_tokens": 2**31},
    {"text": "a", "latency_slo_ms": {}},
    {"text": "a", "at_ms": -5},
    {"text": "a", "tier": "gold"},
    {"text": "a", "objective": 1},
    {"text": "a", "needs": ["json", "taste"]},
    {"text": "a", "needs": 5},
    {"text": "a", "temperature": 0.5},
    {"text": "a", "budget_usd": -1, "max_tokens": -1},
]


@pytest.mark.parametrize("request_data", BAD_REQUESTS, ids=lambda data: json.dumps(data)[:60])
def test_bad_requests_get_the_python_hosts_message(worker: Workerd, request_data: Any) -> None:
    with pytest.raises(RequestError) as expected:
        Request.parse(request_data)
    status, answer = post(worker, request_data)
    assert status == 400
    assert answer["error"]["message"] == str(expected.value)
    assert answer["error"]["type"] == "invalid_request_error"
    param = answer["error"]["param"]
    assert param is None or answer["error"]["message"].startswith(f"{param}: ")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON: the text ends too early at line 1 column 1"),
        (b'{"text": "a",\n "id": }', 'not JSON: unexpected "}" at line 2 column 8'),
        (b'{"text": "\xff"}', "not JSON: the body is not UTF-8"),
        (b'{"text": "caf\xc3', "not JSON: the body is not UTF-8"),
    ],
)
def test_what_is_not_json_says_where(worker: Workerd, body: bytes, message: str) -> None:
    assert post(worker, body) == (
        400,
        {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}},
    )


def test_a_byte_order_mark_is_no_trouble(worker: Workerd) -> None:
    assert post(worker, b'\xef\xbb\xbf{"text": "hello"}')[0] == 200


def test_no_feasible_model(worker: Workerd) -> None:
    status, answer = post(worker, {"text": "hello there", "budget_usd": 1e-12})
    assert (status, answer["error"]["type"]) == (422, "no_feasible_model")
    assert {one["code"] for one in answer["error"]["dropped"]} == {"budget"}
    assert answer["error"]["dropped_count"] == len(answer["error"]["dropped"])


def test_huge_prompts(worker: Workerd) -> None:
    long = {"messages": [{"role": "user", "content": "Summarize this. " + "lorem ipsum " * 5_000}]}
    status, answer = post(worker, long)
    assert (status, answer["truncated"]) == (200, True)
    assert post(worker, {"text": "lorem ipsum " * (10 * MIB // 12)})[0] in (200, 422)
    status, answer = post(worker, {"text": "x" * (16 * MIB)})
    assert (status, answer["error"]["type"]) == (413, "request_too_large_error")
    assert post(worker, {"text": "hello"})[0] == 200


def test_paths_and_methods(worker: Workerd) -> None:
    status, answer = worker.ask("GET", "/healthz")
    assert (status, json.loads(answer)["status"]) == (200, "ok")
    assert worker.ask("HEAD", "/healthz") == (200, b"")
    status, answer = worker.ask("GET", "/v1/route")
    assert (status, json.loads(answer)["error"]["type"]) == (405, "method_not_allowed_error")
    status, answer = worker.ask("GET", "/")
    assert (status, json.loads(answer)["error"]["type"]) == (404, "not_found_error")


@pytest.mark.parametrize("door", ["/test/decisions", "/test/policy", "/test/repeat", "/test/start"])
def test_the_shipped_worker_has_no_test_doors(worker: Workerd, door: str) -> None:
    assert post(worker, {"text": "hello"}, door)[0] == 404


def test_upload_size(worker_bundle: WorkerBundle) -> None:
    assert worker_bundle.upload_gzip_bytes <= UPLOAD_BUDGET
    assert sum(worker_bundle.gzip_bytes.values()) <= UPLOAD_BUDGET
    assert {Path(name).suffix for name in worker_bundle.gzip_bytes} == {".js", ".wasm", ".bin", ".txt"}


def test_start_and_memory(workerd_engine: WorkerdEngine) -> None:
    assert percentile(worker_bench.start_times_ms(workerd_engine, 20), 0.5) <= START_BUDGET_MS
    assert 0 < workerd_engine.repeat('{"text": "hello"}', calls=100) <= MEMORY_BUDGET


def test_many_calls_do_not_grow_the_memory(workerd_engine: WorkerdEngine) -> None:
    line = json.dumps({"text": "How do I sort a list in Python? " * 50})
    before = workerd_engine.repeat(line, calls=10)
    assert workerd_engine.repeat(line, calls=5_000) == before


def test_a_worker_that_cannot_start_says_why(tmp_path: Path, worker_bundle: WorkerBundle) -> None:
    (tmp_path / "worker.js").write_text("throw new Error('on purpose')")
    with pytest.raises(EngineError, match=r"^workerd did not start: .*on purpose"):
        Workerd(tmp_path)


class TestMissingTools:
    """Each missing tool gives one clear line."""

    def test_no_component(self, tmp_path: Path) -> None:
        with pytest.raises(BuildError, match=r"^edgewise\.wasm has not been built: run `edgewise build`$"):
            bundling.bundle(tmp_path / "edgewise.wasm", load_config(), tmp_path / "out")

    def test_no_node(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(BuildError, match=r"^node is not on the PATH: install Node\.js 20 or newer$"):
            bundling.bundle_entry(bundling.ENTRY, tmp_path / "out")

    def test_old_node(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        old = tmp_path / "node"
        old.write_text("#!/bin/sh\necho v18.19.0\n")
        old.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        with pytest.raises(BuildError, match=r"^Node\.js v18\.19\.0 is too old: install version 20 or newer$"):
            bundling.bundle_entry(bundling.ENTRY, tmp_path / "out")

    def test_no_packages(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker_bundle: WorkerBundle) -> None:
        component = tmp_path / "edgewise.wasm"
        component.write_bytes(b"")
        monkeypatch.setattr(node, "WORKER", tmp_path)
        with pytest.raises(BuildError, match=r"the Node packages are not installed: run `make setup`, or `npm ci`"):
            bundling.bundle(component, load_config(), tmp_path / "out")

    def test_wrangler_explains(self, tmp_path: Path, worker_bundle: WorkerBundle) -> None:
        with pytest.raises(BuildError, match=r"^wrangler deploy: .*entry-point"):
            bundling.bundle_entry(tmp_path / "absent.ts", tmp_path / "out")
