"""The playground in headless Chromium: what a person sees after typing a prompt."""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from edgewise.config import load_config
from edgewise.request import Request
from edgewise.router import Router
from edgewise_build.checkout import WORKER
from edgewise_build.worker import SITE, WorkerBundle
from support.javascript import ChromiumServer, chromium

MIB = 1024 * 1024


class Playground:
    """The page with a probe in it that uses the form."""

    def __init__(self, browser: ChromiumServer) -> None:
        self._browser = browser

    def use(self, prompt: str | None = None, **instructions: object) -> dict[str, Any]:
        """Fill in the form; gives what the page shows then."""
        body = json.dumps({"prompt": prompt, **instructions})
        _, shown = self._browser.ask("POST", "/", body.encode(), timeout=60)
        return dict(json.loads(shown))


@pytest.fixture(scope="module")
def playground(worker_bundle: WorkerBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """The page as the build made it, from a server of static files."""
    chromium()
    site = tmp_path_factory.mktemp("playground") / "site"
    shutil.copytree(SITE, site)
    shutil.copy(WORKER / "test" / "probe.mjs", site / "probe.js")
    page = (site / "index.html").read_text(encoding="utf-8")
    (site / "index.html").write_text(page.replace("</head>", '<script type="module" src="probe.js"></script></head>'))
    browser = ChromiumServer(site, first=("POST", "/", b'{"prompt": "hello"}'))
    yield Playground(browser)
    browser.close()


def test_the_decision_is_that_of_the_python_host(playground: Playground) -> None:
    fields = {"objective": "quality", "region": "eu-west", "budget_usd": "0.01"}
    shown = playground.use("Prove that 7 is prime, then write it in Lean.", fields=fields)
    request, decision = shown["json"].removeprefix("POST /v1/route\n").split("\n\n")
    asked = json.loads(request)
    assert asked == {"text": "Prove that 7 is prime, then write it in Lean.", **fields, "budget_usd": 0.01}
    answer = json.loads(decision)
    assert answer.pop("edgewise")["engine"] == "browser"
    router = Router()
    assert answer == {"id": "", **router.engine.decide(Request.parse(asked)).to_json()}
    assert shown["model"] == answer["model"]
    assert shown["reasons"].splitlines() == [reason["text"] for reason in answer["reasons"]]
    assert "µs" in shown["facts"]
    playground.use("hello", fields=dict.fromkeys(fields, ""))


def test_what_no_model_can_serve_says_why(playground: Playground) -> None:
    shown = playground.use("hello", fields={"budget_usd": "1e-12"})
    assert shown["error"].startswith("no model can serve this request:\n  ")
    assert playground.use("hello", fields={"budget_usd": ""})["error"] is None


def test_the_examples_are_decided(playground: Playground) -> None:
    assert playground.use(example=0)["error"] is None


def test_the_form_is_labelled_and_lists_the_regions(playground: Playground) -> None:
    shown = playground.use("hello there")
    assert shown["title"] == "edgewise playground"
    assert shown["unlabelled"] == []
    assert shown["regions"] == ["anywhere", *load_config().policy.regions]


def test_the_page_is_small(worker_bundle: WorkerBundle) -> None:
    sizes = {path.name: path.stat().st_size for path in SITE.iterdir()}
    assert sum(size for name, size in sizes.items() if not name.endswith(".wasm")) < 128 * 1024
    assert sizes["router.core.wasm"] < 2 * MIB
