"""Calls of core functions with plain Python values."""

from edgewise.core.labels import ROLES
from edgewise.core.transcript import Ask, Message, read_ask


def conversation(*turns: tuple[str, str | bytes]) -> tuple[list[Message], bytes]:
    """Messages of (role, content), and the buffer that their spans point in."""
    messages, text = [], bytearray()
    for role, content in turns:
        message = Message()
        data = content if isinstance(content, bytes) else content.encode()
        message.role = ROLES.index(role)
        message.content.start, message.content.length = len(text), len(data)
        text += data
        messages.append(message)
    return messages, bytes(text)


def ask_of(*turns: tuple[str, str | bytes]) -> Ask:
    """What the core reads of a conversation."""
    messages, text = conversation(*turns)
    ask = Ask()
    read_ask(messages, text, ask)
    return ask


def segments_of(ask: Ask) -> list[bytes]:
    """The bytes of each segment, the newest turn first."""
    return [
        bytes(ask.text[segment.start : segment.start + segment.length]) for segment in ask.segments[: ask.segment_count]
    ]


def read_user(text: str | bytes) -> bytes:
    """What is read of one user turn; b"" where nothing is."""
    segments = segments_of(ask_of(("user", text)))
    return segments[0] if segments else b""


class CountingBuffer:
    """Bytes that count how often they are looked at, and refuse an index outside."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads = 0

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < len(self.data):
            raise IndexError(f"{index} is outside 0..{len(self.data) - 1}")
        self.reads += 1
        return self.data[index]
