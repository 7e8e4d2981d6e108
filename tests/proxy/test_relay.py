"""The Responses API and the Messages API: passed on, with another model as long as no text was read."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from support.serving import EDGEWISE, Server

TEXT = ["The sky ", "is blue ", "because air ", "scatters light."]
SEEN: list[dict[str, Any]] = []


def responses_events(broken_at: int | None) -> Iterator[dict[str, Any]]:
    response = {"id": "r1", "object": "response", "created_at": 1, "model": "up", "status": "in_progress",
                "output": [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}  # fmt: skip
    yield {"type": "response.created", "sequence_number": 0, "response": response}
    for number, word in enumerate(TEXT):
        if number == broken_at:
            return
        yield {"type": "response.output_text.delta", "sequence_number": number + 1, "item_id": "m", "output_index": 0,
               "content_index": 0, "delta": word, "logprobs": []}  # fmt: skip
    yield {"type": "response.completed", "sequence_number": 9, "response": whole_response()}


def whole_response() -> dict[str, Any]:
    part = {"type": "output_text", "text": "".join(TEXT), "annotations": []}
    message = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    usage = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13,
             "input_tokens_details": {"cached_tokens": 0},
             "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip
    return {"id": "r1", "object": "response", "created_at": 1, "model": "up", "status": "completed", "error": None,
            "output": [message], "usage": usage, "parallel_tool_calls": True, "tool_choice": "auto",
            "tools": []}  # fmt: skip


def messages_events(broken_at: int | None) -> Iterator[dict[str, Any]]:
    message = {"id": "m1", "type": "message", "role": "assistant", "content": [], "usage": {"input_tokens": 9}}
    yield {"type": "message_start", "message": message}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for number, word in enumerate(TEXT):
        if number == broken_at:
            return
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}
    yield {"type": "message_stop"}


def whole_message() -> dict[str, Any]:
    content = [{"type": "text", "text": "".join(TEXT)}]
    usage = {"input_tokens": 9, "output_tokens": 4}
    return {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": "end_turn",
        "usage": usage,
    }


class Handler(BaseHTTPRequestHandler):
    """The first call of a request fails as its metadata says."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        model = self.path.split("/")[1]
        SEEN.append({"model": model, "headers": dict(self.headers), "body": body})
        fault = body.get("metadata", {}).get("fault", "") if len(SEEN) == 1 else ""
        if fault == "500":
            self.send_error(500)
            return
        self.send_response(200)
        api = "messages" if self.path.endswith("/messages") else "responses"
        if not body.get("stream"):
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(whole_message() if api == "messages" else whole_response()).encode())
            return
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        events = messages_events if api == "messages" else responses_events
        for event in events({"first": 0, "middle": 3}.get(fault)):
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    def log_message(self, *_: object) -> None:
        pass


CONFIG = """
[monitor]
default = "off"
domains = {}
"""
MODEL = """
[models.NAME]
provider = "NAME"
price_in = PRICE
price_out = PRICE
context = 32000
ttft_ms = 50
quality = 0.9
[models.NAME.endpoint]
base_url = "URL/NAME/v1"
api = APIS
model = "NAME-upstream"
api_key_env = "RELAY_KEY"
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=upstream.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{upstream.server_port}"
    text = CONFIG
    for name, price, apis in (("chatty", 1, '["chat"]'), ("small", 2, None), ("large", 3, None)):
        both = apis or '["responses", "messages"]'
        text += MODEL.replace("NAME", name).replace("PRICE", str(price)).replace("APIS", both).replace("URL", url)
    file: Path = tmp_path_factory.mktemp("relay") / "router.toml"
    file.write_text(text, encoding="utf-8")
    command = [*EDGEWISE, "serve", "--port", "0", "--config", str(file)]
    with Server(command, env={"RELAY_KEY": "k1"}) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        yield client
        assert "Traceback" not in server.log
    upstream.shutdown()
    upstream.server_close()


def ask(client: httpx.Client, api: str, fault: str = "", **fields: Any) -> httpx.Response:
    SEEN.clear()
    turns = [{"role": "user", "content": "Why is the sky blue?"}]
    own = {"input": turns} if api == "responses" else {"messages": turns, "max_tokens": 100}
    body = {"model": "auto", **own, "metadata": {"fault": fault}, "edgewise": {"tier": "pro"}, **fields}
    return client.post(f"/v1/{api}", json=body, headers={"anthropic-version": "2023-01-01", "cookie": "a=b"})


def events_of(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in response.text.split("\n") if line.startswith("data: ")]


@pytest.mark.parametrize("api", ["responses", "messages"])
@pytest.mark.parametrize("fault", ["", "500"])
def test_a_whole_answer_is_passed_on(client: httpx.Client, api: str, fault: str) -> None:
    response = ask(client, api, fault)
    assert response.json() == (whole_message() if api == "messages" else whole_response())
    assert len(SEEN) == (2 if fault else 1)
    assert response.headers["x-edgewise-model"] == SEEN[-1]["model"]


@pytest.mark.parametrize("api", ["responses", "messages"])
@pytest.mark.parametrize("fault", ["", "500", "first"])
def test_a_stream_is_passed_on_and_another_model_takes_over_before_its_text(
    client: httpx.Client, api: str, fault: str
) -> None:
    expected = messages_events(None) if api == "messages" else responses_events(None)
    assert events_of(ask(client, api, fault, stream=True)) == list(expected)
    assert len(SEEN) == (2 if fault else 1)


@pytest.mark.parametrize("api", ["responses", "messages"])
def test_a_stream_that_breaks_off_ends_with_one_error(client: httpx.Client, api: str) -> None:
    events = events_of(ask(client, api, "middle", stream=True))
    assert [event["type"] for event in events].count("error") == 1
    assert events[-1]["type"] == "error"
    assert len(SEEN) == 1


def test_the_upstream_sees_the_clients_body_the_endpoints_key_and_headers_of_the_api(client: httpx.Client) -> None:
    ask(client, "messages", system="Be brief.")
    (call,) = SEEN
    assert call["body"]["system"] == "Be brief."
    assert call["body"]["model"] == f"{call['model']}-upstream"
    assert "edgewise" not in call["body"]
    names = {name.lower(): value for name, value in call["headers"].items()}
    assert (names["x-api-key"], names["anthropic-version"]) == ("k1", "2023-01-01")
    assert "cookie" not in names


def test_the_official_client_reads_responses(client: httpx.Client) -> None:
    with openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="unused", max_retries=0) as official:
        answer = official.responses.create(model="auto", input="Why is the sky blue?")
        assert answer.output_text == "".join(TEXT)
        stream = official.responses.create(model="auto", input="Why is the sky blue?", stream=True)
        assert "".join(event.delta for event in stream if event.type == "response.output_text.delta") == "".join(TEXT)


def test_where_no_model_speaks_the_api_nobody_answers(client: httpx.Client) -> None:
    response = ask(client, "messages", model="chatty")
    assert (response.status_code, response.json()["type"]) == (502, "error")
    assert "in the proxy's configuration" in response.json()["error"]["message"]
    assert SEEN == []


@pytest.mark.parametrize(("api", "body"), [("responses", {"input": 1}), ("messages", {"messages": None})])
def test_bad_requests_name_the_field(client: httpx.Client, api: str, body: dict[str, Any]) -> None:
    response = ask(client, api, **body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] in body
