"""`edgewise serve`: decisions over HTTP, one JSON error for everything else, reloads, and a graceful end."""

import asyncio
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from edgewise import Config, Request, Router, load_config
from edgewise.cli import main
from edgewise.deploy import fly_settings
from edgewise.router import no_feasible_model
from edgewise.server import MAX_BODY_BYTES, LiveRouter, create_app, live, run
from edgewise.server.asking import AUTO_MODELS
from edgewise.server.body import read_body
from edgewise.server.errors import HttpError
from support.prompts import TRAFFIC
from support.serving import EDGEWISE, Server

CONFIGS = Path(__file__).parents[2] / "examples" / "configs"
MARKER = "zanzibar-heliotrope"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server.start("--log-level", "debug") as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def router() -> Router:
    return Router()


def ask_app(live: LiveRouter, ask: Callable[[httpx.AsyncClient], Any], **settings: int) -> httpx.Response:
    """The answer of an application in this process."""

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(live, **settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            response = await ask(client)
            assert isinstance(response, httpx.Response)
            return response

    return asyncio.run(run())


def test_answers_as_the_command_line_does(client: httpx.Client, router: Router) -> None:
    for line in TRAFFIC.read_text(encoding="utf-8").strip("\n").split("\n")[::10]:
        request = Request.parse(json.loads(line))
        decision = router.engine.decide(request)
        response = client.post("/v1/route", content=line)
        if decision.status == "no_feasible_model":
            expected, error = no_feasible_model(decision), response.json()["error"]
            assert (response.status_code, error["message"]) == (422, str(expected))
            assert [(one["model"], one["text"]) for one in error["dropped"]] == expected.dropped
        else:
            assert response.status_code == 200, response.text
            assert response.json() == router.to_json(request, decision)


def test_no_feasible_model_says_why(client: httpx.Client) -> None:
    response = client.post("/v1/route", json={"text": "hello", "budget_usd": 1e-12})
    error = response.json()["error"]
    assert response.status_code == 422
    assert (error["type"], error["param"]) == ("no_feasible_model", None)
    assert {one["model"] for one in error["dropped"]} == set(load_config().models)
    assert any("more than the budget" in one["text"] for one in error["dropped"])
    assert all(one["text"] in error["message"] for one in error["dropped"])


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        (b"", None, "line 1 column 1"),
        (b'{"text": "hi"', None, "line 1 column 14"),
        (b'{"text":\n "hi",}', None, "line 2"),
        (b'{"text": "\xff"}', None, "UTF-8"),
        (b'{"text": "hi", "budget_usd": NaN}', None, "NaN"),
        (b'{"text": "hi", "max_tokens": ' + b"9" * 5000 + b"}", None, "not JSON"),
        (b"[" * 200_000, None, "nested too deeply"),
        (b'"hi"', None, "JSON object"),
        (b"{}", "messages", "missing"),
        (b'{"messages": []}', "messages", "empty"),
        (b'{"messages": [{"role": "wizard", "content": "hi"}]}', "messages[0].role", "wizard|user"),
        (b'{"text": "hi", "budget_usd": -1}', "budget_usd", "greater than or equal to 0"),
        (b'{"text": "hi", "bugdet_usd": 1}', "bugdet_usd", "unknown"),
        (b'{"text": "a\\ud800b"}', "messages[0].content", "surrogate"),
        (b'{"text": "a\\u0000b"}', "messages[0].content", "NUL"),
    ],
)
def test_bad_requests_name_what_is_wrong(client: httpx.Client, body: bytes, param: str | None, words: str) -> None:
    response = client.post("/v1/route", content=body)
    error = response.json()["error"]
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json"
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert any(word in error["message"] for word in words.split("|")), error["message"]


def test_a_byte_order_mark_is_not_part_of_the_json(client: httpx.Client) -> None:
    assert client.post("/v1/route", content=b'\xef\xbb\xbf{"text": "hi"}').status_code == 200


def test_unknown_paths_and_methods(client: httpx.Client) -> None:
    missing = client.get("/v1/nothing")
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")
    assert "/v1/nothing" in missing.json()["error"]["message"]
    wrong = client.get("/v1/route")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert wrong.json()["error"]["message"] == "/v1/route takes POST, not GET"
    assert client.post("/v1/route/", json={"text": "hi"}).status_code == 404


def test_health_and_models(client: httpx.Client) -> None:
    health = client.get("/healthz").json()
    assert (health["status"], health["edgewise"]["engine"]) == ("ok", "wasmtime")
    assert client.head("/healthz").status_code == 200
    models = client.get("/v1/models").json()
    config = load_config()
    assert models["object"] == "list"
    owners = {one["id"]: one["owned_by"] for one in models["data"]}
    assert owners == dict.fromkeys(AUTO_MODELS, "edgewise") | {
        name: model.provider for name, model in config.models.items()
    }
    assert all(one["object"] == "model" and isinstance(one["created"], int) for one in models["data"])


def test_a_body_up_to_the_limit_is_read_and_one_over_it_is_refused(client: httpx.Client) -> None:
    text = "read this. " * 20_000
    largest = json.dumps({"text": text}).encode().ljust(MAX_BODY_BYTES)
    assert len(largest) == MAX_BODY_BYTES
    read = client.post("/v1/route", content=largest)
    assert read.status_code == 200
    assert read.json()["truncated"] is True
    refused = client.post("/v1/route", content=largest + b" ")
    assert (refused.status_code, refused.json()["error"]["type"]) == (413, "request_too_large_error")
    assert "16 MiB" in refused.json()["error"]["message"]
    assert client.get("/healthz").status_code == 200


def test_the_limit_holds_without_a_declared_length(router: Router) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 1_000_000:
            sent += 100
            yield b"a" * 100

    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/v1/route", content=endless())

    response = ask_app(LiveRouter(), ask, max_body_bytes=1000)
    assert response.status_code == 413
    assert sent < 10_000


def test_a_client_that_never_ends_its_body_is_answered_and_cut_off(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /v1/route HTTP/1.1\r\nhost: {host}\r\ncontent-length: {2**40}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        sock.sendall(head.encode())
        piece, sent = b"a" * 2**20, 0
        try:
            while sent < 10 * MAX_BODY_BYTES:
                sock.sendall(piece)
                sent += len(piece)
        except OSError:
            pass
    assert sent < 10 * MAX_BODY_BYTES


def test_a_body_that_comes_too_slowly() -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError

    from starlette.requests import Request as HttpRequest

    request = HttpRequest({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)
    with pytest.raises(HttpError, match=r"within 0\.01 s") as caught:
        asyncio.run(read_body(request, 100, seconds=0.01))
    assert caught.value.status == 408
    assert caught.value.response().headers["connection"] == "close"


def test_headers_are_bounded(client: httpx.Client) -> None:
    assert client.get("/healthz", headers={"x-long": "a" * 1_000_000}).status_code == 400
    assert client.get("/healthz").status_code == 200


def test_an_answer_does_not_wait_for_the_network_to_acknowledge_its_head(client: httpx.Client) -> None:
    times = [client.post("/v1/route", json={"text": "hi"}).elapsed.total_seconds() for _ in range(30)]
    assert min(times) < 0.02


def test_nothing_of_a_prompt_is_logged(server: Server, client: httpx.Client) -> None:
    client.post("/v1/route", json={"text": MARKER, "id": MARKER, "tenant": MARKER})
    client.post("/v1/route", params={"q": MARKER}, headers={"x-prompt": MARKER}, json={"text": MARKER})
    client.post("/v1/route", content=f'{{"text": "{MARKER}"')
    client.post("/v1/route", json={"text": MARKER, MARKER: 1})
    client.post("/v1/route", json={"text": MARKER, "budget_usd": 1e-12})
    client.post("/v1/route", json={"messages": [{"role": MARKER, "content": MARKER}]})
    server.wait_for("POST /v1/route 422")
    assert server.wait_for("POST /v1/route 200")
    assert MARKER not in server.log
    assert "Traceback" not in server.log


def test_a_failure_that_nobody_foresaw_is_logged_by_place_without_its_text(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LiveRouter()

    def fail(_: object) -> None:
        raise RuntimeError(f"cannot read {MARKER}")

    monkeypatch.setattr(live.router, "decide", fail)

    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/v1/route", json={"text": MARKER})

    with caplog.at_level(logging.DEBUG):
        response = ask_app(live, ask)
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert MARKER not in response.text
    assert "RuntimeError" in caplog.text
    assert "in fail" in caplog.text
    assert MARKER not in caplog.text


def test_requests_in_parallel_each_get_their_own_answer(client: httpx.Client) -> None:
    def ask(number: int) -> str:
        response = client.post("/v1/route", json={"text": f"What is {number} plus {number}?", "id": str(number)})
        assert response.status_code == 200
        return str(response.json()["id"])

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(300))) == [str(number) for number in range(300)]


def config_of(*names: str) -> str:
    """A router.toml with models that differ in name only."""
    return "\n".join(
        f'[models.{name}]\nprovider = "p"\nprice_in = 1\nprice_out = 2\ncontext = 8000\nttft_ms = 100\nquality = 0.5\n'
        for name in names
    )


def test_sighup_swaps_the_configuration_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "router.toml"
    file.write_text(config_of("first"), encoding="utf-8")
    with Server.start("--config", str(file)) as server, httpx.Client(base_url=server.url) as client:

        def models() -> list[str]:
            return [one["id"] for one in client.get("/v1/models").json()["data"] if one["owned_by"] != "edgewise"]

        assert models() == ["first"]
        file.write_text(config_of("second", "third"), encoding="utf-8")
        assert models() == ["first"]
        server.send(signal.SIGHUP)
        server.wait_for("reloaded: 2 models")
        assert models() == ["second", "third"]
        assert client.post("/v1/route", json={"text": "hi"}).json()["model"] in ("second", "third")

        file.write_text(config_of("fourth").replace("context = 8000\n", ""), encoding="utf-8")
        server.send(signal.SIGHUP)
        assert "router.toml" in server.wait_for("the old configuration stays")
        assert "models.fourth.context" in server.log
        assert models() == ["second", "third"]

        file.unlink()
        server.send(signal.SIGHUP)
        server.wait_for("the old configuration stays", count=2)
        assert models() == ["second", "third"]

        file.write_text(config_of("fifth"), encoding="utf-8")
        server.send(signal.SIGHUP)
        server.wait_for("reloaded: 1 model of")
        assert models() == ["fifth"]


def test_requests_are_answered_while_the_configuration_is_reloaded(tmp_path: Path) -> None:
    file = tmp_path / "router.toml"
    file.write_text(config_of("even"), encoding="utf-8")
    stop = threading.Event()
    with Server.start("--config", str(file), "--log-level", "info") as server:

        def ask() -> list[str]:
            answers = []
            with httpx.Client(base_url=server.url, timeout=30) as client:
                while not stop.is_set():
                    response = client.post("/v1/route", json={"text": "hi"})
                    assert response.status_code == 200, response.text
                    answers.append(response.json()["model"])
            return answers

        with ThreadPoolExecutor(4) as pool:
            askers = [pool.submit(ask) for _ in range(4)]
            try:
                for count in range(1, 11):
                    file.write_text(config_of("odd" if count % 2 else "even"), encoding="utf-8")
                    server.send(signal.SIGHUP)
                    server.wait_for("reloaded:", count=count)
            finally:
                stop.set()
            answers = [answer for asker in askers for answer in asker.result()]
    assert set(answers) == {"odd", "even"}
    assert len(answers) > 20


def test_reloads_that_wait_share_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    holder = LiveRouter()

    def make(*_: object) -> Router:
        made.append(1)
        return holder.router

    monkeypatch.setattr(live, "_make_router", make)

    async def reload() -> None:
        await asyncio.gather(*(holder.reload() for _ in range(10)))

    asyncio.run(reload())
    assert 1 <= len(made) <= 2


def test_a_request_keeps_the_router_that_it_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """A swap between taking the router and naming it must not mix two of them."""
    holder = LiveRouter()
    before = holder.router
    other = Router(Config.model_validate(load_config().model_dump()))
    decide = before.decide

    def swap(request: Request) -> Any:
        holder.router = other
        monkeypatch.setattr(other.engine, "runtime", "another")
        return decide(request)

    monkeypatch.setattr(before, "decide", swap)

    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/v1/route", json={"text": "hi"})

    assert ask_app(holder, ask).json()["edgewise"]["engine"] == "wasmtime"


def stops_listening(server: Server) -> bool:
    """Whether new connections are refused, before long."""
    for _ in range(100):
        try:
            httpx.get(f"{server.url}/healthz")
        except httpx.HTTPError:
            return True
        time.sleep(0.05)
    return False


def test_sigterm_lets_a_request_end(tmp_path: Path) -> None:
    body = json.dumps({"text": "hello"}).encode()
    with Server.start() as server:
        host, port = server.url.removeprefix("http://").split(":")
        head = f"POST /v1/route HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=30) as sock:
            sock.sendall(head.encode() + body[:5])
            httpx.get(f"{server.url}/healthz")  # by now the first request is being read
            server.send(signal.SIGTERM)
            assert stops_listening(server)
            time.sleep(1)  # longer than a server that does not wait takes to end
            sock.sendall(body[5:])
            answer = b""
            while piece := sock.recv(65536):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"model"' in answer
        assert server.wait() == 0
        server.wait_for("stopped")


def test_a_port_in_use_is_one_line_and_status_2(server: Server) -> None:
    port = server.url.rpartition(":")[2]
    result = subprocess.run([*EDGEWISE, "serve", "--port", port], capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}: address already in use" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_bad_configuration_does_not_start(tmp_path: Path) -> None:
    file = tmp_path / "router.toml"
    file.write_text("[models.a]\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["serve", "--port", "0", "--config", str(file)])
    assert result.exit_code == 2
    assert "router.toml:1: models.a.provider: missing" in result.output


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("edgewise.server", "starlette"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("edgewise.server", raising=False)
    monkeypatch.setitem(sys.modules, "starlette", None)
    result = CliRunner().invoke(main, ["serve", "--port", "0"])
    assert result.exit_code == 2
    assert "pip install 'edgewise[serve]'" in result.output


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.toml")), ids=lambda file: file.stem)
def test_every_example_serves(file: Path) -> None:
    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get("/v1/models", headers={"authorization": "Bearer secret"})

    assert ask_app(LiveRouter(file), ask).json()["data"]


def test_the_platform_waits_longer_than_the_server() -> None:
    assert fly_settings.SHUTDOWN_SECONDS == run.SHUTDOWN_SECONDS
