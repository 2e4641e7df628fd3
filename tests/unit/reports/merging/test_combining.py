"""The combined report has every finding with its shard, and fails if any shard fails or proved nothing."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pytest_diffopt.baselines.limit_changes import BaselineChange, ChangeKind
from pytest_diffopt.baselines.since_revision import BaselineComparison
from pytest_diffopt.reports.document import Report
from pytest_diffopt.reports.merging.combining import Expectations, combine
from pytest_diffopt.session.ledger import LedgerEntry
from pytest_diffopt.session.required_verdicts import parse_requirements
from pytest_diffopt.session.unmet_requirements import UnmetRequirement
from tests.unit.reports.merging.shard_examples import source
from tests.unit.reports.report_examples import BROKEN, LOOSENED, ON_GPU, SDXL, SKIPPED, UNDECIDED, clean, paired, syncs

GOOD = clean(SDXL, ON_GPU)


def merged(*shards: Sequence[LedgerEntry], expectations: Expectations | None = None, **more: Any) -> Report:
    """Combine shards a, b, c with these findings."""
    sources = [source(name, entries) for name, entries in zip("abc", shards, strict=False)]
    if more:
        sources.append(source("last", **more))
    return combine(sources, expectations or Expectations())


def combined_baselines(*comparisons: BaselineComparison) -> BaselineComparison:
    """Combine shards with these comparisons of the baselines."""
    found = combine(
        [source(str(one), GOOD, baselines=seen) for one, seen in enumerate(comparisons)], Expectations()
    ).baselines
    assert found
    return found


def failures(report: Report) -> list[str]:
    """Return the texts of the unmet requirements that fail the report."""
    return [unmet_requirement.text for unmet_requirement in report.unmet_requirements if unmet_requirement.is_failure]


def test_every_finding_has_its_shard() -> None:
    """Verdicts, broken and skipped tests are in the order of the shards, with each environment."""
    report = merged(GOOD, entries=[syncs()], broken=[BROKEN], skipped=SKIPPED)

    assert [shard.name for shard in report.shards] == ["a", "last"]
    assert [shard.environment.device for shard in report.shards] == ["A", "LAST"]
    assert [entry.shard for entry in report.verdicts] == ["a"] * 11 + ["last"]
    assert report.counts == {"passed": 11, "regressed": 1}
    assert [test.shard for test in report.broken] == ["last"]
    assert [case.shard for case in report.skipped] == ["last"] * 3
    assert report.is_failure()


def test_good_shards_pass_together() -> None:
    """The report has no unmet requirement."""
    report = merged(GOOD, GOOD, expectations=Expectations(num_shards=2, requirements=parse_requirements("gpu>=4")))

    assert report.unmet_requirements == []
    assert not report.is_failure()


@pytest.mark.parametrize("number", [1, 3])
def test_another_number_of_shards_fails(number: int) -> None:
    """A missing and an additional shard fail; the message names the shards."""
    report = merged(GOOD, GOOD, expectations=Expectations(num_shards=number))
    asked = {1: "1 shard", 3: "3 shards"}[number]

    assert failures(report) == [f"--expect asks for {asked}, got: 2 (a, b)"]
    assert report.is_failure()


def test_fewer_verdicts_than_required_fail() -> None:
    """Verdicts are counted over all shards."""
    expectations = Expectations(requirements=parse_requirements("gpu>=5, syncs>=2", option="--require"))
    report = merged(GOOD, GOOD, expectations=expectations)

    assert failures(report) == ["--require asks for gpu>=5, got: 4 verdicts"]


@pytest.mark.parametrize(
    ("nothing", "why"),
    [
        ({"entries": []}, "no diffopt test was run"),
        ({"entries": [], "skipped": SKIPPED}, "3 tests skipped (3x needs a GPU: run with --diffopt-gpu)"),
        ({"entries": [], "broken": [BROKEN]}, "1 test failed without a verdict"),
        ({"entries": [paired(count=2)]}, "1 verdict, and none decided anything"),
    ],
    ids=["empty", "skipped", "broken", "undecided"],
)
def test_a_shard_that_proved_nothing_fails_the_report(nothing: dict[str, Any], why: str) -> None:
    """Even if another shard passed."""
    report = merged(GOOD, **nothing)

    assert failures(report) == [f"last proved nothing: {why}"]
    assert report.is_failure()


def test_an_unmet_requirement_has_the_name_of_its_shard() -> None:
    """Those that fail come first."""
    lost = UnmetRequirement(text="lost 1 worker", is_failure=True)
    report = merged(GOOD, entries=GOOD, unmet_requirements=[UNDECIDED, lost])

    assert [unmet_requirement.text for unmet_requirement in report.unmet_requirements] == [
        "last: lost 1 worker",
        "last: 1 verdict decided nothing: 1 inconclusive",
    ]
    assert report.is_failure()


def test_gpus_are_named_only_where_there_are_several() -> None:
    """Two shards of one GPU show no GPU."""
    one = combine([source("a", GOOD, device="L4"), source("b", [syncs()], device="L4")], Expectations())

    assert one.gpus() == {"a": "", "b": ""}
    assert merged(GOOD, GOOD).gpus() == {"a": "A", "b": "B"}


def test_changes_of_baselines_are_combined() -> None:
    """A shard with a shallow clone has no comparison, and is ignored if another shard has one."""
    failed = BaselineComparison(base="origin/main", problem="this is a shallow clone")
    wider = replace(LOOSENED, changes=(*LOOSENED.changes, BaselineChange(path="a.json", kind=ChangeKind.REMOVED)))

    assert merged(GOOD, entries=GOOD, baselines=LOOSENED).baselines == LOOSENED
    assert [change.kind for change in combined_baselines(failed, LOOSENED, wider).changes] == [
        "loosened",
        "removed",
        "added",
    ]
    assert combined_baselines(failed, failed, failed) == failed
    assert merged(GOOD).baselines is msgspec.UNSET
