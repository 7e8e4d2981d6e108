"""The trained artifacts packed as the core's `Weights`: the classifier from its ONNX model, and the language table."""

from pathlib import Path

from edgewise.core.layout import Weights
from edgewise.core.types import offset_of
from edgewise_build.checkout import MODEL
from edgewise_build.errors import BuildError


def pack_weights(model: Path = MODEL) -> bytes:
    """The bytes of the `Weights` record. Raises BuildError where an artifact is missing or was made for other code."""
    from edgewise_classifier.artifact import weights_from_onnx
    from edgewise_classifier.language import read_table

    for name in ("edgewise.onnx", "language.bin"):
        if not (model / name).exists():
            raise BuildError(f"{model / name} is missing: run `edgewise train`, or check out the repository again")
    try:
        parts = {
            "classifier": weights_from_onnx(model / "edgewise.onnx"),
            "language": read_table(model / "language.bin"),
        }
    except ValueError as error:
        raise BuildError(f"{model}: {error}") from None
    packed = bytearray(Weights.size)
    for name, part in parts.items():
        start = offset_of(Weights, name)
        packed[start : start + len(part)] = part
    return bytes(packed)
