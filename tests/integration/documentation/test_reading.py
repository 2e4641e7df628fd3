"""A page that does not hold is found: the other tests here would be green over anything else."""

from pathlib import Path

import pytest

from tests.integration.documentation import pages
from tests.integration.documentation.pages import Block, blocks_of
from tests.integration.documentation.reading import HABITS, Reader
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
    """Make a reader with a project of their own."""
    pytester.makeini("[pytest]\n")
    return Reader(project=pytester)


@pytest.fixture(autouse=True)
def _pages_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ROOT", tmp_path)


def blocks(tmp_path: Path, text: str) -> list[Block]:
    """Read a page."""
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
def test_a_page_that_holds_is_read_to_its_end(reader: Reader, tmp_path: Path, text: str) -> None:
    """Green where nothing or a green run is shown."""
    reader.project.makepyfile(conftest="import sys; sys.path.insert(0, '')")
    reader.read(blocks(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "told"),
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
def test_a_page_that_does_not_hold_fails(reader: Reader, tmp_path: Path, text: str, told: str) -> None:
    """With the page and line."""
    with pytest.raises(AssertionError) as error:
        reader.read(blocks(tmp_path, text))

    assert told in str(error.value)


def test_code_that_is_only_indented_is_found_too(tmp_path: Path) -> None:
    """It has no language, which nobody knows how to run."""
    (block,) = blocks(tmp_path, "text\n\n    $ make gate\n")

    assert block.language not in HABITS


def test_a_mark_is_for_the_block_below_it_alone(tmp_path: Path) -> None:
    """A paragraph in between ends what it says."""
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
def test_three_dots_stand_for_the_rest(shown: str, printed: str) -> None:
    """Of a line, or of many."""
    assert_printed(shown, printed, "page.md:1")


@pytest.mark.parametrize(
    ("shown", "printed"),
    [("two", "one two"), ("one\nthree", "one\ntwo\nthree"), ("1 [a]", "1 a"), ("one", "")],
)
def test_whole_lines_are_compared(shown: str, printed: str) -> None:
    """One below the other, and letter by letter."""
    with pytest.raises(AssertionError, match="shows what was not printed"):
        assert_printed(shown, printed, "page.md:1")
