"""Texts that a terminal and a GitHub Actions runner print and do not interpret.

A runner reads commands from the output of every step: a line that begins with `::name ...::` after blanks, and
`##[name ...]` anywhere in a line (`src/Runner.Common/ActionCommand.cs` in actions/runner). Names of pipelines and
tests, paths and texts of exceptions come from the code that is tested, so they must not be able to form one.
"""

import re
import unicodedata

_COMMAND = re.compile(r"^(\s*):(?=:)")
_OLD_COMMAND = "##["
_BROKEN_OLD_COMMAND = "## ["
_LINE_ENDS = re.compile(r"\r\n|[\r\n]")


def printable_line(text: str) -> str:
    """Return a text as one line without a control character and without a workflow command."""
    line = "".join(character if character.isprintable() else " " for character in text)
    # The runner compares by the rules of a language, which ignore combining marks.
    bare = "".join(character for character in line if not unicodedata.category(character).startswith("M"))
    if bare == line or not (_COMMAND.match(bare) or _OLD_COMMAND in bare):
        bare = line
    return _COMMAND.sub(r"\1: ", bare).replace(_OLD_COMMAND, _BROKEN_OLD_COMMAND)


def printable_lines(text: str) -> str:
    """Return a text with its lines kept, each as `printable_line` returns it."""
    return "\n".join(map(printable_line, _LINE_ENDS.split(text)))
