"""Every page of the documentation is found: in the navigation, or by a link on a page that is."""

import posixpath
import re
from collections.abc import Iterator

import pytest
import yaml

from tests.integration.documentation.pages import ROOT

DOCS = ROOT / "docs"
_LINK = re.compile(r"\]\(([^)#\s]+\.md)")


def in_navigation(entries: object) -> Iterator[str]:
    """Yield the pages of a navigation, which nests lists and dictionaries."""
    if isinstance(entries, str):
        yield entries
    elif isinstance(entries, dict):
        yield from (page for one in entries.values() for page in in_navigation(one))
    elif isinstance(entries, list):
        yield from (page for one in entries for page in in_navigation(one))


NAVIGATION = set(in_navigation(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
LINKED = {
    posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
    for page in NAVIGATION
    for link in _LINK.findall((DOCS / page).read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("page", sorted(file.relative_to(DOCS).as_posix() for file in DOCS.rglob("*.md")))
def test_a_page_is_reached(page: str) -> None:
    """From the navigation, or with one more click."""
    assert page in NAVIGATION | LINKED
