"""The reader detects pages whose examples do not run as shown."""

from pathlib import Path

import pytest

from tests.integration.documentation import pages
from tests.integration.documentation.pages import Block, blocks_of
from tests.integration.documentation.reading import HANDLERS, Reader
from tests.integration.documentation.shown_output import assert_printed

PASSING = """
```python
# test_it.py
def test_it():
    pass
```
"""
FAILING = PASSING.replace("pass", 'import pytest; pytest.fail("diffopt: broken", pytrace=False)')
SHOWN = """
```text
diffopt: broken
```
"""


@pytest.fixture
def reader(pytester: pytest.Pytester) -> Reader:
    """Make a reader with its own project."""
    pytester.makeini("[pytest]\n")
    return Reader(project=pytester)


@pytest.fixture(autouse=True)
def _pages_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ROOT", tmp_path)


def blocks(tmp_path: Path, text: str) -> list[Block]:
    """Return the blocks of a page with this text."""
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    return blocks_of(page)


@pytest.mark.parametrize(
    "text",
    [
        PASSING,
        FAILING + SHOWN,
        PASSING + "\n```text\n... 1 passed in ...\n```\n",
        PASSING + "\n```console\n$ pytest -q\n1 passed...\n```\n",
        "<!-- not run: it is broken -->\n" + FAILING,
        FAILING.replace("test_it()", "helper()") + PASSING.replace("test_it.py", "test_other.py"),
        "<!-- given helper.py:\nVALUE = 1\n-->\n" + PASSING.replace("pass", "import helper; assert helper.VALUE"),
        "<!-- given:\nvalue = 1\n-->\n```python\nassert value == 1\n```\n",
        "<!-- printed by:\nprint(6 * 7)\n-->\n```text\n42\n```\n",
    ],
)
def test_a_correct_page_passes(reader: Reader, tmp_path: Path, text: str) -> None:
    """Passing tests without output, failing tests with their output, commands, hidden files and printed lines."""
    reader.project.makepyfile(conftest="import sys; sys.path.insert(0, '')")
    reader.read(blocks(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FAILING, "page.md:2: pytest ended with <ExitCode.TESTS_FAILED: 1>"),
        (FAILING + SHOWN.replace("broken", "fixed"), "page.md:8 shows what was not printed"),
        (PASSING + "\n```console\n$ pytest -k nothing\n```\n", "NO_TESTS_COLLECTED"),
        (SHOWN, "page.md:2: nothing was written or run that could print this"),
        (PASSING.replace("test_it.py", "helper.py"), "page.md:2: no test uses this file"),
        ("```console\n$ make gate\nall is well\n```\n", "mark what 'make gate' prints as not run"),
        ("<!-- printed by:\nprint(6 * 7)\n-->\n```text\n43\n```\n", "page.md:4 shows what was not printed"),
        ("```python\nassert 1 == 2\n```\n", ""),
    ],
)
def test_an_incorrect_page_fails(reader: Reader, tmp_path: Path, text: str, message: str) -> None:
    """The error contains the page and line."""
    with pytest.raises(AssertionError) as error:
        reader.read(blocks(tmp_path, text))

    assert message in str(error.value)


def test_an_indented_block_has_no_handler(tmp_path: Path) -> None:
    """It has no language, so that `test_a_block_has_a_language_with_a_handler` fails."""
    (block,) = blocks(tmp_path, "text\n\n    $ make gate\n")

    assert block.language not in HANDLERS


def test_a_comment_applies_only_to_the_next_block(tmp_path: Path) -> None:
    """Later blocks are run."""
    below, later = blocks(tmp_path, f"<!-- not run: needs a GPU -->\n{PASSING}\nAnd then:\n{PASSING}")

    assert (below.reason, later.reason) == ("needs a GPU", "")


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("one ... three", "zero\none two three\n"),
        ("one\n...\nfour", "one\ntwo\nthree\nfour"),
        ("one\n  two", "one\n  two  \n"),
    ],
)
def test_three_dots_match_the_rest(shown: str, printed: str) -> None:
    """Within one line, or for several lines."""
    assert_printed(shown, printed, "page.md:1")


@pytest.mark.parametrize(
    ("shown", "printed"),
    [("two", "one two"), ("one\nthree", "one\ntwo\nthree"), ("1 [a]", "1 a"), ("one", "")],
)
def test_whole_lines_are_compared(shown: str, printed: str) -> None:
    """Lines must be complete, consecutive and literally equal."""
    with pytest.raises(AssertionError, match="shows what was not printed"):
        assert_printed(shown, printed, "page.md:1")
