"""`wrangler dev` from end to end: decisions, and a policy that is replaced while it runs."""

import asyncio
import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from click.testing import CliRunner

from edgewise.cli import main
from edgewise.config import load_config
from edgewise.packing import pack_policy
from edgewise.router import Router
from edgewise_build.checkout import ROOT
from edgewise_build.worker import WorkerBundle
from support.faults import API_KEY, API_KEY_ENV, Case, Fault, Upstream, check, router_toml
from support.wrangler import WranglerDev

MINIMAL = ROOT / "examples" / "configs" / "minimal.toml"
PATIENCE_SECONDS = 30
PROXIED = (
    Case(),
    Case(streams=False),
    Case((Fault("cut_utf8", "middle"),)),
    Case((Fault("stall", "middle"),)),
    Case((Fault("status_500", "headers"), Fault("malformed", "middle")), streams=False),
)


@pytest.fixture(scope="module")
def dev(worker_bundle: WorkerBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WranglerDev]:
    """`wrangler dev` that reads its namespace again at every request."""
    variables = {"POLICY_REFRESH_SECONDS": 0, "LIVE_REFRESH_SECONDS": 0, API_KEY_ENV: API_KEY}
    with WranglerDev.start(tmp_path_factory.mktemp("state"), **variables) as server:
        yield server
        assert "LATENCY_TABLE" in server.log
        assert "the shared table does not answer" not in server.log
    address = urlsplit(server.url)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port), timeout=1)


def health_when(dev: WranglerDev, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The policy in /healthz, once it is as wanted."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = httpx.get(f"{dev.url}/healthz").json()
        assert answer["status"] == "ok"
        if wanted(answer["policy"]):
            return answer["policy"]
        assert time.monotonic() < until, answer
        time.sleep(0.1)


def route(dev: WranglerDev, text: str) -> dict[str, Any]:
    """The decision for a text, as the Worker gives it."""
    response = httpx.post(f"{dev.url}/v1/route", json={"text": text})
    assert response.status_code == 200
    return {key: value for key, value in response.json().items() if key not in ("id", "edgewise")}


def test_decisions(dev: WranglerDev) -> None:
    text = "Write a Python function that merges two sorted lists"
    assert route(dev, text) == Router().route(text).to_json()
    wrong = httpx.post(f"{dev.url}/v1/route", json={"text": 5})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "messages[0].content")


def test_the_playground_is_served(dev: WranglerDev) -> None:
    page = httpx.get(f"{dev.url}/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "edgewise playground" in page.text
    assert httpx.get(f"{dev.url}/router.core.wasm").headers["content-type"] == "application/wasm"
    assert httpx.get(f"{dev.url}/nowhere").json()["error"]["type"] == "not_found_error"


def test_the_policy_is_replaced_without_a_deployment(dev: WranglerDev, tmp_path: Path) -> None:
    bundled = hashlib.sha256(pack_policy(load_config())).hexdigest()
    assert health_when(dev, lambda policy: policy["checked_at"] is not None)["sha256"] == bundled

    blob = tmp_path / "policy.bin"
    packed = CliRunner().invoke(main, ["config", "pack", str(MINIMAL), "-o", str(blob)])
    assert packed.exit_code == 0, packed.output
    dev.put("policy", blob)
    replaced = health_when(dev, lambda policy: policy["source"] == "kv")
    assert replaced["sha256"] in packed.output
    text = "What is the capital of Peru?"
    assert route(dev, text) == Router(MINIMAL).route(text).to_json()

    damaged = tmp_path / "damaged.bin"
    damaged.write_bytes(blob.read_bytes()[:-1])
    dev.put("policy", damaged)
    refused = health_when(dev, lambda policy: policy["error"] is not None)
    assert refused["error"].startswith("the core refused the policy: ")
    assert (refused["source"], refused["sha256"]) == ("kv", replaced["sha256"])
    assert route(dev, text) == Router(MINIMAL).route(text).to_json()

    dev.delete("policy")
    back = health_when(dev, lambda policy: policy["source"] == "bundle")
    assert (back["sha256"], back["error"]) == (bundled, None)


def test_answers_are_proxied_by_a_configuration_from_the_namespace(dev: WranglerDev, tmp_path: Path) -> None:
    with Upstream() as upstream:
        (tmp_path / "router.toml").write_text(router_toml(upstream.url))
        policy, proxy = tmp_path / "policy.bin", tmp_path / "proxy.json"
        options = [str(tmp_path / "router.toml"), "-o", str(policy), "--proxy", str(proxy)]
        packed = CliRunner().invoke(main, ["config", "pack", *options])
        assert packed.exit_code == 0, packed.output
        dev.put("proxy", proxy)
        dev.put("policy", policy)
        health_when(dev, lambda state: state["sha256"] in packed.output)

        async def check_all() -> None:
            async with httpx.AsyncClient(base_url=dev.url) as client:
                await asyncio.gather(*(check(client, upstream, case) for case in PROXIED))

        asyncio.run(check_all())
        assert {model["id"] for model in httpx.get(f"{dev.url}/v1/models").json()["data"]} >= {"auto", "alpha"}
    for key in ("policy", "proxy"):
        dev.delete(key)
