"""A model that answers at once, to measure what stands before it: `python -m edgewise_build.mock_upstream`.

It speaks chat completions over HTTP/1.1, whole or as a stream of some chunks, and prints the port that it took.
"""

import asyncio
import json
import re

_TEXT = (
    "The sky is blue because air scatters short waves of light far more than long ones, so that they reach the eye"
    " from every side, while red goes straight on until the sun sets."
)
WORDS = tuple(re.findall(r" ?\S+", _TEXT))
CHUNKS = len(WORDS) + 3
"""The events of a stream before its end: the role, the words, the finish reason, the usage."""

_USAGE = {"prompt_tokens": 20, "completion_tokens": len(WORDS), "total_tokens": 20 + len(WORDS)}


def _whole() -> bytes:
    message = {"role": "assistant", "content": "".join(WORDS)}
    choice: dict[str, object] = {"index": 0, "message": message, "finish_reason": "stop"}
    answer: dict[str, object] = {"id": "a", "object": "chat.completion", "created": 1, "model": "mock"}
    body = json.dumps({**answer, "choices": [choice], "usage": _USAGE}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _stream() -> list[bytes]:
    """What is written one after the other, as models write token by token."""
    head: dict[str, object] = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "mock"}
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}, *({"content": word} for word in WORDS)]
    choices: list[list[object]] = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
    choices.append([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    events = [json.dumps({**head, "choices": one}) for one in choices]
    events += [json.dumps({**head, "choices": [], "usage": _USAGE}), "[DONE]"]
    chunks = [f"data: {event}\n\n".encode() for event in events]
    start = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return [start, *(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks), b"0\r\n\r\n"]


_ANSWERS = {False: [_whole()], True: _stream()}


class _Connection(asyncio.Protocol):
    """One connection: answers each request when its body is complete."""

    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            if b"transfer-encoding: chunked" in head:
                size = self._data.find(b"0\r\n\r\n", end + 4) + 5
                if size < end:
                    return
            else:
                _, _, length = head.partition(b"content-length:")
                size = end + 4 + int(length.split(b"\r\n")[0] or 0)
            if len(self._data) < size:
                return
            body, self._data = self._data[end + 4 : size], self._data[size:]
            for part in _ANSWERS[b'"stream":true' in body.replace(b" ", b"")]:
                self._transport.write(part)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
