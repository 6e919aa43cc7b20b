"""What the user sees: one live table on a terminal, prefixed lines in a log."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text


def duration(seconds: float) -> str:
    """Seconds in a reader's words, such as `8.2 s`, `3 min 20 s` or `1 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def tail(log: Path, lines: int = 15) -> list[str]:
    """The last lines of a log."""
    try:
        return log.read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return []


@dataclass
class Running:
    """One stage whose command runs, and what its log has said."""

    log: Path
    expected: float
    began: float = field(default_factory=time.monotonic)
    last: str = ""
    spinner: Spinner = field(default_factory=lambda: Spinner("dots"))
    file: BinaryIO | None = None
    rest: bytes = b""

    def lines(self) -> list[str]:
        """The whole lines written since the last call."""
        if self.file is None:
            try:
                self.file = self.log.open("rb")
            except FileNotFoundError:
                return []
        *whole, self.rest = (self.rest + self.file.read()).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        lines = [line.decode(errors="replace").rstrip() for line in whole]
        lines = [line for line in lines if line]
        self.last = lines[-1] if lines else self.last
        return lines

    def close(self) -> list[str]:
        """What is left in the log, its last line whole or not."""
        lines = self.lines()
        if self.rest.strip():
            lines.append(self.rest.decode(errors="replace").rstrip())
        if self.file is not None:
            self.file.close()
        return lines


class Lasting:
    """A stream that leads nowhere once its terminal has been closed, so that a run ends in order without a reader."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            with Path(os.devnull).open("w") as nowhere:  # where Python's own flush at its end goes too
                os.dup2(nowhere.fileno(), self.stream.fileno())


class Display:
    """Shows a run as it goes; a context manager.

    Parameters
    ----------
    console
        Where to. Unless it is a terminal, every line of every stage's log is printed, after the stage's name.
    summary
        Called for the line at the foot: what is done, what is left.
    """

    def __init__(self, console: Console, summary: Callable[[], str]) -> None:
        self.console, self.summary = console, summary
        console.file = Lasting(console.file)  # type: ignore[assignment]
        self.terminal = console.is_terminal  # a closed one is none any more
        self.running: dict[str, Running] = {}
        self.live = Live(console=console, get_renderable=self._table, refresh_per_second=4, transient=True)

    def __enter__(self) -> Display:
        if self.terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.terminal:
            self.live.stop()

    def started(self, name: str, log: Path, expected: float) -> None:
        self.running[name] = Running(log, expected)
        if not self.terminal:
            self.line(name, "started")

    def ended(self, name: str, words: str, style: str = "") -> None:
        """Print how a stage ended; it leaves the table."""
        running = self.running.pop(name, None)
        rest = running.close() if running else []
        if not self.terminal:
            self._echo(name, rest)
        foot = "" if self.terminal else f"  [{self.summary()}]"
        self.line(name, words + foot, style)

    def line(self, name: str, words: str, style: str = "") -> None:
        self.console.print(Text.assemble((f"{name} | ", "bold"), (words, style)), soft_wrap=True, highlight=False)

    def refresh(self) -> None:
        """Read the logs of what runs."""
        for name, running in list(self.running.items()):
            lines = running.lines()
            if not self.terminal:
                self._echo(name, lines)

    def _echo(self, name: str, lines: list[str]) -> None:
        for line in lines:
            self.line(name, line)

    def _table(self) -> RenderableType:
        table = Table.grid(padding=(0, 1), expand=True)
        running = list(self.running.items())
        texts = [(name, self._passed(stage)) for name, stage in running]
        table.add_column(width=1)
        for place in (0, 1):  # the log's line gives way, never the name
            table.add_column(no_wrap=True, width=max((len(text[place]) for text in texts), default=1))
        table.add_column(no_wrap=True, overflow="ellipsis", style="dim", ratio=1)
        for (name, passed), (_, stage) in zip(texts, running, strict=True):
            table.add_row(stage.spinner, Text(name, "bold"), passed, escape(stage.last))
        return Group(table, Text(self.summary(), "cyan"))

    @staticmethod
    def _passed(stage: Running) -> str:
        expected = f" of about {duration(stage.expected)}" if stage.expected else ""
        return duration(time.monotonic() - stage.began) + expected
