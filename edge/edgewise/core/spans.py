"""Spans in what a host reads: empty ones, and those that point at a name in the policy."""

from edgewise.core.layout import Memory
from edgewise.core.types import Span


def clear_span(span: Span) -> None:
    """Let the span stand for nothing."""
    span.start = 0
    span.length = 0


def set_name(span: Span, name: Span, memory: Memory) -> None:
    """Point the span at a name of the policy, where the policy stands in linear memory."""
    span.start = memory.addresses.policy + name.start
    span.length = name.length
