"""What a gateway adds to a call: `make bench-proxy`, which writes docs/proxy-benchmarks.md.

Each gateway stands before the same mock upstream, which answers at once, and is asked by the same client on the same
machine, in turns, so that a busy moment hits all of them. The other gateways are installed into `build/peers/gateways`:
LiteLLM into a virtual environment, Portkey's gateway by npm.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from edgewise.bench import commit, load, machine
from edgewise.markdown import table
from edgewise.percentiles import median_interval, percentile
from edgewise_build.checkout import ROOT
from edgewise_build.errors import BuildError
from edgewise_build.node import require_node

FOLDER = ROOT / "build" / "peers" / "gateways"
PAGE = ROOT / "docs" / "proxy-benchmarks.md"
LITELLM = "litellm[proxy]==1.106.*"

_ROUNDS = 5
_CONNECTIONS = 32
_START_SECONDS = 120
_PROMPT = (
    "Summarize the following note for a colleague in two sentences. We met on Tuesday to talk about the move of the"
    " archive. The lift is too small for the shelves, so they go through the window on the second floor, and somebody"
    " has to ask the city for a permit to close the street."
)


@dataclass
class Gateway:
    """One way to the upstream: where it listens, what it wants to hear, and what was measured of it."""

    name: str
    url: str
    model: str = "mock"
    headers: Mapping[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    whole_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)

    def request(self, streams: bool) -> bytes:
        """One request, as bytes on the wire."""
        messages = [{"role": "user", "content": _PROMPT}]
        body = json.dumps({"model": self.model, "messages": messages, **({"stream": True} if streams else {})}).encode()
        host, path = self.url.removeprefix("http://").split("/", 1)
        lines = [f"POST /{path}/chat/completions HTTP/1.1", f"host: {host}", "content-type: application/json"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body

    @property
    def memory_mb(self) -> float:
        """The resident memory of its processes."""
        return sum(_memory_of(pid) for pid in _family(self.process.pid)) / 2**20 if self.process else 0.0


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def _memory_of(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class _Client:
    """One connection that is kept: sends a request, reads its answer."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        host, port = gateway.url.removeprefix("http://").split("/")[0].split(":")
        self._place = host, int(port)

    async def __aenter__(self) -> "_Client":
        self._reader, self._writer = await asyncio.open_connection(*self._place, limit=2**20)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def ask(self, streams: bool) -> tuple[float, float]:
        """Milliseconds until the first text and until the end. Raises BuildError for anything but an answer."""
        started = time.perf_counter()
        self._writer.write(self._gateway.request(streams))
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise BuildError(f"{self._gateway.name} answered {head.splitlines()[0].decode()}")
        if b"content-length:" in head:
            await self._reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
            first = time.perf_counter()
        else:
            first = await self._read_chunks()
        return (first - started) * 1000, (time.perf_counter() - started) * 1000

    async def _read_chunks(self) -> float:
        first = 0.0
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            piece = await self._reader.readexactly(size + 2)
            if not first and b'"content"' in piece:
                first = time.perf_counter()
        await self._reader.readexactly(2)
        return first


async def _measure(gateway: Gateway, n: int, seconds: float) -> None:
    """One round."""
    async with _Client(gateway) as client:
        for streams in (False, True):
            for _ in range(max(3, n // 10)):
                await client.ask(streams)
        gateway.whole_ms += [(await client.ask(False))[1] for _ in range(n)]
        gateway.first_ms += [(await client.ask(True))[0] for _ in range(n)]
    answered, end = 0, time.perf_counter() + seconds

    async def work() -> None:
        nonlocal answered
        async with _Client(gateway) as client:
            while time.perf_counter() < end:
                await client.ask(False)
                answered += 1

    await asyncio.gather(*(work() for _ in range(_CONNECTIONS)))
    gateway.per_second.append(answered / seconds)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def _running(
    name: str, command: Sequence[str], port: int, env: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process, once it listens. Raises BuildError where it does not."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **env}, cwd=FOLDER)
        try:
            for _ in range(_START_SECONDS * 10):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if process.poll() is not None:
                    break
                time.sleep(0.1)
            else:
                process.kill()
            if process.poll() is not None:
                log.seek(0)
                raise BuildError(f"{name} does not start: {log.read()[-400:].decode(errors='replace')}")
            yield process
        finally:
            process.terminate()
            process.wait(30)


@contextlib.contextmanager
def _upstream() -> Iterator[str]:
    command = [sys.executable, "-m", "edgewise_build.mock_upstream"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.terminate()


_ROUTER = """
[models.{name}]
provider = "{name}"
price_in = {price}
price_out = {price}
context = 32000
ttft_ms = 50
quality = {quality}
[models.{name}.endpoint]
base_url = "{url}"
"""


@contextlib.contextmanager
def _edgewise(upstream: str, folder: Path) -> Iterator[Gateway]:
    """The proxy with two models, so that there is something to decide."""
    models = (("small", 1, 0.8), ("large", 10, 0.9))
    text = "".join(_ROUTER.format(name=name, price=price, quality=q, url=upstream) for name, price, q in models)
    (folder / "router.toml").write_text(text, encoding="utf-8")
    port = _free_port()
    command = [sys.executable, "-c", "from edgewise.cli import main; main()", "serve", "--port", str(port)]
    command += ["--config", str(folder / "router.toml"), "--log-level", "warning"]
    with _running("edgewise", command, port, {}) as process:
        yield Gateway("edgewise, Python proxy", f"http://127.0.0.1:{port}/v1", "auto", process=process)


@contextlib.contextmanager
def _litellm(upstream: str, folder: Path) -> Iterator[Gateway]:
    program = FOLDER / ".venv" / "bin" / "litellm"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", FOLDER / ".venv"], check=True)
        subprocess.run([FOLDER / ".venv" / "bin" / "pip", "install", "--quiet", LITELLM], check=True)
    parameters = {"model": "openai/mock", "api_base": upstream, "api_key": "none"}
    settings = {"model_list": [{"model_name": "mock", "litellm_params": parameters}]}
    (folder / "litellm.yaml").write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML, too
    port = _free_port()
    command = [str(program), "--config", str(folder / "litellm.yaml"), "--port", str(port), "--num_workers", "1"]
    env = {"LITELLM_LOG": "ERROR", "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    with _running("LiteLLM", command, port, env) as process:
        yield Gateway("LiteLLM proxy, one worker", f"http://127.0.0.1:{port}/v1", process=process)


@contextlib.contextmanager
def _portkey(upstream: str, _: Path) -> Iterator[Gateway]:
    require_node()
    program = FOLDER / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not program.exists():
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=FOLDER, check=True)
    port = _free_port()
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": upstream, "authorization": "Bearer none"}
    with _running("Portkey", ["node", str(program), f"--port={port}", "--headless"], port, {}) as process:
        yield Gateway("Portkey gateway 1.15.2", f"http://127.0.0.1:{port}/v1", headers=headers, process=process)


_GATEWAYS = (_edgewise, _litellm, _portkey)


def report(gateways: Sequence[Gateway], before: float) -> str:
    """The page. The first gateway is the upstream itself."""
    direct = gateways[0]
    base_whole, base_first = (percentile(values, 0.5) for values in (direct.whole_ms, direct.first_ms))
    rows = [[f"{direct.name} ({base_whole:.2f} ms)", "0", "", f"{percentile(direct.whole_ms, 0.99):.1f}", "0"]]
    rows[0] += [f"{percentile(direct.per_second, 0.5):,.0f}", ""]
    for one in gateways[1:]:
        low, high = median_interval(one.whole_ms)
        rows.append([
            one.name,
            f"{percentile(one.whole_ms, 0.5) - base_whole:.2f}",
            f"{low - base_whole:.2f} to {high - base_whole:.2f}",
            f"{percentile(one.whole_ms, 0.99):.1f}",
            f"{percentile(one.first_ms, 0.5) - base_first:.2f}",
            f"{percentile(one.per_second, 0.5):,.0f}",
            f"{one.memory_mb:.0f}",
        ])  # fmt: skip
    head = ["gateway", "added p50, ms", "95% interval", "p99, ms", "first streamed chunk, added p50, ms"]
    head += [f"requests/s at {_CONNECTIONS} connections", "memory after, MB"]
    return _PAGE.format(
        commit=commit(), machine=machine(), load=before, n=len(direct.whole_ms), rounds=_ROUNDS, table=table(head, rows)
    )


_PAGE = """# What the proxy adds to a call

`make bench-proxy` wrote this page: commit `{commit}`, {machine}, {n} requests of each kind in {rounds} rounds.

A mock upstream answers at once; each gateway in turn stands before it and is asked by the same client, over
connections that are kept, with a prompt of some 50 tokens. So the figures are what the gateway costs, not the model.
edgewise decides each request with its classifier, and follows each answer with its monitor; the others pass requests
on. The cores are shared by client, gateway and upstream: compare the rows, not the figures of one. Load before the
run: {load}.

{table}
"""


async def _measure_all(gateways: Sequence[Gateway], n: int, seconds: float) -> None:
    for number in range(_ROUNDS):
        for gateway in gateways:
            click.echo(f"round {number + 1} of {_ROUNDS}: {gateway.name}", err=True)
            await _measure(gateway, n // _ROUNDS, seconds / _ROUNDS)


@click.command()
@click.option("-n", default=500, show_default=True, help="Requests of each kind, one after the other.")
@click.option("--seconds", default=10.0, show_default=True, help="How long throughput is measured.")
@click.option("--ours", is_flag=True, help="Leave the other gateways out, and print without writing the page.")
def main(n: int, seconds: float, ours: bool) -> None:
    """Measure what gateways add to a call, side by side, and write docs/proxy-benchmarks.md."""
    before = load()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(_upstream())
        gateways = [Gateway("none: the mock upstream", upstream)]
        for start in _GATEWAYS[:1] if ours else _GATEWAYS:
            gateways.append(stack.enter_context(start(upstream, folder)))
        asyncio.run(_measure_all(gateways, n, seconds))
        page = report(gateways, before)
    if not ours:
        PAGE.write_text(page, encoding="utf-8")
    click.echo(page)


if __name__ == "__main__":
    main()
