"""A progress line below pytest's output, shown only on a TTY and erased afterwards."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TextIO

#: Shows one line of text without a line end.
ProgressCallback = Callable[[str], None]

_SECONDS_BETWEEN = 0.1
_ERASE_LINE = "\x1b[2K"
_UP = "\x1b[1A"


def no_progress(_text: str) -> None:
    """Show nothing: there is no TTY, or other output goes to it."""


class ProgressLine:
    """One line below the cursor, rewritten in place; the cursor returns to where pytest left it.

    It is written to the terminal and never to a log.
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
            width: columns of the terminal; longer text is cut, because wrapped text could not be erased.
            column: returns the number of characters on pytest's current line.
            uncaptured: suspends the capture of a test's output.
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
        """Show a text, unless the previous one is less than 0.1 s old."""
        now = self._clock()
        if now - self._last < _SECONDS_BETWEEN:
            return
        self._last = now
        self._write("diffopt: " + text)
        self._is_shown = True

    def erase(self) -> None:
        """Erase the line."""
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
    """Yield a callback that shows progress; the line is erased when the block ends."""
    if line is None:
        yield no_progress
        return
    try:
        yield line
    finally:
        line.erase()
