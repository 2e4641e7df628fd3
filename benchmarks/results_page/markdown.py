"""Parts of a Markdown page: tables, commands, formatted figures."""

from collections.abc import Iterator, Sequence


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, num_texts: int = 1) -> Iterator[str]:
    """Yield a table; the first `num_texts` columns are aligned left, the others right."""
    yield _line(headings)
    yield _line(["---" if number < num_texts else "---:" for number in range(len(headings))])
    yield from map(_line, rows)


def _line(cells: Sequence[str]) -> str:
    inside = " | ".join(cell.replace("|", r"\|") for cell in cells)
    return f"| {inside} |"


def commands(*lines: str, why_not_run: str) -> Iterator[str]:
    """Yield a block of commands that the tests of the docs only parse."""
    yield from (f"<!-- not run: {why_not_run} -->", "", "```console", *(f"$ {line}" for line in lines), "```")


def output(lines: Sequence[str]) -> Iterator[str]:
    """Yield a block with the output of a command on a GPU."""
    yield from ("<!-- not run: the figures of a GPU -->", "", "```text", *lines, "```")


def times(ratio: float) -> str:
    """Format a ratio."""
    return f"{ratio:.2f} x"


def percent(share: float) -> str:
    """Format a share."""
    return f"{share:.0%}"


def speed(steps_per_second: float) -> str:
    """Format denoise steps per second, with a third decimal below 1."""
    return f"{steps_per_second:.2f}" if steps_per_second >= 1 else f"{steps_per_second:.3f}"
