"""The transcript: which bytes of a conversation are the ask.

The ask is the last human turn and up to three user turns before it, with decaying weight. What a harness put around or
between (system prompts, tool results, reminder blocks, wrapper tags) has no vote. A long turn is read at its head and
tail: people say what they want before or after what they paste. Only a bounded number of bytes is ever looked at.
"""

from typing import Annotated

from edgewise.core.labels import ROLE_USER
from edgewise.core.tokens import UNITS_OF_BYTE, UNITS_PER_TOKEN
from edgewise.core.types import U8, Record, Records, Span, i32, u8

ASK_BYTES = 4096
ASK_SEGMENTS = 4
SEGMENT_WEIGHTS = (8, 4, 2, 1)
"""The last human turn weighs most; each user turn before it half as much as the next."""

HEAD_TOKENS, HEAD_BYTES = 384, 2048
TAIL_TOKENS, TAIL_BYTES = 128, 640
PRIOR_TOKENS, PRIOR_BYTES = 64, 320
MAX_MESSAGES_READ = 256
MAX_HARNESS_BYTES = 32768
"""How far the ends of harness blocks are searched for, all blocks and trailing spaces of a request together."""

_LESS_THAN, _GREATER_THAN, _SLASH = ord("<"), ord(">"), ord("/")
_MAX_TAG_BYTES = 96
_MAX_NAME_BYTES = 32


def _hash_name(name: str) -> int:
    value = 0
    for byte in name.encode():
        value = (value * 31 + byte) & 0xFFFFFFFF
    return value


HARNESS_BLOCKS = tuple(
    _hash_name(name)
    for name in (
        "additional_data command-message command-name current_datetime environment_context environment_details "
        "function_response function_results ide_opened_file ide_selection local-command-stdout "
        "open_and_recently_viewed_files project_layout reminder reminderinstructions rules system system-reminder "
        "system_reminder tool_output tool_response tool_result tool_results tool_use_error user_info user_rules "
        "workspace_info"
    ).split()
)
"""Elements whose content a harness wrote: nothing in them votes."""

HARNESS_WRAPPERS = tuple(
    _hash_name(name)
    for name in "command-args human input message prompt query request task user user_message user_query".split()
)
"""Elements that a harness puts around what the user wrote: only the tags are dropped."""


class Message(Record):
    """One turn: who speaks (index into ROLES), and its UTF-8 text."""

    role: u8
    content: Span


class Segment(Record):
    """A stretch of the ask that comes from one user turn, with its weight in the vote."""

    start: i32
    length: i32
    weight: i32


class Ask(Record):
    """The ask: its bytes, its segments (the newest turn first), and what was left out."""

    text: Annotated[U8, ASK_BYTES]
    segments: Annotated[Records[Segment], ASK_SEGMENTS]
    segment_count: i32
    length: i32
    user_turns: i32
    harness_budget: i32
    truncated: u8


def read_ask(messages: Records[Message], text: U8, ask: Ask) -> None:
    """Fill `ask` from the conversation whose messages' contents stand in `text`."""
    ask.segment_count = 0
    ask.length = 0
    ask.user_turns = 0
    ask.truncated = 0
    ask.harness_budget = MAX_HARNESS_BYTES
    first = max(0, len(messages) - MAX_MESSAGES_READ)
    for back in range(len(messages) - first):
        message = messages[len(messages) - 1 - back]
        if message.role == ROLE_USER:
            _read_turn(message, text, ask)


def _read_turn(message: Message, text: U8, ask: Ask) -> None:
    start = message.content.start
    end = start + message.content.length
    if ask.segment_count == ASK_SEGMENTS:
        ask.user_turns += 1 if _is_visible(text, start, end) else 0
        return
    end = _trim_trailing_blocks(text, start, end, ask)
    if not _is_visible(text, start, end):
        return
    segment = ask.segments[ask.segment_count]
    segment.start = ask.length
    segment.weight = SEGMENT_WEIGHTS[ask.segment_count]
    if ask.segment_count == 0:
        _copy_head_and_tail(text, start, end, ask)
    else:
        _copy(text, start, end, PRIOR_TOKENS, PRIOR_BYTES, ask)
    segment.length = ask.length - segment.start
    if _is_visible(ask.text, segment.start, ask.length):
        ask.segment_count += 1
        ask.user_turns += 1
    else:
        ask.length = segment.start


def _copy_head_and_tail(text: U8, start: int, end: int, ask: Ask) -> None:
    head_end = _copy(text, start, end, HEAD_TOKENS, HEAD_BYTES, ask)
    head_length = ask.length
    if _copy(text, head_end, end, TAIL_TOKENS, TAIL_BYTES, ask) < end:
        ask.truncated = 1
        ask.length = head_length
        _copy(text, _tail_start(text, head_end, end), end, TAIL_TOKENS, TAIL_BYTES, ask)


def _tail_start(text: U8, start: int, end: int) -> int:
    """Where the last TAIL_TOKENS of `text[start:end]` begin, at the first byte of a character."""
    index = end
    spent = 0
    while index > start and end - index < TAIL_BYTES:
        spent += UNITS_OF_BYTE[text[index - 1]]
        if spent > TAIL_TOKENS * UNITS_PER_TOKEN:
            break
        index -= 1
    while index < end and text[index] & 0xC0 == 0x80:
        index += 1
    return index


def _copy(text: U8, start: int, end: int, max_tokens: int, max_bytes: int, ask: Ask) -> int:
    """Append `text[start:end]` without harness text until a limit is reached; returns where reading stopped.

    Stops between characters; bytes that are not UTF-8 may overrun the limit by three.
    """
    index = start
    out = ask.length
    last = min(out + max_bytes, ASK_BYTES - 4)
    budget = max_tokens * UNITS_PER_TOKEN
    while index < end:
        byte = text[index]
        if out >= last and (byte & 0xC0 != 0x80 or out >= last + 3):
            break
        budget -= UNITS_OF_BYTE[byte]
        if budget < 0:
            break
        skipped = _harness_length(text, index, end, ask) if byte == _LESS_THAN else 0
        if skipped > 0:
            index += skipped
        else:
            ask.text[out] = byte
            out += 1
            index += 1
    ask.length = out
    return index


def _harness_length(text: U8, index: int, end: int, ask: Ask) -> int:
    """How many bytes of harness stand at a `<`: a whole block, a wrapper's tag, or none."""
    tag = _tag_length(text, index, end)
    if tag == 0:
        return 0
    closing = 1 if text[index + 1] == _SLASH else 0
    name = _tag_name(text, index + 1 + closing, end)
    if _contains_wrapper(name):
        return tag
    if not _contains_block(name):
        return 0
    if closing == 1:
        return tag
    return _block_end(text, index + tag, end, name, ask) - index


def _tag_length(text: U8, index: int, end: int) -> int:
    """The length of the tag that begins at a `<`, or 0 where there is none."""
    last = min(end, index + _MAX_TAG_BYTES)
    for position in range(index + 1, last):
        if text[position] == _GREATER_THAN:
            return position + 1 - index
        if text[position] == _LESS_THAN:
            return 0
    return 0


def _tag_name(text: U8, index: int, end: int) -> int:
    """The hash of the tag's name, lower-cased, up to a space, a slash or a bracket."""
    value = 0
    for position in range(index, min(end, index + _MAX_NAME_BYTES)):
        byte = text[position]
        if byte <= 32 or byte == _LESS_THAN or byte == _GREATER_THAN or byte == _SLASH:
            return value
        if 65 <= byte <= 90:
            byte += 32
        value = (value * 31 + byte) & 0xFFFFFFFF
    return value


def _contains_block(name: int) -> bool:
    for index in range(len(HARNESS_BLOCKS)):
        if HARNESS_BLOCKS[index] == name:
            return True
    return False


def _contains_wrapper(name: int) -> bool:
    for index in range(len(HARNESS_WRAPPERS)):
        if HARNESS_WRAPPERS[index] == name:
            return True
    return False


def _block_end(text: U8, index: int, end: int, name: int, ask: Ask) -> int:
    """Just after the closing tag of the named block, in which blocks of its own name may be nested.

    Where the tags do not pair, just after the first closing tag; where none is in reach, just after the opening tag.
    """
    position = index
    first_end = index
    depth = 1
    while position + 2 < end and ask.harness_budget > 0:
        ask.harness_budget -= 1
        if text[position] == _LESS_THAN:
            closing = 1 if text[position + 1] == _SLASH else 0
            if _tag_name(text, position + 1 + closing, end) == name:
                depth += 1 - 2 * closing
                after = position + max(1, _tag_length(text, position, end))
                if depth == 0:
                    return after
                if closing == 1 and first_end == index:
                    first_end = after
        position += 1
    return first_end


def _trim_trailing_blocks(text: U8, start: int, end: int, ask: Ask) -> int:
    """Where the turn ends once the blocks that a harness appended to it are left out."""
    trimmed = _trim_spaces(text, start, end, ask)
    while trimmed > start and text[trimmed - 1] == _GREATER_THAN:
        block = _trailing_block_start(text, start, trimmed, ask)
        if block == trimmed:
            return trimmed
        trimmed = _trim_spaces(text, start, block, ask)
    return trimmed


def _trim_spaces(text: U8, start: int, end: int, ask: Ask) -> int:
    trimmed = end
    while trimmed > start and ask.harness_budget > 0 and end - trimmed < TAIL_BYTES and text[trimmed - 1] <= 32:
        ask.harness_budget -= 1
        trimmed -= 1
    return trimmed


def _trailing_block_start(text: U8, start: int, end: int, ask: Ask) -> int:
    """Where the harness block that ends at `end` begins; `end` itself where there is none."""
    closing = end - 1
    while closing > start and end - closing < _MAX_TAG_BYTES and text[closing] != _LESS_THAN:
        closing -= 1
    if text[closing] != _LESS_THAN or text[closing + 1] != _SLASH or closing + _tag_length(text, closing, end) != end:
        return end
    name = _tag_name(text, closing + 2, end)
    if not _contains_block(name):
        return end
    position = closing
    last_start = end
    depth = 1
    while position > start and ask.harness_budget > 0:
        ask.harness_budget -= 1
        position -= 1
        if text[position] == _LESS_THAN:
            inner = 1 if text[position + 1] == _SLASH else 0
            if _tag_name(text, position + 1 + inner, closing) == name:
                depth += 2 * inner - 1
                if depth == 0:
                    return position
                if inner == 0 and last_start == end:
                    last_start = position
    return last_start


def _is_visible(text: U8, start: int, end: int) -> bool:
    """Whether there is anything but spaces and control characters within the first bytes."""
    for index in range(start, min(end, start + ASK_BYTES)):
        if text[index] > 32:
            return True
    return False
