"""Check that a release has the version of its tag, and a section in the changelog."""

import re
import sys
from pathlib import Path

from pytest_diffopt._version import __version__


def problems(tag: str, version: str, changelog: str) -> list[str]:
    """Return the problems of a release; empty if it can be published."""
    found = []
    if tag != f"v{version}":
        found.append(f"the tag must be v{version}, the version in pytest_diffopt/_version.py, got: {tag!r}")
    if not re.search(rf"^## {re.escape(version)}(?: \(\d{{4}}-\d\d-\d\d\))?$", changelog, re.MULTILINE):
        found.append(f"CHANGELOG.md must have the section '## {version} (YYYY-MM-DD)'")
    return found


def main() -> int:
    """Check the tag given as argument."""
    found = problems(sys.argv[1], __version__, Path("CHANGELOG.md").read_text(encoding="utf-8"))
    sys.stdout.writelines(f"{problem}\n" for problem in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
