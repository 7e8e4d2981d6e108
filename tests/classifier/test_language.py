"""The language table's file and its coding."""

import pytest

from edgewise.core.language import CODES, CODEWORDS, LANGUAGES, LanguageResult, LanguageScratch, LanguageTable, identify
from edgewise_classifier.language import (
    MODEL,
    CoreIdentifier,
    LanguageFileError,
    read_table,
    write_table,
)
from edgewise_classifier.language_corpus import plain

TEXTS = [
    "could you tell me what time it is",
    "¿me puedes decir qué hora es?",
    "скажи, пожалуйста, который час",
    "def f(x): return x;",
    "今日は何をしましょうか",
    "",
    "Why is this so slow?\n\nfor (i = 0; i < n; i++) {\n  a[i] = b[i];\n}\n",
]


def test_the_file_holds_the_table_and_nothing_is_lost(tmp_path):
    copy = tmp_path / "copy.bin"
    write_table(read_table(), copy)
    assert copy.read_bytes() == MODEL.read_bytes()
    assert len(read_table(copy)) == LanguageTable.size


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda data: b"", "not a language table"),
        (lambda data: b"NOPE" + data[4:], "not a language table"),
        (lambda data: data[:4] + b"\x09" + data[5:], "another layout"),
        (lambda data: data[:12] + b"\x00\x00\x00\x00" + data[16:], "other languages"),
        (lambda data: data[:-1], "damaged"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "damaged"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, change, complaint):
    path = tmp_path / "wrong.bin"
    path.write_bytes(change(MODEL.read_bytes()))
    with pytest.raises(LanguageFileError, match=complaint):
        read_table(path)


def test_a_table_of_another_size_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="takes"):
        write_table(b"short", tmp_path / "short.bin")


def test_compiled_and_plain_python_agree():
    compiled = CoreIdentifier()
    table, scratch, result = LanguageTable.from_bytes(read_table()), LanguageScratch(), LanguageResult()
    for text in TEXTS:
        data = text.encode()
        identify(data, 0, len(data), table, scratch, result)
        found = compiled(text)
        assert (found.language, found.score) == (LANGUAGES[result.language], result.score)
        assert (found.runner_up, found.code) == (LANGUAGES[result.runner_up], result.code)


def test_plain_is_what_a_keyboard_without_accents_gives():
    assert plain("Żółć, straße, ığdır, smørrebrød") == "Zolc, strasse, igdir, smorrebrod"


def test_the_coding_comes_close_and_stays_in_range():
    numpy = pytest.importorskip("numpy")
    from edgewise_classifier.language_training import encode

    vectors = numpy.random.default_rng(3).normal(size=(2000, 6)).astype(numpy.float32)
    codes, codebook = encode(vectors, numpy.ones(2000), seed=1)
    assert codes.shape == (CODES, 2000)
    assert codes.max() < CODEWORDS
    restored = codebook[numpy.arange(CODES)[:, None], codes].sum(0)
    assert ((restored - vectors) ** 2).mean() < 0.02 * (vectors**2).mean()
