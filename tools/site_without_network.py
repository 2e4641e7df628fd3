"""A hook of MkDocs: no page of the site asks another host for anything but what a reader follows."""

import logging
from html.parser import HTMLParser
from typing import Any

_LOG = logging.getLogger("mkdocs.hooks.site_without_network")
#: The attributes by which a browser fetches something on its own.
_FETCHED = {"audio": "src", "iframe": "src", "img": "src", "link": "href", "script": "src", "source": "src"}
#: Links that tell what a page is and fetch nothing.
_TELLING = {"canonical", "next", "prev"}


class _Fetched(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what this tag would fetch from elsewhere."""
        given = dict(attrs)
        address = given.get(_FETCHED.get(tag, "")) or ""
        if address.startswith(("http:", "https:", "//")) and given.get("rel") not in _TELLING:
            self.addresses.append(address)


def fetched_from_elsewhere(html: str) -> list[str]:
    """Return the addresses on other hosts that a browser would fetch to show a page."""
    parser = _Fetched()
    parser.feed(html)
    return parser.addresses


def on_post_page(output: str, page: Any, **_names: object) -> None:
    """Warn of a page that needs the network; a strict build ends with an error then."""
    for address in fetched_from_elsewhere(output):
        _LOG.warning("%s must not fetch from another host, got: %s", page.file.src_uri, address)
