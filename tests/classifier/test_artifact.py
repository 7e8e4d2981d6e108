"""The committed model: it loads, it is refused when it is not ours, and onnxruntime computes what the core computes."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("onnxruntime")

from edgewise.core import classifier as core
from edgewise.core.transcript import Ask
from edgewise_classifier import artifact
from edgewise_classifier.data import load_own
from edgewise_classifier.evaluate import MODEL
from edgewise_classifier.runtime import CoreClassifier, OnnxClassifier

OWN = load_own()
SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def classifier() -> CoreClassifier:
    return CoreClassifier(artifact.weights_from_onnx(MODEL))


def _public_prompts(count: int) -> list[tuple[tuple[str, str], ...]]:
    rows = []
    for path in sorted((SHARED / "sets").glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            rows += [json.loads(line) for line, _ in zip(lines, range(12), strict=False)]
    return [(("user", row["text"]),) for row in rows[:count]]


class TestOnnx:
    def test_onnxruntime_and_the_core_agree_on_every_logit(self, classifier):
        session = OnnxClassifier(MODEL)
        prompts = [row.messages for row in OWN[::60]] + (_public_prompts(300) if SHARED.exists() else [])
        prompts += [(("user", ""),), (("user", "x" * 20_000),), (("user", "\x00\ud800"),)]
        assert len(prompts) > 140
        for turns in prompts:
            classifier.classify(turns)
            expected = classifier.scratch["logits"][0]
            np.testing.assert_array_equal(session.logits(classifier.graph_inputs()), expected)

    def test_cpython_and_compiled_code_agree(self, classifier):
        weights = core.ClassifierWeights.from_bytes(artifact.weights_from_onnx(MODEL))
        for row in OWN[::400]:
            classifier.classify(row.messages)
            ask = Ask.from_bytes(classifier.reader.ask[0].tobytes())
            scratch, scores = core.ClassifierScratch(), core.Scores()
            core.classify(ask, weights, scratch, scores)
            assert list(scratch.logits) == classifier.scratch["logits"][0].tolist()
            assert scores.to_bytes() == classifier.scores[0].tobytes()

    def test_the_graph_is_integers_only(self):
        model = onnx.load(MODEL)
        kinds = {tensor.data_type for tensor in model.graph.initializer}
        floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16}
        assert not kinds & floats
        assert model.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.INT32

    def test_the_model_fits_its_budget(self):
        assert MODEL.stat().st_size <= 800_000


class TestRefusal:
    @pytest.mark.parametrize("name", ["magic", "version", "schema"])
    def test_a_model_for_something_else(self, tmp_path, name):
        model = onnx.load(MODEL)
        for entry in model.metadata_props:
            if entry.key == name:
                entry.value = "7"
        onnx.save(model, tmp_path / "other.onnx")
        with pytest.raises(artifact.ArtifactError, match=name):
            artifact.weights_from_onnx(tmp_path / "other.onnx")

    def test_a_file_that_is_no_model(self, tmp_path):
        (tmp_path / "junk.onnx").write_bytes(b"not a model")
        with pytest.raises(artifact.ArtifactError, match="not an ONNX model"):
            artifact.weights_from_onnx(tmp_path / "junk.onnx")

    def test_the_weights_survive_the_round_trip(self):
        trained = artifact.from_onnx(onnx.load(MODEL))
        again = artifact.from_onnx(artifact.to_onnx(trained))
        assert artifact.to_weights(again).to_bytes() == artifact.to_weights(trained).to_bytes()
