"""A real `edgewise serve` in a process of its own, on a free port of the loopback interface."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

EDGEWISE = [sys.executable, "-c", "from edgewise.cli import main; main()"]
START_SECONDS = 60
STOP_SECONDS = 30


class Server(AbstractContextManager["Server"]):
    """Starts a command that serves, waits until it listens, and keeps what it logs."""

    LISTENING = "listening on"
    """What it logs before its address."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None, cwd: str | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env and {**os.environ, **env},
            cwd=cwd,
        )
        self._lines: list[str] = []
        self._came = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = re.findall(r"http://\S+", self.wait_for(self.LISTENING, START_SECONDS))[-1]

    @classmethod
    def start(cls, *options: str) -> Self:
        """`edgewise serve` with options, on a free port."""
        return cls([*EDGEWISE, "serve", "--port", "0", *options])

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._came:
                self._lines.append(line.rstrip("\n"))
                self._came.notify_all()
        with self._came:
            self._came.notify_all()

    @property
    def log(self) -> str:
        """All that it has logged."""
        with self._came:
            return "\n".join(self._lines)

    def wait_for(self, text: str, seconds: float = 10, count: int = 1) -> str:
        """The line with the text that is logged as the `count`th such."""

        def found() -> list[str]:
            return [line for line in self._lines if text in line]

        with self._came:
            self._came.wait_for(lambda: len(found()) >= count or not self._reader.is_alive(), seconds)
            lines = found()
        assert len(lines) >= count, f"no {text!r} within {seconds} s:\n{self.log}"
        return lines[count - 1]

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit status, once it ended."""
        status = self.process.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)
        return status

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.wait()
        finally:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
