"""The mid-query monitor: what is wrong with an answer while it is still being written.

One `Monitor` follows one call of a model, chunk by chunk. It reads every byte once, so how an answer is cut into chunks
makes no difference. The first finding stays; what to do about it is for the session to decide.
"""

from typing import Annotated

from edgewise.core.json_syntax import BROKEN, JsonSyntax, begin_json, is_complete, read_json
from edgewise.core.language import LANGUAGES, LanguageResult, LanguageScratch, LanguageTable, identify
from edgewise.core.phrases import REFUSAL, STALE_KNOWLEDGE, phrase_at_end
from edgewise.core.repetition import HISTORY_BYTES, Loop, begin_loop, read_loop, repeats
from edgewise.core.types import I32, U8, U16, Record, i32, i64, u8, u16

FINDINGS = (
    "nothing", "empty", "low_confidence", "repetition", "refusal", "language_drift", "broken_json", "stale_knowledge",
)  # fmt: skip
FINDING_NOTHING = FINDINGS.index("nothing")
FINDING_EMPTY = FINDINGS.index("empty")
FINDING_LOW_CONFIDENCE = FINDINGS.index("low_confidence")
FINDING_REPETITION = FINDINGS.index("repetition")
FINDING_REFUSAL = FINDINGS.index("refusal")
FINDING_LANGUAGE_DRIFT = FINDINGS.index("language_drift")
FINDING_BROKEN_JSON = FINDINGS.index("broken_json")
FINDING_STALE_KNOWLEDGE = FINDINGS.index("stale_knowledge")

MAX_WINDOW_TOKENS = 64

OPENING_BYTES = 64
"""A refusal that begins within these is one at once ..."""
REFUSAL_BYTES = 256
"""... one that begins within these only when the whole answer is short:"""
SHORT_ANSWER_BYTES = 512

LOOK_BYTES = 128
"""How much text is asked for its language, each stretch once."""
OPENING_LOOKS, LATER_LOOKS = 2, 4
"""How many looks must agree that it is another one: fewer until the right one was seen, for later text may quote."""
SURE_OF_LANGUAGE = 8000
_MOST_CODE = 2000

_ALIKE = (
    "bs hr sr sl",
    "da nb nn",
    "id ms jv",
    "yue zh",
    "cs sk",
    "af nl",
    "gl pt",
    "hi ur",
    "fa ckb",
    "xh zu",
)


def _group(language: str) -> int:
    return next((index for index, group in enumerate(_ALIKE, 1) if language in group.split()), 0)


LIKENESS = tuple(_group(language) for language in LANGUAGES)
"""Languages of one group, other than 0, are not told apart surely enough to switch a model for it."""

_BACKTICK = ord("`")
_FENCE_TICKS = 3


class MonitorRules(Record):
    """One level of the policy: how an answer is watched. A check that is 0 is off.

    `hold_back_ms`, `hold_back_tokens`: what is read before anything is shown, whichever comes first.
    `low_confidence`: thousandths of a nat; a window of `window_tokens` (at most MAX_WINDOW_TOKENS) whose tokens have a
    larger mean surprise is a finding. `repetition`: how often in a row a stretch of text comes until it is a loop.
    """

    hold_back_ms: i32
    hold_back_tokens: u16
    window_tokens: u16
    low_confidence: u16
    repetition: u8
    refusal: u8
    language_drift: u8
    broken_json: u8
    stale_knowledge: u8


class Monitor(Record):
    """What is known of one answer so far; `finding`: an index into FINDINGS.

    `started_at`: how many bytes of white space it began with, -1 while there is nothing else. `language`: the one it
    should be in, -1 for any; `other_language`: the one seen instead, `other_looks` times in a row; `looks_needed`: how
    many are too many. `ticks`: backticks in a row; `fenced`: 1 inside a fenced block; `prose_from`: where the text
    after the last fence begins. `late_refusal`: 1 when it refused after some words. `surprises`: a ring of the newest
    tokens', with their sum.
    """

    started_at: i64
    prose_from: i64
    tokens: i64
    surprise_sum: i32
    language: i32
    other_language: i32
    other_looks: u8
    looks_needed: u8
    expects_json: u8
    finding: u8
    late_refusal: u8
    ticks: u8
    fenced: u8
    json: JsonSyntax
    loop: Loop
    surprises: Annotated[U16, MAX_WINDOW_TOKENS]


def begin(monitor: Monitor, language: int, expects_json: int) -> None:
    """Start to watch an answer.

    `language`: index into LANGUAGES of the one that it should be in, -1 where that is not sure or any will do (as in a
    translation). `expects_json`: 1 where the answer must be one JSON value.
    """
    monitor.started_at = -1
    monitor.prose_from = 0
    monitor.tokens = 0
    monitor.surprise_sum = 0
    monitor.language = language
    monitor.other_language = -1
    monitor.other_looks = 0
    monitor.looks_needed = OPENING_LOOKS
    monitor.expects_json = expects_json
    monitor.finding = FINDING_NOTHING
    monitor.late_refusal = 0
    monitor.ticks = 0
    monitor.fenced = 0
    begin_json(monitor.json)
    begin_loop(monitor.loop)


def watch(
    monitor: Monitor,
    rules: MonitorRules,
    text: U8,
    start: int,
    length: int,
    logprobs: I32,
    first: int,
    count: int,
    table: LanguageTable,
    scratch: LanguageScratch,
    spoken: LanguageResult,
) -> int:
    """Read one chunk; gives the answer's finding, FINDING_NOTHING while there is none. After a finding nothing is read.

    The chunk is `text[start : start + length]`, UTF-8, and the natural log-probabilities of its tokens in thousandths,
    `logprobs[first : first + count]`. `scratch` and `spoken` are working space.
    """
    for index in range(start, start + length):
        if monitor.finding != FINDING_NOTHING:
            break
        byte = text[index]
        _read_byte(monitor, byte)
        monitor.finding = _fault_of_text(monitor, rules, byte)
        if monitor.finding == FINDING_NOTHING and rules.language_drift > 0 and _is_time_to_look(monitor):
            monitor.finding = _look_at_language(monitor, table, scratch, spoken)
    for index in range(first, first + count):
        if monitor.finding != FINDING_NOTHING:
            break
        monitor.finding = _read_logprob(monitor, rules, logprobs[index])
    return monitor.finding


def close(monitor: Monitor, rules: MonitorRules) -> int:
    """The answer has ended: gives its finding, and finds what only the end shows.

    That is an answer without text (one of tool calls alone too: the caller knows those), a JSON value that is not
    complete, and a short answer that refuses after some words.
    """
    if monitor.finding != FINDING_NOTHING:
        return monitor.finding
    if monitor.started_at < 0:
        monitor.finding = FINDING_EMPTY
    elif rules.broken_json > 0 and monitor.expects_json == 1 and not is_complete(monitor.json):
        monitor.finding = FINDING_BROKEN_JSON
    elif monitor.late_refusal == 1 and monitor.loop.length - monitor.started_at <= SHORT_ANSWER_BYTES:
        monitor.finding = FINDING_REFUSAL
    return monitor.finding


def _read_byte(monitor: Monitor, byte: int) -> None:
    if monitor.started_at < 0 and byte > 32:
        monitor.started_at = monitor.loop.length
    read_loop(monitor.loop, byte)
    if monitor.expects_json == 1:
        read_json(monitor.json, byte)
    monitor.ticks = min(monitor.ticks + 1, _FENCE_TICKS + 1) if byte == _BACKTICK else 0
    if monitor.ticks == _FENCE_TICKS:
        monitor.fenced = 1 - monitor.fenced
    if monitor.fenced == 1 or monitor.ticks == _FENCE_TICKS:
        monitor.prose_from = monitor.loop.length


def _fault_of_text(monitor: Monitor, rules: MonitorRules, byte: int) -> int:
    """What is wrong with the text up to its newest byte."""
    length = monitor.loop.length
    if rules.broken_json > 0 and monitor.expects_json == 1 and monitor.json.state == BROKEN:
        return FINDING_BROKEN_JSON
    if rules.repetition > 0 and repeats(monitor.loop, rules.repetition):
        return FINDING_REPETITION
    if rules.stale_knowledge > 0 and phrase_at_end(monitor.loop.text, length, STALE_KNOWLEDGE) > 0:
        return FINDING_STALE_KNOWLEDGE
    if rules.refusal > 0 and monitor.started_at >= 0 and length - monitor.started_at <= 2 * REFUSAL_BYTES:
        return _read_refusal(monitor)
    return FINDING_NOTHING


def _read_refusal(monitor: Monitor) -> int:
    """A refusal that ends with the newest byte; one that does not open the answer is remembered for its end."""
    size = phrase_at_end(monitor.loop.text, monitor.loop.length, REFUSAL)
    begins = monitor.loop.length - size - monitor.started_at
    if size > 0 and begins <= OPENING_BYTES:
        return FINDING_REFUSAL
    if size > 0 and begins <= REFUSAL_BYTES:
        monitor.late_refusal = 1
    return FINDING_NOTHING


def _is_time_to_look(monitor: Monitor) -> bool:
    return monitor.language >= 0 and monitor.loop.length % LOOK_BYTES == 0


def _look_at_language(monitor: Monitor, table: LanguageTable, scratch: LanguageScratch, spoken: LanguageResult) -> int:
    """Ask for the language of the newest text; drift is the same other language several times in a row.

    The stretch lies in one piece in the ring, whose size is a multiple of it. One that touches a fenced block says
    nothing.
    """
    start = monitor.loop.length - LOOK_BYTES
    if monitor.prose_from > start:
        return FINDING_NOTHING
    identify(monitor.loop.text, start & HISTORY_BYTES - 1, LOOK_BYTES, table, scratch, spoken)
    if spoken.score < SURE_OF_LANGUAGE or spoken.code > _MOST_CODE:
        return FINDING_NOTHING
    if _is_expected(monitor.language, spoken.language):
        monitor.other_looks = 0
        monitor.looks_needed = LATER_LOOKS
        return FINDING_NOTHING
    monitor.other_looks = monitor.other_looks + 1 if spoken.language == monitor.other_language else 1
    monitor.other_language = spoken.language
    return FINDING_LANGUAGE_DRIFT if monitor.other_looks >= monitor.looks_needed else FINDING_NOTHING


def _is_expected(expected: int, language: int) -> bool:
    return language == expected or (LIKENESS[language] > 0 and LIKENESS[language] == LIKENESS[expected])


def _read_logprob(monitor: Monitor, rules: MonitorRules, logprob: int) -> int:
    """Take a token's log-probability into the window; a full window that is too surprising is a finding."""
    window = min(rules.window_tokens, MAX_WINDOW_TOKENS)
    if rules.low_confidence == 0 or window == 0:
        return FINDING_NOTHING
    slot = monitor.tokens % window
    surprise = min(max(0, -logprob), 0xFFFF)
    if monitor.tokens >= window:
        monitor.surprise_sum -= monitor.surprises[slot]
    monitor.surprise_sum += surprise
    monitor.surprises[slot] = surprise
    monitor.tokens += 1
    if monitor.tokens >= window and monitor.surprise_sum > rules.low_confidence * window:
        return FINDING_LOW_CONFIDENCE
    return FINDING_NOTHING
