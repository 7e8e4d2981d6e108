"""The monitor: what it finds, where, and that the way an answer is cut makes no difference."""

import itertools
import json
import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgewise.core.language import LANGUAGES, LanguageResult, LanguageScratch, LanguageTable
from edgewise.core.repetition import Loop
from edgewise.core.stream import (
    FINDINGS,
    MAX_WINDOW_TOKENS,
    OPENING_BYTES,
    SHORT_ANSWER_BYTES,
    Monitor,
    MonitorRules,
    begin,
    close,
    watch,
)
from edgewise_build.lower import native, record_dtype
from edgewise_build.subset import check
from edgewise_classifier.language import read_table
from support.checked import checked

TABLE = LanguageTable.from_bytes(read_table())
SCRATCH, SPOKEN = LanguageScratch(), LanguageResult()
STRICT = {
    "window_tokens": 4,
    "low_confidence": 1000,
    "repetition": 3,
    "refusal": 1,
    "language_drift": 1,
    "broken_json": 1,
    "stale_knowledge": 1,
}

ENGLISH = (
    "The harbour lies open to the west, so in winter the ferries often wait outside until the wind turns. Those who "
    "live on the island keep a week of flour and lamp oil in the house, and nobody there thinks this is worth a word. "
)
GERMAN = (
    "Der Hafen liegt nach Westen hin offen, deshalb warten die Fähren im Winter oft draußen, bis der Wind dreht. Wer "
    "auf der Insel wohnt, hat immer Mehl und Lampenöl für eine Woche im Haus, und niemand verliert darüber ein Wort. "
)
CHINESE = "港口朝西敞开，所以冬天渡轮常常在外面等到风向转变。岛上的人家里总备着一周的面粉和灯油，没有人觉得这值得一提。"
NAMES = "Anna Berg, Lars Holm, Jan de Vries, Maria Silva, Juan Torres, Eva Novak, Ivan Petrov, Kim Lee, Omar Aziz. "
CODE = "```python\n" + "".join(f"def step_{n}(state):\n    return state.get('value_{n}')\n" for n in range(9)) + "```\n"
LATE = "That is a question which many people ask, and for good reason these days. But I cannot help with it."
LOOP = "the lower part of "


class Answer:
    """One answer under the monitor's eyes; rules by name, all on where none is given."""

    def __init__(self, language: str = "", expects_json: bool = False, **rules: int) -> None:
        self.rules, self.monitor = MonitorRules(), Monitor()
        for name, value in (rules or STRICT).items():
            setattr(self.rules, name, value)
        begin(self.monitor, LANGUAGES.index(language) if language else -1, int(expects_json))

    def read(self, text: str | bytes = "", logprobs: tuple[int, ...] = ()) -> str:
        data = text if isinstance(text, bytes) else text.encode()
        found = watch(
            self.monitor,
            self.rules,
            b"??" + data,
            2,
            len(data),
            (0, *logprobs),
            1,
            len(logprobs),
            TABLE,
            SCRATCH,
            SPOKEN,
        )
        return FINDINGS[found]

    def close(self) -> str:
        return FINDINGS[close(self.monitor, self.rules)]

    @property
    def length(self) -> int:
        return self.monitor.loop.length


def finding(text: str | bytes, language: str = "", expects_json: bool = False, **rules: int) -> str:
    """The finding of a whole answer, its end included."""
    answer = Answer(language, expects_json, **rules)
    answer.read(text)
    return answer.close()


def test_it_keeps_to_the_subset():
    assert check([begin, watch, close]) == []


def test_a_monitor_stays_small():
    assert Monitor.size <= 2048
    assert Monitor.size - Loop.size <= 256


class TestGoodAnswers:
    @pytest.mark.parametrize(
        "text",
        [
            ENGLISH * 2,
            "42",
            "Here is the function.\n\n" + CODE + "\nCall it with your own state.",
            "I'm sorry to hear that your dog is ill. Keep it warm, and call a vet if it does not drink.",
            "I can't help but admire the idea, so let us look at what it would take to build it.",
            "| model | price |\n|---|---|\n| a | 1 |\n| b | 2 |\n",
        ],
        ids=["prose", "number", "code", "sympathy", "praise", "table"],
    )
    def test_nothing_is_found(self, text):
        assert finding(text, "en") == "nothing"

    @pytest.mark.parametrize("text", ["", " ", "\n\n \t\n"])
    def test_an_answer_without_text_is_empty_at_its_end(self, text):
        answer = Answer()
        assert answer.read(text) == "nothing"
        assert answer.close() == "empty"


class TestRepetition:
    def test_a_loop_is_found_while_it_goes_on(self):
        answer = Answer(repetition=3)
        assert answer.read(ENGLISH + LOOP * 40) == "repetition"
        assert answer.length < len(ENGLISH) + 160

    def test_more_times_take_longer(self):
        lengths = []
        for times in (2, 4, 6):
            answer = Answer(repetition=times)
            answer.read(ENGLISH + (ENGLISH[:100] + ". ") * 8)
            lengths.append(answer.length)
        assert lengths[1] - lengths[0] == lengths[2] - lengths[1] == 204

    def test_off(self):
        assert finding(LOOP * 40, refusal=1) == "nothing"


class TestRefusal:
    @pytest.mark.parametrize(
        "text",
        [
            "I'm sorry, but I can't assist with that request.",
            "**I’m sorry**, but I can’t help with this.",
            "\n\nI cannot provide instructions for that.",
            "\n" * 2 * OPENING_BYTES + "I cannot provide that.",
            "As an AI language model, I cannot do this.",
            "Lo siento, pero no puedo ayudarte.",
            "Désolé, je ne peux pas vous aider.",
            "Es tut mir leid, aber ich kann dir dabei nicht helfen.",
            "Извините, я не могу помочь с этим.",
            "抱歉，我无法提供这方面的信息。",
            "申し訳ありませんが、そのご質問にはお答えできません。",
            "죄송합니다. 그 요청은 도와드릴 수 없습니다.",
            "عذرًا، لا يمكنني المساعدة في ذلك.",
        ],
    )
    def test_an_answer_that_opens_with_one_is_found_before_its_end(self, text):
        answer = Answer(refusal=1)
        assert answer.read(text) == "refusal"
        assert answer.length < len(text.encode())

    def test_one_after_some_words_counts_when_the_answer_stays_short(self):
        assert LATE.index("I cannot") > OPENING_BYTES
        answer = Answer(refusal=1)
        assert answer.read(LATE) == "nothing"
        assert answer.close() == "refusal"
        assert finding(LATE + " " + ENGLISH * (SHORT_ANSWER_BYTES // len(ENGLISH) + 1), refusal=1) == "nothing"

    def test_one_that_is_quoted_further_down_is_none(self):
        assert finding(ENGLISH * 2 + '"I cannot help with that," he said.', refusal=1) == "nothing"

    def test_off(self):
        assert finding("I cannot help with that.", repetition=3) == "nothing"


class TestStaleKnowledge:
    @pytest.mark.parametrize(
        "text",
        [
            "As of my last update in 2023, the company had nine offices.",
            "I don’t have access to real-time data, so I can only guess.",
            "No tengo acceso a información en tiempo real.",
            "Mein Wissensstand endet im Frühjahr.",
            "截至我的知识更新，共有九家分店。",
            "На момент моего последнего обновления их было девять.",
        ],
    )
    def test_it_is_found_anywhere(self, text):
        assert finding(text, stale_knowledge=1) == "stale_knowledge"
        assert finding(ENGLISH + text, stale_knowledge=1) == "stale_knowledge"
        assert finding(text, repetition=3) == "nothing"

    @pytest.mark.parametrize("text", ["The last update of the map was in May.", "A model has a knowledge cutoff."])
    def test_talk_about_updates_is_none(self, text):
        assert finding(text, stale_knowledge=1) == "nothing"


class TestLanguageDrift:
    @pytest.mark.parametrize(("expected", "text"), [("de", ENGLISH), ("en", GERMAN), ("ja", CHINESE), ("fr", CHINESE)])
    def test_the_wrong_language_from_the_start(self, expected, text):
        answer = Answer(expected, language_drift=1)
        assert answer.read(text * 3) == "language_drift"
        assert answer.length <= 512

    def test_a_drift_later_on_takes_more_text(self):
        answer = Answer("en", language_drift=1)
        assert answer.read(ENGLISH * 2 + CHINESE * 8) == "language_drift"
        assert len(ENGLISH) * 2 + 512 <= answer.length <= len(ENGLISH) * 2 + 1024

    @pytest.mark.parametrize(
        ("expected", "text"),
        [
            ("en", ENGLISH * 6),
            ("de", GERMAN * 6),
            ("zh", CHINESE * 6),
            ("yue", CHINESE * 6),
            ("en", (ENGLISH * 2 + GERMAN) * 4),
            ("en", NAMES * 4),
            ("de", GERMAN + CODE * 3 + GERMAN),
            ("de", "`" * 7 + "text\n" + ENGLISH * 5 + "\n" + "`" * 7),
            ("de", CODE * 5),
            ("de", "```text\n" + ENGLISH * 5 + "\n```\n"),
            ("", GERMAN * 4),
        ],
        ids=[
            "en",
            "de",
            "zh",
            "close",
            "quotes",
            "names",
            "code between",
            "longer fence",
            "code",
            "fenced text",
            "any",
        ],
    )
    def test_no_drift(self, expected, text):
        assert finding(text, expected, language_drift=1) == "nothing"

    def test_off(self):
        assert finding(GERMAN * 4, "en", refusal=1) == "nothing"


class TestBrokenJson:
    def test_it_is_found_where_it_breaks(self):
        answer = Answer(expects_json=True, broken_json=1)
        assert answer.read('{"a": [1, 2, "x"], b: 3}') == "broken_json"
        assert answer.length == len('{"a": [1, 2, "x"], b')

    def test_what_is_not_complete_is_found_at_the_end(self):
        answer = Answer(expects_json=True, broken_json=1)
        assert answer.read('{"a": [1, 2') == "nothing"
        assert answer.close() == "broken_json"

    def test_whole_values_are_fine(self):
        assert finding(json.dumps({"a": [1, None, "é"]}), expects_json=True, broken_json=1) == "nothing"

    def test_only_where_json_was_asked_for(self):
        assert finding("{", broken_json=1) == "nothing"
        assert finding("{", expects_json=True, refusal=1) == "nothing"


WINDOW = {"window_tokens": 4, "low_confidence": 1000}


class TestLowConfidence:
    @pytest.mark.parametrize(
        ("logprobs", "expected"),
        [
            ((-1000,) * 20, "nothing"),
            ((-1001,) * 3, "nothing"),
            ((-1001,) * 4, "low_confidence"),
            ((0,) * 30 + (-4001, 0, 0, 0), "low_confidence"),
            ((-4000, 0, 0, 0) * 5, "nothing"),
            ((-3000, 0, 0) * 2, "low_confidence"),
            ((5, -(2**31), 0, 0), "low_confidence"),
        ],
    )
    def test_the_mean_of_a_full_window_decides(self, logprobs, expected):
        assert Answer(**WINDOW).read("x", logprobs) == expected
        single = Answer(**WINDOW)
        assert [single.read("x", (one,)) for one in logprobs][-1] == expected

    @given(st.lists(st.integers(-3000, 0), max_size=80), st.integers(1, MAX_WINDOW_TOKENS), st.integers(1, 3000))
    def test_it_is_the_definition(self, logprobs, window, limit):
        sums = [-sum(logprobs[end - window : end]) for end in range(window, len(logprobs) + 1)]
        expected = "low_confidence" if any(total > limit * window for total in sums) else "nothing"
        assert Answer(window_tokens=window, low_confidence=limit).read("", tuple(logprobs)) == expected

    @pytest.mark.parametrize("rules", [{"window_tokens": 4}, {"low_confidence": 9}, {"refusal": 1}])
    def test_off(self, rules):
        assert Answer(**rules).read("x", (-9000,) * 99) == "nothing"

    def test_a_window_longer_than_the_longest_is_that(self):
        answer = Answer(window_tokens=9999, low_confidence=1000)
        assert answer.read("", (-2000,) * (MAX_WINDOW_TOKENS - 1)) == "nothing"
        assert answer.read("", (-2000,)) == "low_confidence"


def test_the_first_finding_stays():
    answer = Answer(**STRICT)
    assert answer.read("I cannot help with that. ") == "refusal"
    length = answer.length
    assert answer.read(LOOP * 40, (-9000,) * 9) == "refusal"
    assert (answer.close(), answer.length) == ("refusal", length)


PIECES = (
    ENGLISH, GERMAN, CHINESE, CODE, LOOP * 12, "0" * 300, "\n", "I'm sorry, but I can't assist with that. ", "```",
    "As of my last update", '{"a": [1, 2, {"b": "é\\u00e9"}]}', "```json\n[1]\n```", "{", "🎉" * 70, "ab" * 9,
)  # fmt: skip
answers = st.lists(st.sampled_from(PIECES).map(str.encode) | st.binary(max_size=20), max_size=8).map(b"".join)


@settings(max_examples=60)
@given(
    answers,
    st.lists(st.integers(0, 1500), max_size=12),
    st.sampled_from(["", "en", "zh"]),
    st.booleans(),
    st.sampled_from([STRICT, *({name: STRICT[name]} for name in STRICT)]),
)
def test_chunk_boundaries_make_no_difference(text, cuts, language, expects_json, rules):
    whole = Answer(language, expects_json, **rules)
    whole.read(text)
    parts = Answer(language, expects_json, **rules)
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    for start, end in itertools.pairwise(edges):
        parts.read(text[start:end])
    assert parts.monitor.to_bytes() == whole.monitor.to_bytes()
    assert parts.close() == whole.close()


@settings(max_examples=40)
@given(answers, answers)
@example(LATE.encode(), b"")
@example(CODE.encode(), b"")
@example(ENGLISH.encode(), b"")
def test_an_answer_before_leaves_nothing_behind(before, text):
    used, fresh = Answer("en"), Answer("en", expects_json=True)
    used.read(before)
    begin(used.monitor, LANGUAGES.index("en"), 1)
    assert used.monitor.numbers() == fresh.monitor.numbers()
    assert used.read(text) == fresh.read(text)
    assert (used.length, used.close()) == (fresh.length, fresh.close())


def test_every_value_fits_its_width_and_no_index_is_outside():
    """What compiled code would do wrong in silence raises here."""
    draw = random.Random(5)
    for name in STRICT:
        text = ("".join(draw.sample(PIECES, 6)) + ENGLISH * 2).encode() + draw.randbytes(300) + b"`" * 300
        answer = Answer(
            "en", name == "broken_json", **{name: STRICT[name], "window_tokens": 64, "low_confidence": 65535}
        )
        answer.monitor = checked(answer.monitor)
        begin(answer.monitor, LANGUAGES.index("en"), int(name == "broken_json"))
        answer.read(text, tuple(-draw.randrange(2**31) for _ in range(70)))
        answer.close()


@pytest.mark.heavy
def test_compiled_code_finds_what_cpython_finds():
    """Random answers through the monitor as numba compiles it: state and finding, byte for byte."""
    begin_native, watch_native, close_native = (native(function) for function in (begin, watch, close))
    table, scratch, spoken, monitor, rules = (
        np.zeros(1, record_dtype(kind))
        for kind in (LanguageTable, LanguageScratch, LanguageResult, Monitor, MonitorRules)
    )
    table[:] = np.frombuffer(read_table(), table.dtype)
    draw, seen = random.Random(3), set()
    for _ in range(300):
        text = b"".join(draw.choice(PIECES).encode() if draw.random() < 0.7 else draw.randbytes(9) for _ in range(4))
        logprobs = tuple(draw.randrange(-1400, 0) for _ in range(draw.choice((0, 0, 3, 40))))
        language, expects_json = draw.choice(("", "en", "de")), draw.random() < 0.2
        answer = Answer(language, expects_json)
        rules[:] = np.frombuffer(answer.rules.to_bytes(), rules.dtype)
        begin_native(monitor[0], answer.monitor.language, answer.monitor.expects_json)
        found = watch_native(
            monitor[0], rules[0], np.frombuffer(text, np.uint8), 0, len(text), np.array(logprobs, np.int32), 0,
            len(logprobs), table[0], scratch[0], spoken[0],
        )  # fmt: skip
        assert FINDINGS[found] == answer.read(text, logprobs)
        assert FINDINGS[close_native(monitor[0], rules[0])] == answer.close()
        assert all(
            monitor[0][name] == getattr(answer.monitor, name) for name in ("started_at", "tokens", "other_language")
        )
        seen.add(answer.close())
    assert seen == set(FINDINGS) - {"empty"}
