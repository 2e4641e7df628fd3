"""Run the code blocks of a page in order, in one project."""

import contextlib
import io
import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_diffopt.__main__ import main
from pytest_diffopt.pipelines import registry as pipelines
from pytest_diffopt.recipes import registry as recipes
from tests.integration.documentation.pages import Block
from tests.integration.documentation.shown_output import assert_printed

#: The reader's own module, which pages import but do not show.
MY_PIPELINES = """
import small_pipeline
from small_pipeline import SmallPipeline as MyPipeline

def build_my_pipeline(pipeline=MyPipeline):
    return small_pipeline.build(pipeline=pipeline)
"""
_PROMPT = "$ "


@dataclass(kw_only=True)
class Reader:
    """Writes the files of a page, and runs pytest as the page shows.

    A Python block that begins with a file name is written to that file; any other is executed. An output block, a
    command and the end of a section run the tests written since the last run. They must fail if the page shows a
    failure, and pass otherwise.
    """

    project: pytest.Pytester
    names: dict[str, Any] = field(default_factory=dict)
    unread: str = ""
    num_written: int = 0
    tests: dict[str, Path] = field(default_factory=dict)

    def read(self, blocks: list[Block]) -> None:
        """Run the blocks of one page."""
        section = ""
        for block in blocks:
            if block.section != section:
                self.end_section()
            section = block.section
            for name, text in block.files:
                self.write(name, text)
            if not block.reason:
                HANDLERS[block.language](self, block)
        self.end_section()
        assert not self.unread, f"{self.unread}: no test uses this file"

    def end_section(self) -> None:
        """Require tests without shown output to pass; files written before the first test run with it."""
        if self.unread and any(self.project.path.glob("**/test_*.py")):
            self.pytest("", self.unread, *self.tests)

    def python(self, block: Block) -> None:
        """Write a named file, or execute the lines."""
        if block.file:
            self.write(block.file, block.text)
            self.unread = block.place
        else:
            self.run(f"{block.before}\n{block.text}", block.place)

    def write(self, name: str, text: str) -> None:
        """Write a file of the project with a unique modification time, by which Python and pytest detect changes."""
        path = self.project.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self.num_written += 1
        os.utime(path, (self.num_written, self.num_written))
        if path.name.startswith("test_"):
            self.tests[name] = path

    def text(self, block: Block) -> None:
        """Compare the shown with the printed output."""
        if block.printer:
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                self.run(block.printer, block.place)
            assert_printed(block.text, printed.getvalue(), block.place)
        else:
            assert self.unread, f"{block.place}: nothing was written or run that could print this"
            self.pytest(block.text, block.place, *self.tests)

    def console(self, block: Block) -> None:
        """Run pytest and pytest_diffopt commands; any other command must show no output."""
        for command, shown in _commands(block.text):
            words = shlex.split(command, comments=True)
            if words[0] == "pytest":
                self.pytest(shown, block.place, *words[1:])
            elif words[:3] == ["python", "-m", "pytest_diffopt"]:
                with contextlib.redirect_stdout(io.StringIO()) as printed:
                    assert main(words[3:]) == 0
                assert_printed(shown, printed.getvalue(), block.place)
            else:
                assert not shown, f"{block.place}: mark what {command!r} prints as not run"

    def toml(self, block: Block) -> None:
        """Configure the project."""
        self.write("pyproject.toml", block.text)

    def other(self, _block: Block) -> None:
        """Skip the block: other tests parse it."""

    def run(self, code: str, place: str) -> None:
        """Execute lines of Python."""
        exec(compile(code, place, "exec"), self.names)  # noqa: S102 - from the project's own pages

    def pytest(self, shown: str, place: str, *options: str) -> None:
        """Run the project's tests with these options: those of the command, or the tests written since the last run."""
        self.unread = ""
        self.tests.clear()
        result = _run(self.project, *options)
        assert_printed(shown, "\n".join([*result.outlines, *result.errlines]), place)
        is_failure = shown.startswith("diffopt:")
        expected = pytest.ExitCode.TESTS_FAILED if is_failure else pytest.ExitCode.OK
        assert result.ret == expected, f"{place}: pytest ended with {result.ret!r}, expected {expected!r}"


HANDLERS = {
    "python": Reader.python,
    "text": Reader.text,
    "console": Reader.console,
    "toml": Reader.toml,
    "yaml": Reader.other,
    "json": Reader.other,
}


def _commands(text: str) -> list[tuple[str, str]]:
    """Return each command with the output shown below it."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines(keepends=True):
        if line.startswith(_PROMPT):
            found.append((line.removeprefix(_PROMPT).strip(), ""))
        else:
            found[-1] = (found[-1][0], found[-1][1] + line)
    return found


def _run(project: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Run pytest once, and undo what the project registered."""
    import torch  # noqa: PLC0415 - slow to import

    torch.compiler.reset()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipelines, "_FAMILIES", dict(pipelines._FAMILIES))
        patch.setattr(pipelines, "_REGISTERED_AT", {})
        patch.setattr(recipes, "_KINDS", dict(recipes._KINDS))
        return project.runpytest_inprocess("-W", "ignore", "--tb=short", *options)
