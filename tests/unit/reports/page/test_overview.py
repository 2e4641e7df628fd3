"""The head of the page shows the problems first, and does not show unproven runs as passed."""

from dataclasses import replace
from typing import Any

import pytest

from pytest_diffopt.records import Concern
from pytest_diffopt.reports.page.cases import cases_of
from pytest_diffopt.reports.page.overview import Overview, overview
from pytest_diffopt.session.ledger import LedgerEntry
from tests.unit.reports.report_examples import (
    BROKEN,
    NO_GPUS,
    ON_GPU,
    SDXL,
    SKIPPED,
    UNDECIDED,
    UNMET,
    clean,
    counts,
    images,
    latency,
    one_of_each,
    paired,
    report,
    syncs,
)

SD15 = replace(SDXL, pipeline="sd15")


def head(*entries: LedgerEntry, **others: Any) -> Overview:
    """Return the overview of these findings."""
    return overview(cases_of(entries, NO_GPUS), report(entries, **others))


@pytest.mark.parametrize(
    ("found", "state", "headline"),
    [
        (head(), "unsure", "Nothing was checked"),
        (head(syncs(per_step=0)), "good", "The only check passed"),
        (head(*clean(SDXL, ON_GPU)), "good", "All 11 checks passed"),
        (head(syncs(), syncs(per_step=0)), "bad", "1 of 2 checks failed"),
        (head(syncs(), broken=[BROKEN]), "bad", "1 of 1 check failed and 1 test failed without a verdict"),
        (head(syncs(per_step=0), broken=[BROKEN]), "bad", "1 test failed without a verdict"),
        (head(syncs(per_step=0), skipped=SKIPPED), "good", "The only check passed, 3 tests skipped"),
        (head(skipped=SKIPPED), "unsure", "Nothing was checked"),
        (head(syncs(per_step=0), unmet_requirements=[UNMET]), "bad", "A requirement was not met"),
        (head(syncs(), unmet_requirements=[UNMET]), "bad", "1 of 1 check failed and a requirement was not met"),
        (head(syncs(per_step=0), unmet_requirements=[UNDECIDED]), "good", "The only check passed"),
        (head(paired(count=2), syncs(per_step=0)), "unsure", "Nothing failed, but 1 of 2 checks proved nothing"),
        (head(counts(operations=1100)), "bad", "1 of 1 check failed"),
    ],
)
def test_the_state_and_the_headline(found: Overview, state: str, headline: str) -> None:
    """Bad if a test failed, unsure if something is not proven, good only if everything is."""
    assert (found.state, found.headline) == (state, headline)


def test_the_worst_comes_first() -> None:
    """A wrong image comes before a slow call, and failed cases before others."""
    cases = cases_of([*clean(SD15, replace(ON_GPU, pipeline="sd15")), latency(), syncs(), images()], NO_GPUS)

    assert [case.verdict.concern for case in cases[:3]] == [Concern.IMAGES, Concern.SYNCS, Concern.LATENCY]
    assert [case.anchor for case in cases[:3]] == ["case-1", "case-2", "case-3"]
    assert not any(case.verdict.is_failure for case in cases[3:])


def test_the_same_problem_of_two_pipelines_is_listed_once() -> None:
    """It has both cases."""
    (problem,) = head(syncs(), syncs(SD15)).problems

    assert problem.headline == "the denoise loop synchronizes the CPU with the GPU: 3 syncs per step (0 allowed)"
    assert [case.pipeline for case in problem.cases] == ["sdxl (tiny)", "sd15 (tiny)"]
    assert problem.cases[0].first_fact == "2/step .item() models/own.py:12 in gate (read by the host)"


def test_a_cell_counts_good_verdicts_and_links_to_the_worst() -> None:
    """Each cell is one pipeline and one concern."""
    found = head(syncs(per_step=0), syncs(), images(SD15))
    rows = dict(found.rows)

    assert found.concerns == (Concern.SYNCS, Concern.IMAGES)
    assert list(rows) == ["sd15 (tiny)", "sdxl (tiny)"]
    cell = rows["sdxl (tiny)"][0]
    assert cell is not None
    assert (cell.num_good, cell.num_all, cell.is_failure, cell.anchor) == (1, 2, True, "case-2")
    assert rows["sdxl (tiny)"][1] is None


def test_version_differences_are_counted() -> None:
    """Including those of passed checks."""
    assert head(*one_of_each()).environment_changes == (("torch 2.13.0, accepted with 2.12.1", 8),)
