"""The official clients read the proxy's answers, also where models fail under them."""

import asyncio
import subprocess
from collections.abc import Iterator

import openai
import pytest
from langchain_openai import ChatOpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from support.faults import ANSWER, PIECES, PROMPT_TOKENS, TOOL_ARGUMENTS, Case, Fault, Upstream
from support.proxy import proxy

SWITCHES = Case((Fault("cut", "middle"),))
FAILS = Case((Fault("status_500", "headers"),), always=True)
BREAKS = Case((Fault("malformed", "middle"),), always=True)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def url(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with proxy(upstream, tmp_path_factory.mktemp("proxy")) as server:
        yield f"{server.url}/v1"


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="unused", max_retries=0) as client:
        yield client


def prompt(mark: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": f"Describe a lighthouse keeper's morning. (mark:{mark})"}]


@pytest.mark.parametrize("case", [Case(), SWITCHES], ids=str)
def test_openai_reads_a_whole_answer(client: openai.OpenAI, upstream: Upstream, case: Case) -> None:
    answer = client.chat.completions.create(model="auto", messages=prompt(upstream.plan(case)))
    assert answer.choices[0].message.content == ANSWER
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (PROMPT_TOKENS, len(PIECES))


@pytest.mark.parametrize("case", [Case(), SWITCHES], ids=str)
def test_openai_reads_a_stream(client: openai.OpenAI, upstream: Upstream, case: Case) -> None:
    stream = client.chat.completions.create(model="auto", messages=prompt(upstream.plan(case)), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == ANSWER


def test_openai_accumulates_a_stream_of_several_models(client: openai.OpenAI, upstream: Upstream) -> None:
    mark = upstream.plan(SWITCHES)
    with client.chat.completions.stream(
        model="auto", messages=prompt(mark), stream_options={"include_usage": True}
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == ANSWER
    assert final.usage is not None
    assert len(upstream.calls(mark)) == 2


def test_openai_reads_streams_side_by_side(url: str, upstream: Upstream) -> None:
    async def ask(client: openai.AsyncOpenAI) -> str:
        messages = prompt(upstream.plan(SWITCHES))
        stream = await client.chat.completions.create(model="auto", messages=messages, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def ask_all() -> list[str]:
        async with openai.AsyncOpenAI(base_url=url, api_key="unused", max_retries=0) as client:
            return await asyncio.gather(*(ask(client) for _ in range(8)))

    assert asyncio.run(ask_all()) == [ANSWER] * 8


def test_openai_reads_tool_calls(client: openai.OpenAI, upstream: Upstream) -> None:
    class weather(BaseModel):  # noqa: N801 - the tool's name
        city: str
        day: str

    mark = upstream.plan(Case((Fault("cut", "middle"),), tools=True))
    tools = [openai.pydantic_function_tool(weather)]
    with client.chat.completions.stream(model="auto", messages=prompt(mark), tools=tools) as stream:
        (call,) = stream.get_final_completion().choices[0].message.tool_calls or []
    assert call.function.arguments == "".join(TOOL_ARGUMENTS)
    assert call.function.parsed_arguments == weather(city="Oslo", day="today")


def test_openai_raises_one_error_before_and_inside_a_stream(client: openai.OpenAI, upstream: Upstream) -> None:
    with pytest.raises(openai.InternalServerError, match="every model's server failed"):
        client.chat.completions.create(model="auto", messages=prompt(upstream.plan(FAILS)), stream=True)
    stream = client.chat.completions.create(model="auto", messages=prompt(upstream.plan(BREAKS)), stream=True)
    with pytest.raises(openai.APIError, match="malformed"):
        list(stream)
    with pytest.raises(openai.NotFoundError, match="there is no model"):
        client.chat.completions.create(model="nobody", messages=prompt(""))


def test_openai_lists_the_models(client: openai.OpenAI) -> None:
    assert {"auto", "auto:cost", "alpha"} <= {model.id for model in client.models.list()}


def test_langchain_reads_answers_and_streams(url: str, upstream: Upstream) -> None:
    chat = ChatOpenAI(model="auto", base_url=url, api_key="unused", max_retries=0, stream_usage=True)  # type: ignore[arg-type]
    text = f"Describe a lighthouse keeper's morning. (mark:{upstream.plan(SWITCHES)})"
    assert chat.invoke(text).content == ANSWER
    text = f"Describe a lighthouse keeper's morning. (mark:{upstream.plan(SWITCHES)})"
    chunks = list(chat.stream(text))
    assert "".join(str(chunk.content) for chunk in chunks) == ANSWER
    assert sum(chunk.usage_metadata["total_tokens"] for chunk in chunks if chunk.usage_metadata) > 0


def test_curl_reads_a_stream(url: str, upstream: Upstream) -> None:
    body = f'{{"messages": [{{"role": "user", "content": "Hello (mark:{upstream.plan(SWITCHES)})"}}], "stream": true}}'
    command = ["curl", "-sSN", "--fail", f"{url}/chat/completions", "-d", body]
    output = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert output.endswith("data: [DONE]\n\n")
    assert output.count('"finish_reason":"stop"') == 1
