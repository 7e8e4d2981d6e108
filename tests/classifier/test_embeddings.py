"""The cache of embeddings: each text is embedded once."""

import numpy as np

from edgewise_classifier.embeddings import WIDTH, embed


class _Model:
    """Embeds a text as its length, and counts."""

    def __init__(self):
        self.seen = []

    def __call__(self, texts):
        self.seen += texts
        return np.array([[len(text)] * WIDTH for text in texts], np.float32)


def test_each_text_is_embedded_once(tmp_path):
    model = _Model()
    first = embed(["one", "three", "one"], file=tmp_path / "cache", model=model)
    second = embed(["three", "seventeen"], file=tmp_path / "cache", model=model)
    assert first[:, 0].tolist() == [3, 5, 3]
    assert second[:, 0].tolist() == [5, 9]
    assert second.shape == (2, WIDTH)
    assert sorted(model.seen) == ["one", "seventeen", "three"]


def test_no_texts_need_no_model(tmp_path):
    assert embed([], file=tmp_path / "cache").shape == (0, WIDTH)
