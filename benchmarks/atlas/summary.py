"""The summary of an atlas in Markdown: its headline, the worst loops and their fixes, and what was not measured."""

import textwrap
from collections.abc import Sequence

from benchmarks.atlas.difference import Change
from benchmarks.atlas.entries import Atlas
from benchmarks.atlas.graph_breaks import breaking_lines
from benchmarks.atlas.headline import measured, shares
from benchmarks.atlas.labels import anchor, labels
from benchmarks.atlas.page import MOST_LINES, not_measured, shared_lines, template
from benchmarks.atlas.worst import worst

_MOST_PROBLEMS = 10
_MOST_NAMES = 3
_LONGEST_SOURCE = 90
_README_WIDTH = 116
_ESCAPED = {"<": "&lt;", ">": "&gt;", "`": "'", "*": r"\*", "_": r"\_", "[": r"\["}


def summary(atlas: Atlas, changes: Sequence[Change] = (), *, before: str = "") -> str:
    """Return the summary.

    Args:
        atlas: the atlas.
        changes: what changed since the release before.
        before: that release; empty if none was compared.
    """
    entries = measured(atlas)
    named = labels(entries)
    return template("atlas.md").render(
        atlas=atlas,
        shares=shares(atlas),
        problems=worst(entries, _MOST_PROBLEMS),
        breaks=breaking_lines(entries),
        lines=shared_lines(entries)[:MOST_LINES],
        changes=changes,
        before=before,
        others=not_measured(atlas),
        names=lambda group: _names([named[one.name] for one in group]),
        code=_code,
        plain=_plain,
    )


def readme_sentence(atlas: Atlas) -> str:
    """Return the headline with the command, as lines of a page in the root of the repository."""
    pipelines, later, first, *_ = shares(atlas)
    so_far = f", folders of tests left: {len(atlas.left)}" if atlas.left else ""
    text = (
        f"[The atlas of diffusers {atlas.versions['diffusers']}](docs/atlas/index.md) (`make atlas`; {pipelines.count} "
        f"pipelines{so_far}): {later.count} of {later.total} denoise loops synchronize the CPU with the GPU in later "
        f"steps, {first.count} more in the first step."
    )
    return "\n".join(textwrap.wrap(text, _README_WIDTH, break_long_words=False, break_on_hyphens=False)) + "\n"


def _names(pipelines: Sequence[str]) -> str:
    """Return links to the first pipelines, and the number of the others."""
    shown = ", ".join(f"[{name}](table.html#{anchor(name)})" for name in pipelines[:_MOST_NAMES])
    more = len(pipelines) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _code(source: str) -> str:
    """Return source text as a cell of a table has it."""
    text = source if len(source) <= _LONGEST_SOURCE else f"{source[: _LONGEST_SOURCE - 4]} ..."
    return text.replace("|", "\\|").replace("`", "'")


def _plain(text: str) -> str:
    """Return foreign text without what Markdown or HTML would interpret."""
    return "".join(_ESCAPED.get(character, character) for character in text)
