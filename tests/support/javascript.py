"""The aot build in Node and in headless Chromium, as engines."""

import http.client
import http.server
import os
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from edgewise.errors import EngineError
from edgewise_build.checkout import WORKER
from edgewise_build.node import require_node
from edgewise_build.worker import GENERATED, WorkerBundle, bundle_scripts
from edgewise_build.workerd import JavaScriptEngine
from support.serving import Server

CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ANSWER_SECONDS = 600
START_SECONDS = 120
PARTS = ("router.core.wasm", "policy.bin", "phrases.json", "about.json")
PAGE = '<!doctype html><title>tests</title><script>new Worker("browser.js", { type: "module" })</script>'


class NodeServer:
    """The doors of the tests in a Node process."""

    def __init__(self, doors: Path) -> None:
        self._server = Server([require_node(), str(WORKER / "test" / "node.mjs"), str(doors)])
        self._connection = http.client.HTTPConnection(urlsplit(self._server.url).netloc, timeout=ANSWER_SECONDS)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        self._connection.close()  # Node closes a connection that was silent for some seconds
        self._connection.request(method, path, body)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        """Stop the process."""
        self._connection.close()
        self._server.__exit__(None, None, None)


class ChromiumServer:
    """The doors of the tests in a page of headless Chromium.

    The page comes from a server of ours, and asks it for one request after the other: a browser cannot be asked. The
    `first` request shows that it is there.
    """

    def __init__(self, site: Path, first: tuple[str, str, bytes | None] = ("GET", "/healthz", None)) -> None:
        self._requests: queue.Queue[tuple[str, str, bytes] | None] = queue.Queue()
        self._answers: queue.Queue[tuple[int, bytes]] = queue.Queue()
        handler = partial(_Page, self._requests, self._answers, directory=str(site))
        self._web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._web.serve_forever)
        self._thread.start()
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        page = f"http://127.0.0.1:{self._web.server_address[1]}/"
        command = [chromium(), *CHROMIUM_FLAGS, f"--user-data-dir={self._profile.name}", "--remote-debugging-port=0"]
        self._process = subprocess.Popen(
            [*command, page], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_environment(self._profile.name)
        )
        try:
            self.ask(*first, timeout=START_SECONDS)
        except BaseException:
            self.close()
            raise

    def ask(
        self, method: str, path: str, body: bytes | None = None, timeout: float = ANSWER_SECONDS
    ) -> tuple[int, bytes]:
        """The status and the body of the answer. Raises EngineError where the page gives none."""
        self._requests.put((method, path, body or b""))
        try:
            return self._answers.get(timeout=timeout)
        except queue.Empty:
            raise EngineError(f"the page in Chromium gave no answer within {timeout:.0f} s") from None

    def close(self) -> None:
        """Stop the browser and the server of its page."""
        self._requests.put(None)
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._web.shutdown()
        self._thread.join()
        self._web.server_close()
        self._profile.cleanup()


class _Page(http.server.SimpleHTTPRequestHandler):
    """Serves the page's files, gives it requests, and takes its answers."""

    def __init__(
        self,
        requests: "queue.Queue[tuple[str, str, bytes] | None]",
        answers: "queue.Queue[tuple[int, bytes]]",
        *arguments: object,
        **options: object,
    ) -> None:
        self._requests, self._answers = requests, answers
        super().__init__(*arguments, **options)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self.path != "/next":
            super().do_GET()
            return
        request = self._requests.get()
        self.send_response(200 if request else 204)
        method, path, body = request or ("", "", b"")
        self.send_header("x-method", method)
        self.send_header("x-path", path)
        if request:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self._answers.put((int(self.headers["x-status"]), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: the answers are what is looked at."""


def chromium() -> str:
    """The browser. Skips the test where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on the PATH: install Debian's package chromium")
    return found


def _environment(home: str) -> dict[str, str]:
    """What the browser needs to start, with its settings in a folder that is removed afterwards."""
    return {**os.environ, "HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home}


@pytest.fixture(scope="session")
def node_engine(worker_bundle: WorkerBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JavaScriptEngine]:
    """The component in Node, through the glue and the TypeScript of the Worker."""
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text('{"type": "module"}')
    bundle_scripts(folder, "test/doors.ts")
    with JavaScriptEngine(NodeServer(folder / "doors.js"), "node") as engine:
        yield engine


@pytest.fixture(scope="session")
def chromium_engine(
    worker_bundle: WorkerBundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JavaScriptEngine]:
    """The component in headless Chromium."""
    chromium()
    site = tmp_path_factory.mktemp("chromium")
    bundle_scripts(site, "test/browser.ts")
    (site / "index.html").write_text(PAGE)
    for name in PARTS:
        shutil.copy(GENERATED / name, site)
    with JavaScriptEngine(ChromiumServer(site), "chromium") as engine:
        yield engine
