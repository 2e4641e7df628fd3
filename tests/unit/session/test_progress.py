"""The progress line is shown below pytest's line, restores the cursor and is erased afterwards."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pytest_diffopt.session.progress import ProgressLine, erased_at_end


class Screen:
    """A terminal that interprets the control sequences that the line uses, and scrolls."""

    def __init__(self, rows: list[str]) -> None:
        """Show these rows, with the cursor at the end of the last."""
        self.rows = rows
        self.row, self.column = len(rows) - 1, len(rows[-1])

    def feed(self, text: str) -> None:
        """Interpret these characters."""
        while text:
            if text.startswith("\x1b["):
                number, command = "", ""
                for command in text[2:]:
                    if not command.isdigit():
                        break
                    number += command
                text = text[3 + len(number) :]
                self._command(command, int(number))
                continue
            character, text = text[0], text[1:]
            self._plain(character)

    def _plain(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.row, self.column = self.row + 1, 0
            if self.row == len(self.rows):
                self.rows.append("")
        else:
            line = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = line[: self.column] + character + line[self.column + 1 :]
            self.column += 1

    def _command(self, command: str, number: int) -> None:
        match command:
            case "A":
                self.row -= number
            case "C":
                self.column += number
            case "K":
                self.rows[self.row] = ""


class Terminal(io.StringIO):
    """Writes to a screen, only while capturing is suspended, and counts the writes."""

    def __init__(self, screen: Screen) -> None:
        """Bind to a screen."""
        super().__init__()
        self.screen = screen
        self.writes = 0
        self.is_captured = True

    def write(self, text: str) -> int:
        """Write to the screen."""
        assert not self.is_captured
        self.writes += 1
        self.screen.feed(text)
        return len(text)

    @contextmanager
    def uncaptured(self) -> Iterator[None]:
        """Suspend capturing."""
        self.is_captured = False
        yield
        self.is_captured = True


@pytest.fixture
def screen() -> Screen:
    """Return a screen on which pytest wrote an unfinished line."""
    return Screen(["collected 2 items", "test_it.py ."])


def line_on(screen: Screen, now: list[float], *, width: int = 40) -> tuple[ProgressLine, Terminal]:
    """Return a progress line below pytest's unfinished line, and its terminal."""
    terminal = Terminal(screen)
    line = ProgressLine(
        terminal,
        width=width,
        column=lambda: len("test_it.py ."),
        uncaptured=terminal.uncaptured,
        clock=lambda: now[0],
    )
    return line, terminal


def test_the_line_is_shown_below_and_erased(screen: Screen) -> None:
    """It is rewritten in place; afterwards pytest continues its own line."""
    now = [0.0]
    line, _terminal = line_on(screen, now)

    with erased_at_end(line) as progress:
        progress("building sdxl (tiny)")
        assert screen.rows == ["collected 2 items", "test_it.py .", "diffopt: building sdxl (tiny)"]
        now[0] = 1.0
        progress("measuring")
        assert screen.rows[2] == "diffopt: measuring"
        assert (screen.row, screen.column) == (1, len("test_it.py ."))
    screen.feed(".")

    assert screen.rows == ["collected 2 items", "test_it.py ..", ""]


def test_a_long_text_is_cut_before_it_wraps(screen: Screen) -> None:
    """A wrapped line could not be erased."""
    line, _terminal = line_on(screen, [0.0], width=20)
    line("a text that is longer than the terminal")

    assert screen.rows[2] == "diffopt: a text tha"


def test_the_rate_of_writes_is_limited(screen: Screen) -> None:
    """Of several texts within 0.1 s only the first is shown."""
    now = [0.0]
    line, terminal = line_on(screen, now)
    for _ in range(100):
        now[0] += 0.001
        line("measuring")

    assert terminal.writes == 1


def test_without_progress_nothing_is_written(screen: Screen) -> None:
    """Neither without a text, nor without a terminal."""
    line, terminal = line_on(screen, [0.0])
    with erased_at_end(line):
        pass
    with erased_at_end(None) as progress:
        progress("not shown")

    assert terminal.writes == 0
