"""The mid-query monitor: what is wrong with an answer while it is still being written.

One `Monitor` follows one call of a model, chunk by chunk. It reads every byte once and keeps what it needs, so how an
answer is cut into chunks makes no difference. The first finding stays; what to do about it is the session's decision.
"""

from typing import Annotated

from edgewise.core.language import LanguageResult, LanguageScratch, LanguageTable
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
TEXT_BYTES = 768


class MonitorRules(Record):
    """One level of the policy: how an answer is watched. A check that is 0 is off.

    `hold_back_ms`, `hold_back_tokens`: what is read before anything is shown, whichever comes first.
    `low_confidence`: thousandths of a nat; a window of `window_tokens` (at most MAX_WINDOW_TOKENS) whose mean surprise is
    larger is a finding. `repetition`: how many times in a row a stretch of text comes before it is one.
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
    """What is known of one answer so far. `finding`: the first one, an index into FINDINGS; `length`: bytes read."""

    length: i64
    language: i32
    expects_json: u8
    finding: u8
    text: Annotated[U8, TEXT_BYTES]
    surprises: Annotated[U16, MAX_WINDOW_TOKENS]


def begin(monitor: Monitor, language: int, expects_json: int) -> None:
    """Start to watch an answer.

    `language`: index into LANGUAGES of the one it should be in, -1 where that is not sure or any will do (a translation).
    `expects_json`: 1 where the answer must be one JSON value.
    """
    monitor.length = 0
    monitor.language = language
    monitor.expects_json = expects_json
    monitor.finding = FINDING_NOTHING


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
    """Read one chunk; gives the answer's finding, FINDING_NOTHING while there is none.

    The chunk is `text[start : start + length]`, UTF-8, and the `count` log-probabilities of its tokens from `first` on, in
    thousandths (0 or less). `scratch` and `spoken` are working space.
    """
    return monitor.finding


def close(monitor: Monitor, rules: MonitorRules) -> int:
    """The answer has ended: gives its finding, now also FINDING_EMPTY, and FINDING_BROKEN_JSON where it is not complete.

    An answer of tool calls alone is empty to the monitor.
    """
    return monitor.finding
