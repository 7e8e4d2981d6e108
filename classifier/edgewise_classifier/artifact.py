"""The artifact: the trained classifier as an ONNX graph of integer operators, and as the core's `ClassifierWeights`.

The ONNX file is what is committed; `weights_from_onnx` derives the core's table from its initializers, so that the
weights exist once. Inputs of the graph are what the core finds in a text: for every n-gram its slot and fingerprint,
its weight in each of the four zones, and the shape inputs. The output is the int32 logits of all heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgewise.core import classifier as core

OPSET = 17
_NIBBLE = 15
_PARTS = ("hidden_bias", "output_bias", "hidden_weights", "output_weights", "fingerprints")


class ArtifactError(ValueError):
    """An ONNX file that is not an edgewise classifier, or one made for another format or other labels."""


@dataclass(frozen=True)
class Trained:
    """The integers of a trained classifier."""

    fingerprints: npt.NDArray[np.uint8]  # SLOTS
    rows: npt.NDArray[np.uint8]  # SLOTS x LANES / 2, as `pack_rows` gives them
    hidden_weights: npt.NDArray[np.int8]  # INPUTS x HIDDEN
    hidden_bias: npt.NDArray[np.int32]
    output_weights: npt.NDArray[np.int8]  # OUTPUT_INPUTS x OUTPUTS
    output_bias: npt.NDArray[np.int32]
    mass_floor: int
    temperatures: tuple[int, ...]
    abstain_below: int


def pack_rows(lanes: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Two lanes a byte, the first in its low half; `lanes` is SLOTS x LANES: values from -8 to 7, weights up to 15."""
    biased = lanes.copy()
    biased[:, : core.VALUES] += core.LANE_BIAS
    if biased.min() < 0 or biased.max() > _NIBBLE:
        raise ArtifactError("a lane of a row does not fit into four bits")
    return (biased[:, ::2] | biased[:, 1::2] << 4).astype(np.uint8)


def to_weights(trained: Trained) -> core.ClassifierWeights:
    """The record the core reads."""
    weights = core.ClassifierWeights()
    weights.magic, weights.version, weights.schema = core.MAGIC, core.VERSION, core.SCHEMA
    weights.mass_floor, weights.abstain_below = trained.mass_floor, trained.abstain_below
    parts = {name: getattr(trained, name).ravel() for name in _PARTS}
    parts["rows"] = trained.rows.ravel().view("<u4")
    for name, values in parts.items():
        view: Any = getattr(weights, name)
        if len(values) != len(view):
            raise ArtifactError(f"{name} holds {len(values)} numbers, the core takes {len(view)}")
        np.frombuffer(view, values.dtype)[:] = values
    for index, temperature in enumerate(trained.temperatures):
        weights.temperatures[index] = temperature
    return weights


def _constants() -> dict[str, npt.NDArray[Any]]:
    c: dict[str, npt.NDArray[Any]] = {
        "floor_one": np.array(core.VALUE_ONE, np.int64),
        "one": np.array(1, np.int32),
        "two": np.array(2, np.int64),
        "limit": np.array(core.LIMIT, np.int64),
        "minus_limit": np.array(-core.LIMIT, np.int64),
        "zero": np.array(0, np.int32),
        "limit32": np.array(core.LIMIT, np.int32),
        "half": np.array(1 << (core.HIDDEN_SHIFT - 1), np.int32),
        "step": np.array(1 << core.HIDDEN_SHIFT, np.int32),
        "value_starts": np.array([0], np.int64),
        "value_ends": np.array([core.VALUES], np.int64),
        "mass_ends": np.array([core.LANES], np.int64),
        "lane_axis": np.array([1], np.int64),
        "all_starts": np.array([0], np.int64),
        "all_ends": np.array([core.VALUES], np.int64),
        "flat": np.array([core.ZONES * core.VALUES], np.int64),
        "sixteen": np.array(16, np.int32),
        "biases": np.array([core.LANE_BIAS] * core.VALUES + [0], np.int32),
        "last_axis": np.array([2], np.int64),
        "as_rows": np.array([0, core.LANES], np.int64),
        "as_row": np.array([1, -1], np.int64),
        "as_list": np.array([-1], np.int64),
        "first_axis": np.array([0], np.int64),
    }
    return c


def to_onnx(trained: Trained) -> onnx.ModelProto:
    """The graph, with the weights as initializers and the rest of the record as metadata."""
    n = helper.make_node
    nodes = [
        n("Gather", ["fingerprints", "slots"], ["expected"]),
        n("Cast", ["expected"], ["expected32"], to=TensorProto.INT32),
        n("Cast", ["marks"], ["marks32"], to=TensorProto.INT32),
        n("Equal", ["expected32", "marks32"], ["is_known"]),
        n("Cast", ["is_known"], ["known"], to=TensorProto.INT32),
        n("Mul", ["zones", "known"], ["zone_weights"]),
        n("Gather", ["rows", "slots"], ["found"]),
        n("Cast", ["found"], ["found32"], to=TensorProto.INT32),
        n("Div", ["found32", "sixteen"], ["high"]),
        n("Mod", ["found32", "sixteen"], ["low"]),
        n("Unsqueeze", ["low", "last_axis"], ["low_lanes"]),
        n("Unsqueeze", ["high", "last_axis"], ["high_lanes"]),
        n("Concat", ["low_lanes", "high_lanes"], ["lane_pairs"], axis=2),
        n("Reshape", ["lane_pairs", "as_rows"], ["biased_lanes"]),
        n("Sub", ["biased_lanes", "biases"], ["lanes"]),
        n("MatMul", ["zone_weights", "lanes"], ["sums32"]),
        n("Cast", ["sums32"], ["sums"], to=TensorProto.INT64),
        n("Slice", ["sums", "value_starts", "value_ends", "lane_axis"], ["totals"]),
        n("Slice", ["sums", "value_ends", "mass_ends", "lane_axis"], ["masses"]),
        n("Add", ["masses", "mass_floor"], ["mass"]),
        n("Neg", ["mass"], ["minus_mass"]),
        n("Min", ["totals", "mass"], ["below"]),
        n("Max", ["below", "minus_mass"], ["clipped"]),
        # floor((ONE * total + mass / 2) / mass): Div cuts towards zero, so ONE * mass is added, and ONE taken after
        n("Add", ["clipped", "mass"], ["shifted"]),
        n("Mul", ["shifted", "floor_one"], ["scaled"]),
        n("Div", ["mass", "two"], ["half_mass"]),
        n("Add", ["scaled", "half_mass"], ["rounded"]),
        n("Div", ["rounded", "mass"], ["quotient"]),
        n("Sub", ["quotient", "floor_one"], ["means"]),
        n("Min", ["means", "limit"], ["means_below"]),
        n("Max", ["means_below", "minus_limit"], ["values64"]),
        n("Cast", ["values64"], ["values"], to=TensorProto.INT32),
        n("Reshape", ["values", "flat"], ["value_list"]),
        n("Concat", ["value_list", "shape"], ["input_list"], axis=0),
        n("Reshape", ["input_list", "as_row"], ["inputs"]),
        n("Cast", ["hidden_weights"], ["hidden_weights32"], to=TensorProto.INT32),
        n("MatMul", ["inputs", "hidden_weights32"], ["hidden_sum"]),
        n("Add", ["hidden_sum", "hidden_bias"], ["hidden_biased"]),
        n("Add", ["hidden_biased", "half"], ["hidden_half"]),
        # a negative sum becomes 0 either way, so clipping first lets Div floor
        n("Max", ["hidden_half", "zero"], ["hidden_positive"]),
        n("Div", ["hidden_positive", "step"], ["hidden_scaled"]),
        n("Min", ["hidden_scaled", "limit32"], ["hidden"]),
        n("Slice", ["value_list", "all_starts", "all_ends", "first_axis"], ["all_list"]),
        n("Reshape", ["all_list", "as_row"], ["all_values"]),
        n("Concat", ["hidden", "all_values"], ["output_inputs"], axis=1),
        n("Cast", ["output_weights"], ["output_weights32"], to=TensorProto.INT32),
        n("MatMul", ["output_inputs", "output_weights32"], ["output_sum"]),
        n("Add", ["output_sum", "output_bias"], ["logit_row"]),
        n("Reshape", ["logit_row", "as_list"], ["logits"]),
    ]
    weights: dict[str, npt.NDArray[Any]] = {
        "fingerprints": trained.fingerprints,
        "rows": trained.rows,
        "hidden_weights": trained.hidden_weights,
        "hidden_bias": trained.hidden_bias,
        "output_weights": trained.output_weights,
        "output_bias": trained.output_bias,
        "mass_floor": np.array(trained.mass_floor, np.int64),
    }
    constants = _constants()
    used = {name for node in nodes for name in node.input}
    tensors = [numpy_helper.from_array(v, k) for k, v in {**weights, **constants}.items() if k in used]
    i32 = TensorProto.INT32
    graph = helper.make_graph(
        nodes,
        "edgewise_classifier",
        [
            helper.make_tensor_value_info("slots", i32, ["ngrams"]),
            helper.make_tensor_value_info("marks", TensorProto.UINT8, ["ngrams"]),
            helper.make_tensor_value_info("zones", i32, [core.ZONES, "ngrams"]),
            helper.make_tensor_value_info("shape", i32, [core.SHAPE_INPUTS]),
        ],
        [helper.make_tensor_value_info("logits", i32, [core.OUTPUTS])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="edgewise")
    model.ir_version = 9
    values = {
        "magic": str(core.MAGIC),
        "version": str(core.VERSION),
        "schema": str(core.SCHEMA),
        "abstain_below": str(trained.abstain_below),
        "temperatures": " ".join(map(str, trained.temperatures)),
        "heads": " ".join(core.HEADS),
    }
    helper.set_model_props(model, values)
    onnx.checker.check_model(model)
    return model


def from_onnx(model: onnx.ModelProto) -> Trained:
    """The integers of a model file. Raises ArtifactError where the format or the labels are not this code's."""
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    for name, expected in (("magic", core.MAGIC), ("version", core.VERSION), ("schema", core.SCHEMA)):
        if metadata.get(name) != str(expected):
            raise ArtifactError(
                f"the model's {name} is {metadata.get(name)}, this version of edgewise reads {expected}"
            )
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return Trained(
        fingerprints=tensors["fingerprints"],
        rows=tensors["rows"],
        hidden_weights=tensors["hidden_weights"],
        hidden_bias=tensors["hidden_bias"],
        output_weights=tensors["output_weights"],
        output_bias=tensors["output_bias"],
        mass_floor=int(tensors["mass_floor"]),
        temperatures=tuple(int(part) for part in metadata["temperatures"].split()),
        abstain_below=int(metadata["abstain_below"]),
    )


def weights_from_onnx(path: Path) -> bytes:
    """The bytes of the core's `ClassifierWeights`, from the committed model file.

    Raises ArtifactError where the file is no ONNX model, or one that this version of edgewise does not read.
    """
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except Exception as error:
        raise ArtifactError(f"{path} is not an ONNX model: {error}") from error
    return to_weights(from_onnx(model)).to_bytes()
