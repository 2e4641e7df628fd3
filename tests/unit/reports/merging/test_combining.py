"""What several shards found is all there, each with its shard, and nothing is greener than its worst part."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pytest_diffopt.baselines.limit_changes import BaselineChange, ChangeKind
from pytest_diffopt.baselines.since_revision import BaselineComparison
from pytest_diffopt.reports.document import Report
from pytest_diffopt.reports.merging.combining import Demands, together
from pytest_diffopt.session.ledger import LedgerEntry
from pytest_diffopt.session.required_verdicts import parse_requirements
from pytest_diffopt.session.unmet_requirements import UnmetRequirement
from tests.unit.reports.merging.shard_examples import source
from tests.unit.reports.report_examples import BROKEN, LOOSENED, ON_GPU, SDXL, SKIPPED, UNDECIDED, clean, paired, syncs

GOOD = clean(SDXL, ON_GPU)


def merged(*shards: Sequence[LedgerEntry], demands: Demands | None = None, **more: Any) -> Report:
    """Merge shards of these findings: a, b, c."""
    sources = [source(name, entries) for name, entries in zip("abc", shards, strict=False)]
    if more:
        sources.append(source("last", **more))
    return together(sources, demands or Demands())


def of_three(*comparisons: BaselineComparison) -> BaselineComparison:
    """Merge three shards that compared the baselines so."""
    found = together(
        [source(str(one), GOOD, baselines=seen) for one, seen in enumerate(comparisons)], Demands()
    ).baselines
    assert found
    return found


def red(report: Report) -> list[str]:
    """Return what the report fell short of."""
    return [unmet_requirement.text for unmet_requirement in report.unmet_requirements if unmet_requirement.is_failure]


def test_every_finding_is_there_with_its_shard() -> None:
    """Verdicts, broken and skipped tests in the order of the shards, and each environment."""
    report = merged(GOOD, entries=[syncs()], broken=[BROKEN], skipped=SKIPPED)

    assert [shard.name for shard in report.shards] == ["a", "last"]
    assert [shard.environment.device for shard in report.shards] == ["A", "LAST"]
    assert [entry.shard for entry in report.verdicts] == ["a"] * 11 + ["last"]
    assert report.counts == {"passed": 11, "regressed": 1}
    assert [test.shard for test in report.broken] == ["last"]
    assert [case.shard for case in report.skipped] == ["last"] * 3
    assert report.is_failure()


def test_good_shards_pass_together() -> None:
    """Nothing is missing, so nothing is said."""
    report = merged(GOOD, GOOD, demands=Demands(num_shards=2, requirements=parse_requirements("gpu>=4")))

    assert report.unmet_requirements == []
    assert not report.is_failure()


@pytest.mark.parametrize("number", [1, 3])
def test_another_number_of_shards_fails(number: int) -> None:
    """One that never reported, and one too many; the ones that are there are named."""
    report = merged(GOOD, GOOD, demands=Demands(num_shards=number))
    asked = {1: "1 shard", 3: "3 shards"}[number]

    assert red(report) == [f"--expect asks for {asked}, got: 2 (a, b)"]
    assert report.is_failure()


def test_fewer_verdicts_than_required_fail() -> None:
    """Over all shards, not in each."""
    demands = Demands(requirements=parse_requirements("gpu>=5, syncs>=2", option="--require"))
    report = merged(GOOD, GOOD, demands=demands)

    assert red(report) == ["--require asks for gpu>=5, got: 4 verdicts"]


@pytest.mark.parametrize(
    ("nothing", "why"),
    [
        ({"entries": []}, "no diffopt test was run"),
        ({"entries": [], "skipped": SKIPPED}, "3 tests skipped (3x needs a GPU: run with --gpu)"),
        ({"entries": [], "broken": [BROKEN]}, "1 test failed without a verdict"),
        ({"entries": [paired(count=2)]}, "1 verdict, and none decided anything"),
    ],
    ids=["empty", "skipped", "broken", "undecided"],
)
def test_a_shard_that_proved_nothing_fails_beside_a_good_one(nothing: dict[str, Any], why: str) -> None:
    """Its emptiness would not be seen among the others' verdicts."""
    report = merged(GOOD, **nothing)

    assert red(report) == [f"last proved nothing: {why}"]
    assert report.is_failure()


def test_what_a_shard_fell_short_of_is_reported_with_its_name() -> None:
    """The red ones first, whichever shard they are of."""
    lost = UnmetRequirement(text="lost 1 worker", is_failure=True)
    report = merged(GOOD, entries=GOOD, unmet_requirements=[UNDECIDED, lost])

    assert [unmet_requirement.text for unmet_requirement in report.unmet_requirements] == [
        "last: lost 1 worker",
        "last: 1 verdict decided nothing: 1 inconclusive",
    ]
    assert report.is_failure()


def test_gpus_are_named_only_where_there_are_several() -> None:
    """Two shards of one GPU are told apart by their cases."""
    one = together([source("a", GOOD, device="L4"), source("b", [syncs()], device="L4")], Demands())

    assert one.gpus() == {"a": "", "b": ""}
    assert merged(GOOD, GOOD).gpus() == {"a": "A", "b": "B"}


def test_what_a_change_did_to_the_baselines_is_reported_once() -> None:
    """Each shard saw the same change, but one that had cloned without its history."""
    blind = BaselineComparison(base="origin/main", problem="this is a shallow clone")
    wider = replace(LOOSENED, changes=(*LOOSENED.changes, BaselineChange(path="a.json", kind=ChangeKind.REMOVED)))

    assert merged(GOOD, entries=GOOD, baselines=LOOSENED).baselines == LOOSENED
    assert [change.kind for change in of_three(blind, LOOSENED, wider).changes] == ["loosened", "removed", "added"]
    assert of_three(blind, blind, blind) == blind
    assert merged(GOOD).baselines is msgspec.UNSET
