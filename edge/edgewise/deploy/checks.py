"""What a check found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what holds, or, in `problem`, what is wrong and what to write instead."""

    what: str
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it holds."""
        return self.problem is None
