"""The official clients for Node, `openai` and the Vercel AI SDK, read what both proxies answer while models fail."""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edgewise.config import parse_config
from edgewise_build.checkout import WORKER
from edgewise_build.node import require_node
from edgewise_build.worker import WorkerBundle, reconfigured
from edgewise_build.workerd import Workerd
from support.faults import ANSWER, API_KEY, API_KEY_ENV, PIECES, PROMPT_TOKENS, Case, Fault, Upstream, router_toml
from support.proxy import proxy

SWITCHES = Case((Fault("cut", "middle"),))
TOOLS = Case((Fault("cut", "middle"),), tools=True)
FAILS = Case((Fault("status_500", "headers"),), always=True)
BREAKS = Case((Fault("malformed", "middle"),), always=True)

Answers = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module", params=["worker", "python"])
def url(
    request: pytest.FixtureRequest,
    worker_bundle: WorkerBundle,
    upstream: Upstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "python":
        with proxy(upstream, folder) as server:
            yield f"{server.url}/v1"
        return
    bundle = reconfigured(worker_bundle, parse_config(router_toml(upstream.url), "router.toml"), folder)
    with Workerd(bundle, {API_KEY_ENV: API_KEY}) as worker:
        yield f"http://127.0.0.1:{worker.port}/v1"


@pytest.fixture
def answers(url: str, upstream: Upstream) -> Answers:
    """What the clients read: for each job of client, kind and case."""

    def ask(*jobs: tuple[str, str, Case]) -> list[dict[str, Any]]:
        asked = [
            {"client": client, "what": what, "prompt": f"Describe a keeper's morning. (mark:{upstream.plan(case)})"}
            for client, what, case in jobs
        ]
        line = [require_node(), str(WORKER / "test" / "clients.mjs"), url]
        run = subprocess.run(line, input=json.dumps(asked), capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr
        found: list[dict[str, Any]] = json.loads(run.stdout)
        return found

    return ask


def test_answers_and_streams(answers: Answers) -> None:
    jobs = [
        (client, what, case)
        for client in ("openai", "ai")
        for what in ("whole", "stream")
        for case in (Case(), SWITCHES)
    ]
    for job, answer in zip(jobs, answers(*jobs), strict=True):
        assert (answer.get("text"), answer.get("finish")) == (ANSWER, "stop"), (job, answer)
        if job[2] == Case() or job[1] == "whole":
            assert answer["total"] == PROMPT_TOKENS + len(PIECES), job


def test_tool_calls(answers: Answers) -> None:
    for answer in answers(("openai", "tools", TOOLS), ("ai", "tools", TOOLS)):
        assert (answer.get("tool"), answer.get("input")) == ("weather", {"city": "Oslo", "day": "today"}), answer
        assert answer["finish"].replace("-", "_") == "tool_calls"


def test_one_error_before_a_stream_and_inside_it(answers: Answers) -> None:
    jobs = [(client, what, FAILS) for client in ("openai", "ai") for what in ("whole", "stream")]
    for job, answer in zip(jobs, answers(*jobs), strict=True):
        assert (answer.get("status"), "every model's server failed" in answer.get("error", "")) == (502, True), (
            job,
            answer,
        )
    for answer in answers(("openai", "stream", BREAKS), ("ai", "stream", BREAKS)):
        assert "malformed" in answer.get("error", ""), answer


def test_models(answers: Answers) -> None:
    (answer,) = answers(("openai", "models", Case()))
    assert {"auto", "auto:cost", "alpha"} <= set(answer["models"])
