"""A line below pytest's own that says what takes so long: on a terminal alone, gone when the work is done."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TextIO

#: Tells of long work: one line without a line end.
ProgressCallback = Callable[[str], None]

_SECONDS_BETWEEN = 0.1
_ERASE_LINE = "\x1b[2K"
_UP = "\x1b[1A"


def no_progress(_text: str) -> None:
    """Tell nobody: no terminal, or one that somebody else writes to."""


class ProgressLine:
    """One line below the cursor, rewritten in place; the cursor goes back to where pytest left it.

    It is written to the terminal and never to a log: nothing of it stays.
    """

    def __init__(
        self,
        terminal: TextIO,
        *,
        width: int,
        column: Callable[[], int],
        uncaptured: Callable[[], AbstractContextManager[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Bind a line to a terminal.

        Args:
            terminal: where pytest writes.
            width: of the terminal; longer text is cut, as it would wrap and stay.
            column: returns how many characters pytest has written on its current line.
            uncaptured: lets what is written reach the terminal while a test's output is captured.
            clock: returns seconds.
        """
        self._terminal = terminal
        self._width = width
        self._column = column
        self._uncaptured = uncaptured
        self._clock = clock
        self._last = float("-inf")
        self._is_shown = False

    def __call__(self, text: str) -> None:
        """Show a text, unless the last one is younger than a tenth of a second."""
        now = self._clock()
        if now - self._last < _SECONDS_BETWEEN:
            return
        self._last = now
        self._write("diffopt: " + text)
        self._is_shown = True

    def erase(self) -> None:
        """Leave no trace."""
        if self._is_shown:
            self._write("")
            self._is_shown = False
        self._last = float("-inf")

    def _write(self, text: str) -> None:
        # "\n" scrolls where the cursor is on the last row, so going up again always ends on pytest's own line.
        back = f"\r\x1b[{column}C" if (column := self._column()) else "\r"
        with self._uncaptured():
            self._terminal.write(f"\n{_ERASE_LINE}{text[: self._width - 1]}{_UP}{back}")
            self._terminal.flush()


@contextmanager
def erased_at_end(line: ProgressLine | None) -> Iterator[ProgressCallback]:
    """Give a block something to tell its progress to; nothing of it is left when the block ends."""
    if line is None:
        yield no_progress
        return
    try:
        yield line
    finally:
        line.erase()
