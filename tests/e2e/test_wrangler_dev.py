"""`wrangler dev` from end to end: decisions, and a policy that is replaced while it runs."""

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
from support.wrangler import WranglerDev

MINIMAL = ROOT / "examples" / "configs" / "minimal.toml"
PATIENCE_SECONDS = 30


@pytest.fixture(scope="module")
def dev(worker_bundle: WorkerBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WranglerDev]:
    """`wrangler dev` that reads its namespace again at every request."""
    with WranglerDev.start(tmp_path_factory.mktemp("state"), POLICY_REFRESH_SECONDS=0) as server:
        yield server
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
