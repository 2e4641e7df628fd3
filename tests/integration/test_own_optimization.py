"""The page's own optimization, as it stands there: registered, applied, found, and missed when it does nothing."""

from pathlib import Path

import pytest

from pytest_diffopt.recipes import registry

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = (DOCS / "examples" / "own_optimization.py").read_text(encoding="utf-8")
TESTS = """
import pytest
from pytest_diffopt import assert_optimizations_applied

@pytest.mark.diffopt(pipeline="sdxl", recipe="bf16 + freeu(backbone=1.4)")
def test_applied(optimized_pipeline):
    assert_optimizations_applied(optimized_pipeline)

@pytest.mark.diffopt(pipeline="sdxl", recipe="bf16 + freeu(backbone=1.4)")
def test_undone(optimized_pipeline):
    optimized_pipeline.disable_freeu()
    assert_optimizations_applied(optimized_pipeline)
"""


@pytest.fixture(autouse=True)
def _nothing_stays_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_KINDS", dict(registry._KINDS))


def test_the_example_runs(project: pytest.Pytester) -> None:
    """In a conftest, where the documentation puts it."""
    project.makeconftest(EXAMPLE)
    project.makepyfile(test_it=TESTS)
    result = project.runpytest_inprocess("-W", "ignore")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 of 2 optimizations is not applied",
            "  freeu(backbone=1.4): 0 of 3 up blocks scale their backbone",
            "    missing: no up block of unet scales its backbone",
        ],
        consecutive=True,
    )


def test_the_page_shows_the_example() -> None:
    """Word for word, so that what is shown is what runs."""
    page = (DOCS / "optimizations.md").read_text(encoding="utf-8")
    _, _, code = EXAMPLE.partition('"""\n\n')

    assert code in page
