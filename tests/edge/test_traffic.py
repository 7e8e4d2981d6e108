"""Traffic files."""

import pytest

from edgewise.errors import RequestError
from edgewise.traffic import parse_request, read_traffic

GOOD = b'{"text": "hello"}'


def errors_of(tmp_path, data: bytes) -> str:
    file = tmp_path / "traffic.jsonl"
    file.write_bytes(data)
    with pytest.raises(RequestError) as error:
        list(read_traffic(file))
    return str(error.value).removeprefix(f"{tmp_path}/")


def test_requests_come_in_order_and_blank_lines_are_skipped(tmp_path):
    file = tmp_path / "traffic.jsonl"
    file.write_bytes(b'{"id": "1", "text": "a"}\r\n\n  \n{"id": "2", "text": "b\xe2\x80\xa8c"}')
    assert [(request.id, request.messages[0].content) for request in read_traffic(file)] == [
        ("1", "a"),
        ("2", "b\u2028c"),
    ]


def test_a_file_is_read_lazily(tmp_path):
    file = tmp_path / "traffic.jsonl"
    file.write_bytes(GOOD + b"\nnot json")
    requests = read_traffic(file)
    assert next(requests).messages[0].content == "hello"
    with pytest.raises(RequestError):
        next(requests)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "traffic.jsonl:3: not JSON: Expecting property name enclosed in double quotes at column "),
        (b'{"text": "a"} x', "traffic.jsonl:3: not JSON: Extra data at column 15"),
        (b'{"text": "a\xff"}', "traffic.jsonl:3: messages[0].content: character 1 is a lone surrogate"),
        (b"\xff\xfe", "traffic.jsonl:3: not JSON"),
        (b"[" * 100_000, "traffic.jsonl:3: not a request: nested too deeply"),
        (b'{"max_tokens": ' + b"9" * 5000 + b"}", "traffic.jsonl:3: not JSON: Exceeds the limit"),
        (b'{"messages": []}', "traffic.jsonl:3: messages: empty"),
        (b'{"text": "a", "budget_usd": -1}', "traffic.jsonl:3: budget_usd: "),
        (b"[]", "traffic.jsonl:3: write a request as a JSON object"),
        (b'"\\ud800"', "traffic.jsonl:3: write a request as a JSON object"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    assert errors_of(tmp_path, GOOD + b"\n\n" + line + b"\n" + GOOD).startswith(message)


def test_a_request_over_several_lines_names_the_line():
    with pytest.raises(RequestError, match=r"^r\.json:3: not JSON: Expecting ',' delimiter at column 1"):
        parse_request('{"text": "a"\n\n"region": "b"}', "r.json")
