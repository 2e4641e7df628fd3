"""A MkDocs hook: warn about pages that load resources from another host."""

import logging
from html.parser import HTMLParser
from typing import Any

_LOG = logging.getLogger("mkdocs.hooks.site_without_network")
#: The attributes whose URLs a browser fetches automatically, by tag.
_FETCHED = {"audio": "src", "iframe": "src", "img": "src", "link": "href", "script": "src", "source": "src"}
#: The values of `rel` that only describe a page, and fetch nothing.
_DESCRIPTIVE = {"canonical", "next", "prev"}


class _FetchedAddresses(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the URL on another host that this tag fetches."""
        given = dict(attrs)
        address = given.get(_FETCHED.get(tag, "")) or ""
        if address.startswith(("http:", "https:", "//")) and given.get("rel") not in _DESCRIPTIVE:
            self.addresses.append(address)


def fetched_from_elsewhere(html: str) -> list[str]:
    """Return the URLs on other hosts that a browser fetches to show a page."""
    parser = _FetchedAddresses()
    parser.feed(html)
    return parser.addresses


def on_post_page(output: str, page: Any, **_names: object) -> None:
    """Warn about each URL on another host; a strict build turns the warning into an error."""
    for address in fetched_from_elsewhere(output):
        _LOG.warning("%s must not fetch from another host, got: %s", page.file.src_uri, address)
