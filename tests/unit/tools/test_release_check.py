"""A release needs a matching tag, and a section in the changelog."""

from tools.release_check import problems

CHANGELOG = "# Changelog\n\n## 1.2.0 (2026-11-21)\n\n- New.\n"


def test_a_release_that_matches_its_tag() -> None:
    """The section of the changelog can omit the date."""
    assert problems("v1.2.0", "1.2.0", CHANGELOG) == []
    assert problems("v1.2.0", "1.2.0", "## 1.2.0") == []


def test_another_tag_is_refused() -> None:
    """Also a tag without `v`."""
    rule = "the tag must be v1.2.0, the version in pytest_diffopt/_version.py"

    assert problems("v1.2.1", "1.2.0", CHANGELOG) == [f"{rule}, got: 'v1.2.1'"]
    assert problems("1.2.0", "1.2.0", CHANGELOG) == [f"{rule}, got: '1.2.0'"]


def test_a_version_without_a_changelog_section_is_refused() -> None:
    """A section of an unreleased version is refused too."""
    rule = "CHANGELOG.md must have the section '## 1.2.0 (YYYY-MM-DD)'"

    assert problems("v1.2.0", "1.2.0", "## 11.2.0") == [rule]
    assert problems("v1.2.0", "1.2.0", "## 1.2.0 (unreleased)") == [rule]
