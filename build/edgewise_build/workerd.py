"""Real workerd, the runtime of Cloudflare Workers, on this machine: started on a free port, asked, stopped.

`Workerd` serves a bundle. `bundle_doors` puts a component, whichever backend built it, behind doors that the shipped
Worker has not; `WorkerdEngine` asks at them: it is an `edgewise.engine.Engine`, takes requests by the thousand, and
repeats decisions so that they can be timed. `JavaScriptEngine` does the same with any other runtime that opens them.
"""

import dataclasses
import http.client
import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from edgewise.decision import Decision, Reason
from edgewise.errors import EngineError, RequestError
from edgewise.money import PICODOLLARS_PER_DOLLAR
from edgewise.observation import Observation
from edgewise.request import Request
from edgewise.session import Action, Event
from edgewise_build.checkout import WORKER
from edgewise_build.errors import BuildError
from edgewise_build.node import require_node, run_tool
from edgewise_build.worker import about, bundle_scripts, phrases

COMPATIBILITY_DATE = "2026-04-01"

_START_SECONDS = 30
_ANSWER_SECONDS = 600
_STOP_SECONDS = 5
_LINES_PER_REQUEST = 500
_ENTRY = "entry.js"
_KINDS = {".js": "esModule", ".wasm": "wasm", ".bin": "data", ".txt": "text"}


class Workerd(AbstractContextManager["Workerd"]):
    """A workerd process that serves a bundle folder on free ports of the loopback interface, until it is closed.

    `secrets` are bound by their names. With several `isolates`, each has a port of its own, and they share what they
    observe through the bundle's Durable Object; `port` is that of the first.

    Raises BuildError where Node.js or its packages are missing, EngineError when the Worker does not start.
    """

    def __init__(self, bundle: Path, secrets: Mapping[str, str] | None = None, isolates: int = 1) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        config = bundle / "workerd.capnp"
        config.write_text(_config(bundle, secrets or {}, isolates), encoding="utf-8")
        reading, writing = os.pipe()
        command = [workerd_binary(), "serve", f"--control-fd={writing}", str(config)]
        self._process = subprocess.Popen(command, pass_fds=[writing], stdout=self._log, stderr=self._log)
        os.close(writing)
        with os.fdopen(reading) as control:
            events = [control.readline() for _ in range(isolates)]
        if not all(events):
            raise EngineError(f"workerd did not start: {self.close()}")
        self.ports = [int(json.loads(event)["port"]) for event in events]
        self.port = self.ports[0]
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_ANSWER_SECONDS)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """The status and the body of the answer to one HTTP request; the connection stays open for the next.

        Raises ConnectionError when the process is gone.
        """
        try:
            return self._ask_once(method, path, body)
        except ConnectionError:  # workerd closes a connection that was silent for some seconds
            self._connection.close()
            return self._ask_once(method, path, body)

    def _ask_once(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        self._connection.request(method, path, body)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> str:
        """Stop the process; gives what it logged."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._log.closed:
            return ""
        self._log.seek(0)
        logged = self._log.read().decode(errors="replace").strip()
        self._log.close()
        if hasattr(self, "_connection"):
            self._connection.close()
        return logged

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def workerd_binary() -> str:
    """The path of the workerd that came with the Node packages. Raises BuildError where they are missing."""
    node = require_node()
    find = [node, "--print", "require('workerd').default"]
    run = subprocess.run(find, cwd=WORKER, capture_output=True, text=True)
    if run.returncode:
        raise BuildError("workerd is not installed: run `make setup`, or `npm ci` in edge/worker")
    return run.stdout.strip()


def _config(bundle: Path, secrets: Mapping[str, str], isolates: int) -> str:
    """workerd's configuration for the files of a bundle, its entry first: `entry.js`, or else the only script."""
    names = [path.name for path in bundle.iterdir() if path.suffix in _KINDS]
    files = sorted(names, key=lambda name: (name != _ENTRY, not name.endswith(".js"), name))
    bindings = [f"(name = {json.dumps(name)}, text = {json.dumps(value)})" for name, value in secrets.items()]
    table = _TABLE if isolates > 1 else ""
    if table:
        bindings.append(
            '(name = "LATENCY_TABLE", durableObjectNamespace = (className = "LatencyTable", serviceName = "worker0"))'
        )
    services = "".join(f'    (name = "worker{number}", worker = .worker{number}),\n' for number in range(isolates))
    sockets = "".join(
        f'    (name = "http{number}", address = "127.0.0.1:0", http = (), service = "worker{number}"),\n'
        for number in range(isolates)
    )
    workers = "".join(
        _WORKER.format(
            number=number,
            date=COMPATIBILITY_DATE,
            modules=", ".join(map(_module, files)),
            bindings=", ".join(bindings),
            table=table if number == 0 else "",
        )
        for number in range(isolates)
    )
    return f"""\
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
{services}    (name = "network", network = (allow = ["public", "private"])),
  ],
  sockets = [
{sockets}  ],
);
{workers}"""


_WORKER = """\
const worker{number} :Workerd.Worker = (
  compatibilityDate = "{date}",
  modules = [{modules}],
  bindings = [{bindings}],
  globalOutbound = "network",{table}
);
"""

_TABLE = """
  durableObjectNamespaces = [(className = "LatencyTable", uniqueKey = "table")],
  durableObjectStorage = (inMemory = void),"""


def _module(name: str) -> str:
    kind = _KINDS[Path(name).suffix]
    specifier = name if kind == "esModule" else f"./{name}"
    return f'(name = "{specifier}", {kind} = embed "{name}")'


def bundle_doors(component: Path, policy: bytes, backend: str, out: Path) -> Path:
    """Put a component behind the doors of the tests, with a policy, in the folder `out`; gives the folder.

    Raises BuildError where Node.js or its packages are missing, or the component imports anything.
    """
    out.mkdir(parents=True, exist_ok=True)
    run_tool("transpile.mjs", component.absolute(), out)
    bundle_scripts(out, "test/doors.ts")
    (out / "policy.bin").write_bytes(policy)
    cores = sorted(path.name for path in out.glob("*.wasm"))
    imports = [f'import core{index} from "./{name}";' for index, name in enumerate(cores)]
    by_name = ", ".join(f'"{name}": core{index}' for index, name in enumerate(cores))
    entry = _DOORS.format(
        imports="\n".join(imports),
        cores=by_name,
        phrases=json.dumps(phrases()),
        about=json.dumps(about(component, backend)),
    )
    (out / _ENTRY).write_text(entry, encoding="utf-8")
    return out


_DOORS = """\
import {{ Doors }} from "./doors.js";
import {{ instantiate }} from "./router.js";
import policy from "./policy.bin";
{imports}

const cores = {{ {cores} }};
const doors = new Doors(
  {{
    instantiate: (_, imports, start) => instantiate((name) => cores[name], imports, start),
    policy: new Uint8Array(policy),
    phrases: {phrases},
    about: {about},
  }},
  "workerd",
);

export default {{ fetch: (request) => doors.answer(request) }};
"""


class Server(Protocol):
    """What answers HTTP requests with the doors of `edge/worker/test/doors.ts`."""

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """The status and the body of the answer."""

    def close(self) -> object:
        """Stop it."""


class JavaScriptEngine(AbstractContextManager["JavaScriptEngine"]):
    """A component in a JavaScript runtime, called through the Worker's own TypeScript and the doors of the tests."""

    def __init__(self, server: Server, runtime: str, backend: str = "aot") -> None:
        self.server = server
        self.runtime = runtime
        self.backend = backend

    def load_policy(self, blob: bytes) -> None:
        """Replace the policy. Raises EngineError when the core refuses it; the old one then stays."""
        status, answer = self.server.ask("POST", "/test/policy", blob)
        if status != 200:
            raise EngineError(answer.decode().removeprefix("Error: "))

    def decide(self, request: Request) -> Decision:
        """Decide one request. Every status is returned, none raised."""
        answer = self.decide_json([request_json(request)])[0]
        if isinstance(answer, RequestError):
            raise answer
        return answer[0]

    def open(self, request: Request) -> tuple[Decision, Action]:
        """Decide one request and open a session for it; the action is the first call, or to fail."""
        answer = self._step({"open": json.loads(request_json(request))})
        return _read_decision(answer["decision"]), _read_action(answer["action"])

    def advance(self, event: Event) -> Action:
        """Take in what happened to a session; what to do next."""
        return _read_action(self._step({"advance": dataclasses.asdict(event)}))

    def overlap(self, shown: str, fresh: str, whole: bool) -> int:
        """How many bytes of `fresh` repeat the end of what was shown; -1 while that cannot be told."""
        return int(self._step({"overlap": [shown, fresh, whole]}))

    def observe(self, observation: Observation) -> bool:
        """Take in how a request went; False where the policy does not know the model."""
        fields = {**observation.model_dump(exclude={"cost_usd"}), "cost": str(observation.cost)}
        return bool(json.loads(self._post("/test/observe", json.dumps(fields))))

    def snapshot(self) -> bytes:
        """All that was observed, for another engine with the same models, regions and tenants."""
        return self._post("/test/snapshot", "")

    def restore(self, snapshot: bytes) -> bool:
        """Replace what was observed; False, and nothing changes, where the snapshot does not fit the policy."""
        return bool(json.loads(self._post("/test/restore", snapshot)))

    def _step(self, step: object) -> Any:
        return json.loads(self._post("/test/session", json.dumps(step)))

    def decide_json(self, lines: Sequence[str]) -> list[tuple[Decision, Any] | RequestError]:
        """For each request in JSON the decision and its JSON as clients get it (None where no model is feasible).

        A request that cannot be read gives its error.
        """
        answers: list[tuple[Decision, Any] | RequestError] = []
        for start in range(0, len(lines), _LINES_PER_REQUEST):
            body = "\n".join(lines[start : start + _LINES_PER_REQUEST])
            answers += map(_read_answer, self._post("/test/decisions", body).splitlines())
        return answers

    def repeat(self, request: str, calls: int = 1, inside: int = 1) -> int:
        """Decide a request in JSON `calls` times through the typed interface, each time `inside` times in the core.

        Gives the size of the linear memory afterwards, in bytes.
        """
        answer = json.loads(self._post(f"/test/repeat?calls={calls}&inside={inside}", request))
        return int(answer["memory_bytes"])

    def start_again(self, times: int) -> None:
        """Instantiate the module `times` times, each with its policy."""
        self._post(f"/test/start?times={times}", "")

    def _post(self, path: str, body: str | bytes) -> bytes:
        status, answer = self.server.ask("POST", path, body.encode() if isinstance(body, str) else body)
        if status != 200:
            raise EngineError(f"the Worker answered {status}: {answer.decode(errors='replace')[:500]}")
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.close()


class WorkerdEngine(JavaScriptEngine):
    """A component inside real workerd; `bundle` is a folder that `bundle_doors` made."""

    def __init__(self, bundle: Path, backend: str = "aot") -> None:
        super().__init__(Workerd(bundle), "workerd", backend)


def request_json(request: Request) -> str:
    """The request as the JSON of one line that stands for it."""
    return json.dumps(request.model_dump(mode="json", exclude_unset=True))


def request_lines(requests: Iterable[Request]) -> list[str]:
    """The requests as lines of JSON."""
    return [request_json(request) for request in requests]


def _read_answer(line: bytes) -> tuple[Decision, Any] | RequestError:
    answer = json.loads(line)
    if "error" in answer:
        return RequestError(answer["error"])
    return _read_decision(answer["decision"]), answer["json"]


def _read_decision(fields: dict[str, Any]) -> Decision:
    fields["cost"] = int(fields["cost"])
    fields["fallbacks"], fields["task_scores"] = tuple(fields["fallbacks"]), tuple(fields["task_scores"])
    fields["reasons"] = tuple(Reason(code, model, int(value)) for code, model, value in fields["reasons"])
    return Decision(**fields)


def _read_action(fields: dict[str, Any]) -> Action:
    for name in ("not_before_ms", "deadline_ms", "cost"):
        fields[name] = int(fields[name])
    if (observed := fields["observed"]) is not None:
        observed["cost_usd"], observed["at_ms"] = (
            int(observed.pop("cost")) / PICODOLLARS_PER_DOLLAR,
            int(observed["at_ms"]),
        )
        fields["observed"] = Observation.model_construct(**observed)
    return Action(**fields)
