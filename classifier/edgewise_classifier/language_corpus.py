"""What the language table is trained on: sentences, word lists and n-gram statistics, by language and source.

Sentences come from the prompt sets (`DATA/sets`) and from the project's own prompts; words and n-grams from four
packages that carry them (install `wordfreq simplemma django lingua-language-detector==1.3.5` before training). One text
in ten of each set of sentences is held out.
"""

from __future__ import annotations

import gettext
import hashlib
import importlib
import importlib.util
import itertools
import json
import random
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewise.core.language import LANGUAGES, scripts_of
from edgewise_classifier.data import OWN

INNER = "\x01"
"""Marks a text whose pieces are n-grams from inside words: its word boundaries mean nothing."""

HELD_OUT_SOURCES = ("languages", "authored", "lingua_sentences", "udhr", "uncommonroute")

_KNOWN = frozenset(LANGUAGES[1:])
_OTHER_CODES = {"no": "nb", "fil": "tl", "zh_Hans": "zh", "zh_Hant": "zh", "sr_Latn": "sr", "pt_BR": "pt"}
_SHARED = {"sh": ("sr", "hr", "bs"), "hbs": ("sr", "hr", "bs")}
_TYPED_PLAIN = frozenset(
    "az bs ca cs da de eo es et fi fr gl hr hu is it lt lv nb nl pl pt ro sk sl sq sr sv tr vi".split()  # noqa: SIM905
)
_SERBIAN = {
    "lj": "љ", "nj": "њ", "dž": "џ", "a": "а", "b": "б", "c": "ц", "č": "ч", "ć": "ћ", "d": "д", "đ": "ђ", "e": "е",
    "f": "ф", "g": "г", "h": "х", "i": "и", "j": "ј", "k": "к", "l": "л", "m": "м", "n": "н", "o": "о", "p": "п",
    "r": "р", "s": "с", "š": "ш", "t": "т", "u": "у", "v": "в", "z": "з", "ž": "ж",
}  # fmt: skip
_LONE_SCRIPTS = {"Grek", "Armn", "Geor", "Thai", "Guru", "Gujr", "Taml", "Telu", "Hang"}
_PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}|<[^>]*>|&\w+;")
_NO_DECOMPOSITION = str.maketrans({"đ": "d", "Đ": "D", "ł": "l", "ø": "o", "ı": "i", "ß": "ss"})
_GRAMS = ("unigrams", "bigrams", "trigrams", "quadrigrams", "fivegrams")
_GRAM_TEXTS = ((4, 900), (3, 450), (2, 150))


@dataclass(frozen=True, slots=True)
class Sample:
    """One text of the corpus."""

    language: str
    source: str
    text: str
    held_out: bool = False


def _digest(text: str) -> int:
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8], 16)


def _code_of(language: str | None) -> str | None:
    code = _OTHER_CODES.get(language or "", language)
    return code if code in _KNOWN else None


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _sample(language: str | None, source: str, text: str, held_out: bool | None = None) -> Iterator[Sample]:
    code = _code_of(language)
    text = text.strip()
    if code is not None and text:
        yield Sample(code, source, text, _digest(text) % 10 == 0 if held_out is None else held_out)


def _from_sets(sets: Path) -> Iterator[Sample]:
    for name in ("lingua_sentences", "udhr"):
        for row in _rows(sets / f"{name}.jsonl"):
            yield from _sample(row["lang"], name, row["text"])
    for row in _rows(sets / "lingua_words.jsonl"):
        yield from _sample(row["lang"], "lingua_words", row["text"], False)
    for name in ("evergreen_train", "evergreen_train_synth"):
        for row in _rows(sets / f"{name}.jsonl"):
            if _digest(row["text"]) % 3 == 0:
                yield from _sample(row["lang"], "chat", row["text"], False)
    for name in ("m_ifeval", "xquad", "oasst1_en_val", "selfinstruct_seed"):
        for row in _rows(sets / f"{name}.jsonl"):
            yield from _sample(row.get("lang"), "chat", row["text"][:300], False)
    for name in ("clinc150", "nq_open_dev", "webquestions", "dolly_15k"):
        for row in _rows(sets / f"{name}.jsonl"):
            if _digest(row["text"]) % 8 == 0:
                yield from _sample("en", "chat", row["text"][:200], False)
    for row in _rows(sets / "uncommonroute_bench.jsonl"):
        if row["lang"] != "en":
            yield from _sample(row["lang"], "uncommonroute", row["text"][:300], True)


def _from_own(own: Path) -> Iterator[Sample]:
    for path in sorted(own.glob("*.jsonl")):
        source = "languages" if path.stem == "languages" else "authored"
        for row in _rows(path):
            yield from _sample(row.get("lang", "en"), source, row["text"][:300])


def _sentences_of_words(
    words: Iterable[str], weights: Iterable[float] | None, count: int, size: int, seed: str
) -> list[str]:
    chosen = list(words)
    cumulative = None if weights is None else list(itertools.accumulate(weights))
    draw = random.Random(seed)
    return [" ".join(draw.choices(chosen, cum_weights=cumulative, k=size)) for _ in range(count)]


def _from_frequencies() -> Iterator[Sample]:
    wordfreq = importlib.import_module("wordfreq")
    for name in sorted(wordfreq.available_languages("small")):
        for target in _SHARED.get(name, (name,)):
            code = _code_of(target)
            if code is None or code in ("zh", "ja", "ko") or set(scripts_of(code)) <= _LONE_SCRIPTS | {"Beng"}:
                continue
            table: Mapping[str, float] = wordfreq.get_frequency_dict(name, wordlist="small")
            words = {word: weight**0.8 for word, weight in table.items() if any(map(str.isalpha, word))}
            for text in _sentences_of_words(words, words.values(), 6000, 10, f"frequencies {target}"):
                yield Sample(code, "wordfreq", text)


def _from_lemmas() -> Iterator[Sample]:
    dictionaries = importlib.import_module("simplemma.strategies.dictionaries.dictionary_factory")
    for name in sorted(dictionaries.SUPPORTED_LANGUAGES):
        targets = [code for code in map(_code_of, _SHARED.get(name, (name,))) if code is not None]
        if not targets:
            continue
        forms = [
            form.decode() if isinstance(form, bytes) else str(form)
            for form in dictionaries.DefaultDictionaryFactory(cache_max_size=1).get_dictionary(name)
        ]
        for code in targets:
            for text in _sentences_of_words(forms, None, 2500, 8, f"lemmas {code}"):
                yield Sample(code, "lemmas", text)


def _folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} is needed for training: pip install it")
    return Path(next(iter(spec.submodule_search_locations)))


def _from_interface() -> Iterator[Sample]:
    for path in sorted(_folder_of("django").glob("**/LC_MESSAGES/*.mo")):
        name = path.parts[-3]
        if name in ("es_AR", "es_MX"):
            continue
        code = _code_of(name) or _code_of(name.split("_")[0])
        with path.open("rb") as file:
            catalogue: dict[Any, str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        for key, message in catalogue.items():
            if key and message != (key if isinstance(key, str) else key[0]):
                text = _PLACEHOLDER.sub("", message).replace("\n", " ")
                if len(text) > 8:
                    yield from _sample(code, "interface", text)


def _from_grams() -> Iterator[Sample]:
    brotli = importlib.import_module("brotli")
    folder = _folder_of("lingua") / "language-models"
    for code in LANGUAGES:
        if not (folder / code).is_dir() or code in ("zh", "ja") or set(scripts_of(code)) <= _LONE_SCRIPTS:
            continue
        draw = random.Random(f"grams {code}")
        joint: dict[str, float] = {"": 1.0}
        tables = []
        for name in _GRAMS:
            shares = json.loads(brotli.decompress((folder / code / f"{name}.json.br").read_bytes()))["ngrams"]
            longer = {}
            for share, grams in shares.items():
                above, below = share.split("/")
                for gram in grams.split(" "):
                    longer[gram] = int(above) / int(below) * joint.get(gram[:-1], 0.0)
            joint = longer
            tables.append(longer)
        for length, count in _GRAM_TEXTS:
            cumulative = list(itertools.accumulate(tables[length].values()))
            grams = list(tables[length])
            for _ in range(count):
                yield Sample(code, "lingua_grams", INNER + " ".join(draw.choices(grams, cum_weights=cumulative, k=10)))


def plain(text: str) -> str:
    """The text as typed on a keyboard without its language's accents."""
    spelled = unicodedata.normalize("NFD", text.translate(_NO_DECOMPOSITION))
    return "".join(character for character in spelled if not unicodedata.combining(character))


def serbian_cyrillic(text: str) -> str:
    """Serbian in Latin letters, as it is written in Cyrillic ones; in lower case."""
    text = text.lower()
    for latin, cyrillic in _SERBIAN.items():
        text = text.replace(latin, cyrillic)
    return text


def _in_cyrillic(samples: Iterable[Sample]) -> Iterator[Sample]:
    for sample in samples:
        usable = sample.language == "sr" and not sample.held_out and sample.source != "lingua_grams"
        if usable and "а" not in sample.text and _digest(sample.text) % 2 == 0:
            text = serbian_cyrillic(sample.text)
            if not re.search("[a-z]", text):
                yield Sample("sr", sample.source + " cyrillic", text)


def _without_accents(samples: Iterable[Sample]) -> Iterator[Sample]:
    for sample in samples:
        usable = sample.language in _TYPED_PLAIN and not sample.held_out
        if usable and sample.source in ("languages", "authored", "chat", "lingua_sentences", "wordfreq"):
            text = plain(sample.text)
            if text != sample.text and text.isascii() and _digest(sample.text) % 3 == 1:
                yield Sample(sample.language, "stripped", text)


def build(data: Path, own: Path = OWN) -> list[Sample]:
    """The whole corpus, without duplicates, in the same order on every machine."""
    sets = data / "sets" if (data / "sets").is_dir() else data
    seen: set[tuple[str, str]] = set()
    corpus = []
    parts = (_from_sets(sets), _from_own(own), _from_frequencies(), _from_lemmas(), _from_interface(), _from_grams())
    for sample in itertools.chain.from_iterable(parts):
        if (sample.language, sample.text) not in seen:
            seen.add((sample.language, sample.text))
            corpus.append(sample)
    corpus += [*_without_accents(corpus), *_in_cyrillic(corpus)]
    return corpus
