"""Commands that GitHub Actions reads from the output of a step, with their texts escaped."""

from enum import StrEnum

# What the runner converts back (`src/Runner.Common/ActionCommand.cs` in actions/runner).
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = _DATA | str.maketrans({":": "%3A", ",": "%2C"})


class Level(StrEnum):
    """How GitHub shows an annotation."""

    ERROR = "error"
    NOTICE = "notice"


def annotation(level: Level, message: str, *, title: str = "diffopt", file: str = "", line: int = 0) -> str:
    """Return the command for an annotation, in one line.

    Args:
        level: how GitHub shows it.
        message: its text.
        title: its title.
        file: the file that it is shown at, relative to the root of the repository; empty for none.
        line: the line of the file, from 1; 0 for the whole file.
    """
    properties = {"file": file, "line": str(line) if line else "", "title": title}
    written = ",".join(f"{name}={value.translate(_PROPERTY)}" for name, value in properties.items() if value)
    return f"::{level} {written}::{message.translate(_DATA)}"
