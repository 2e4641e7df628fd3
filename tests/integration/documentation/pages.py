"""The pages of the documentation, read into the blocks of code that they show.

A comment right above a block is not shown to readers, and says what the tests need to know:

    <!-- not run: needs a GPU -->          the block is parsed, and nothing more
    <!-- given conftest.py: ... -->        a file of the project that readers do not need to see
    <!-- given: ... -->                    lines that run before the block, in its place
    <!-- printed by: ... -->               the block is what these lines print
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_COMMENT = re.compile(r"<!--\s*(not run|given(?: [\w/.]+)?|printed by):(.*?)-->", re.DOTALL)
_FILE = re.compile(r"# ([\w/]+\.py)\n")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of code.

    Attributes:
        page: the page's path from the root of the repository.
        line: where the block begins on it, from one.
        section: the heading above it, of the first or second level.
        language: what stands behind its fence; empty where nothing does.
        text: what it shows.
        reason: why it is not run; empty where it is.
        files: the project's files that readers do not see.
        before: lines to run before it.
        printer: lines that print it.
    """

    page: str
    line: int
    section: str
    language: str
    text: str
    reason: str = ""
    files: tuple[tuple[str, str], ...] = ()
    before: str = ""
    printer: str = ""

    @property
    def place(self) -> str:
        """The page and line."""
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str:
        """The name of the file that the first line says it is; empty where it says nothing."""
        named = _FILE.match(self.text)
        return named[1] if named and self.language == "python" else ""

    def told(self, comments: str) -> Self:
        """Return the block with what the comments above it say."""
        known = [(kind, text.strip()) for kind, text in _COMMENT.findall(comments)]
        values = {name: text for kind, text in known if (name := _ATTRIBUTES.get(kind))}
        files = [(kind.removeprefix("given "), text) for kind, text in known if kind.startswith("given ")]
        return type(self)(**{**self.__dict__, **values, "files": tuple(files)})


_ATTRIBUTES = {"not run": "reason", "given": "before", "printed by": "printer"}


def blocks_of(page: Path) -> list[Block]:
    """Return every block of code of a page, in order."""
    found, section, comments = [], "", ""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    for number, token in enumerate(tokens):
        if token.type in {"fence", "code_block"}:
            found.append(_block(page, section, token).told(comments))
        elif token.type == "heading_open" and token.tag in {"h1", "h2"}:
            section = tokens[number + 1].content
        comments = comments + token.content if token.type == "html_block" else ""
    return found


def place(value: Path | Block) -> str:
    """Name a page or block in a test's id."""
    return value.place if isinstance(value, Block) else value.relative_to(ROOT).as_posix()


def _block(page: Path, section: str, token: Token) -> Block:
    return Block(
        page=page.relative_to(ROOT).as_posix(),
        line=(token.map or [0])[0] + 1,
        section=section,
        language=token.info.strip(),
        text=token.content,
    )


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
