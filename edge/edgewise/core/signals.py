"""The signals: what the request is, from its text and its transcript, as the policy and the decision see it."""

from edgewise.core.labels import CLUSTER_OF_TASK, TASK_COUNT
from edgewise.core.layout import Decision
from edgewise.core.tokens import estimate
from edgewise.core.transcript import MAX_MESSAGES_READ, Message
from edgewise.core.types import U8, Records

TYPICAL_OUTPUT_TOKENS = (150, 120, 250, 700, 0, 0, 500, 120, 600, 600, 150)
"""By task. Where it is 0 (rewrite, translate) the answer is as long as what it works on."""

_TOKENS_A_MESSAGE = 4
_MIN_OUTPUT_TOKENS = 16


def count_input_tokens(messages: Records[Message], text: U8) -> int:
    """The estimated prompt size of the whole conversation, in tokens.

    The last MAX_MESSAGES_READ messages are sampled; older ones count with their average density.
    """
    first = max(0, len(messages) - MAX_MESSAGES_READ)
    read_tokens = 0
    read_bytes = 0
    for index in range(first, len(messages)):
        content = messages[index].content
        read_tokens += _TOKENS_A_MESSAGE + estimate(text, content.start, content.length)
        read_bytes += content.length
    older_bytes = 0
    for index in range(first):
        older_bytes += messages[index].content.length
    return read_tokens + older_bytes * read_tokens // max(1, read_bytes)


def expect_output_tokens(task: int, ask_tokens: int, max_output_tokens: int) -> int:
    """How long the answer will be, in tokens: what is typical of the task, never above the request's own limit."""
    typical = TYPICAL_OUTPUT_TOKENS[task]
    expected = typical if typical > 0 else max(_MIN_OUTPUT_TOKENS, ask_tokens)
    return min(expected, max_output_tokens) if max_output_tokens > 0 else expected


def derive_task(decision: Decision) -> None:
    """Set the task, its cluster and the confidence from the task scores."""
    best = 0
    for task in range(1, TASK_COUNT):
        if decision.task_scores[task] > decision.task_scores[best]:
            best = task
    decision.task = best
    decision.cluster = CLUSTER_OF_TASK[best]
    decision.confidence = decision.task_scores[best]


def last_turn_tokens(messages: Records[Message], text: U8, role: int) -> int:
    """The estimated tokens of the last message of a role; 0 where there is none."""
    for back in range(min(len(messages), MAX_MESSAGES_READ)):
        message = messages[len(messages) - 1 - back]
        if message.role == role:
            return estimate(text, message.content.start, message.content.length)
    return 0
