"""Pages of the documentation load no resources from other hosts."""

import pytest

from tools.site_without_network import fetched_from_elsewhere


@pytest.mark.parametrize(
    "html",
    [
        '<link rel="stylesheet" href="https://fonts.googleapis.com/css">',
        '<link rel="preconnect" href="https://fonts.gstatic.com">',
        '<script src="//unpkg.com/mermaid"></script>',
        '<img alt="badge" src="https://img.shields.io/a">',
        '<iframe src="http://example.org"></iframe>',
    ],
)
def test_a_resource_on_another_host_is_found(html: str) -> None:
    """Fonts, scripts, images and frames."""
    assert len(fetched_from_elsewhere(html)) == 1


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://github.com">elsewhere</a>',
        '<link rel="canonical" href="https://example.org/page.html">',
        '<script src="assets/javascripts/bundle.js"></script>',
        '<img src="report.png">',
    ],
)
def test_links_and_local_resources_are_accepted(html: str) -> None:
    """A browser does not fetch links automatically."""
    assert fetched_from_elsewhere(html) == []
