"""Nothing is published under a version that is not its own."""

from tools.release_check import problems

CHANGELOG = "# Changelog\n\n## 1.2.0 (2026-11-21)\n\n- New.\n"


def test_a_release_that_fits_its_tag() -> None:
    """With or without the day."""
    assert problems("v1.2.0", "1.2.0", CHANGELOG) == []
    assert problems("v1.2.0", "1.2.0", "## 1.2.0") == []


def test_another_tag_is_refused() -> None:
    """Also one without its letter."""
    rule = "the tag must be v1.2.0, the version in pytest_diffopt/_version.py"

    assert problems("v1.2.1", "1.2.0", CHANGELOG) == [f"{rule}, got: 'v1.2.1'"]
    assert problems("1.2.0", "1.2.0", CHANGELOG) == [f"{rule}, got: '1.2.0'"]


def test_a_version_without_its_news_is_refused() -> None:
    """Or whose news are not released yet."""
    rule = "CHANGELOG.md must have the section '## 1.2.0 (YYYY-MM-DD)'"

    assert problems("v1.2.0", "1.2.0", "## 11.2.0") == [rule]
    assert problems("v1.2.0", "1.2.0", "## 1.2.0 (unreleased)") == [rule]
