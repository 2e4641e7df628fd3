"""Parse the pages of the documentation into code blocks.

An HTML comment directly above a block is invisible to readers and configures its test:

    <!-- not run: needs a GPU -->          the block is only parsed
    <!-- given conftest.py: ... -->        a file of the project that the page does not show
    <!-- given: ... -->                    lines that run before the block
    <!-- printed by: ... -->               the block is the output of these lines
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
        line: the block's first line on the page, from 1.
        section: the closest heading above it, of level 1 or 2.
        language: the info string of its fence; may be empty.
        text: its content.
        reason: why it is not run; empty if it is run.
        files: name and content of files that the page does not show.
        before: lines that run before it.
        printer: lines whose output it is.
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
        """The file name in the comment on its first line; empty without one."""
        named = _FILE.match(self.text)
        return named[1] if named and self.language == "python" else ""

    def with_comments(self, comments: str) -> Self:
        """Return the block with the attributes that the comments above it set."""
        known = [(kind, text.strip()) for kind, text in _COMMENT.findall(comments)]
        values = {name: text for kind, text in known if (name := _ATTRIBUTES.get(kind))}
        files = [(kind.removeprefix("given "), text) for kind, text in known if kind.startswith("given ")]
        return type(self)(**{**self.__dict__, **values, "files": tuple(files)})


_ATTRIBUTES = {"not run": "reason", "given": "before", "printed by": "printer"}


def blocks_of(page: Path) -> list[Block]:
    """Return the code blocks of a page, in order."""
    found, section, comments = [], "", ""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    for number, token in enumerate(tokens):
        if token.type in {"fence", "code_block"}:
            found.append(_block(page, section, token).with_comments(comments))
        elif token.type == "heading_open" and token.tag in {"h1", "h2"}:
            section = tokens[number + 1].content
        comments = comments + token.content if token.type == "html_block" else ""
    return found


def place(value: Path | Block) -> str:
    """Return the test id of a page or block."""
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
