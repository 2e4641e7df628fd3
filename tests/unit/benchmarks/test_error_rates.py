"""The paired gate keeps the error rates that it claims: a part of `benchmarks/error_rates` that takes seconds.

Rules that break a claim, as earlier ones did, are found by the same simulation.
"""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.error_rates import __main__ as command
from benchmarks.error_rates.cells import CELLS, QUICK_CELLS, Cell, Shape, evenly_spaced
from benchmarks.error_rates.other_gates import (
    FASTER_CLAIM,
    STORED_SLOWDOWNS,
    FasterCell,
    StoredCell,
    faster_rate,
    stored_rates,
)
from benchmarks.error_rates.rates import CellResult, Rate, merged, result_of
from benchmarks.error_rates.simulating import sessions_judged, simulated_log_ratios
from benchmarks.error_rates.tables import faster_table, page_with, paired_table, stored_table
from pytest_diffopt.guards.paired_latency import FALSE_ALARMS
from pytest_diffopt.statistics.sequential import MISS_PROBABILITY, Decision, SequentialRule

Array = npt.NDArray[np.float64]
SESSIONS = 20_000


def judged(cell: Cell, rule: SequentialRule, *, sessions: int = SESSIONS) -> CellResult:
    """Return the ends of simulated sessions."""
    return result_of(cell, sessions_judged(cell, rule, sessions=sessions, seed=0))


def breaks(rate: Rate, claim: float) -> bool:
    """Return whether chance does not explain that a rate exceeds a claim."""
    return rate.low > claim


@pytest.mark.parametrize("cell", QUICK_CELLS, ids=lambda cell: cell.name)
def test_the_gate_keeps_its_claims(cell: Cell) -> None:
    """At the null boundary and at that of misses, for wide, heavy and two-valued distributions."""
    result = judged(cell, cell.rule)

    assert not breaks(result.false_alarms, FALSE_ALARMS)
    assert not breaks(result.misses, MISS_PROBABILITY)


def test_the_gate_finds_slowdowns() -> None:
    """2 % in at least 95 % of sessions, 3 % in 99 %, within a minute; the same code ends within 10 s in the median."""
    cell = Cell()
    result = judged(cell, cell.rule)

    assert result.found("2 %").low > 0.95
    assert result.found("3 %").low > 0.99
    assert result.passed.low > 0.99
    assert result.median_seconds("same code") <= 10


@dataclass(frozen=True, kw_only=True, slots=True)
class AllAtEachLook(SequentialRule):
    """A rule that spends the whole error probability at each look."""

    def _change_level(self, _look: int) -> float:
        return self.false_alarms


@dataclass(frozen=True, kw_only=True, slots=True)
class AssumedSpread(SequentialRule):
    """A rule that assumes that processes differ by half a percent, instead of estimating it."""

    def decide(self, log_ratios: Array) -> "npt.NDArray[np.int_]":
        """Judge the mean by its assumed standard error."""
        pairs, mean = log_ratios.shape[-1], log_ratios.mean(axis=-1)
        is_slower = mean - 3.09 * 0.005 / math.sqrt(pairs) > math.log1p(0.5 * self.margin)
        decisions: npt.NDArray[np.int_] = np.where(is_slower, Decision.SLOWER, Decision.OPEN)
        return decisions


@dataclass(frozen=True, kw_only=True, slots=True)
class OneKindOfProcess(SequentialRule):
    """A rule that may decide from five pairs of processes, however improbable an error must be."""

    def _change_level(self, look: int) -> float:
        return self.false_alarms / len(self.looks) if look in self.looks else 0.0


@pytest.mark.parametrize(
    ("cell", "faulty"),
    [
        (Cell(noise=0.05, spread=0.015), AllAtEachLook),
        (Cell(spread=0.015), AssumedSpread),
        (Cell(noise=0.0005, spread=0.01, shape=Shape.TWO_KINDS, tests=20), OneKindOfProcess),
    ],
    ids=["no spending over looks", "assumed spread", "few processes of two kinds"],
)
def test_a_rule_that_breaks_the_claim_is_found(cell: Cell, faulty: type[SequentialRule]) -> None:
    """The injected fault raises false alarms above the claim, and chance does not explain it."""
    rule = faulty(margin=cell.rule.margin, false_alarms=cell.rule.false_alarms)

    assert breaks(judged(cell, rule, sessions=SESSIONS // cell.tests).false_alarms, FALSE_ALARMS)


def test_a_session_of_many_tests_needs_the_divided_level() -> None:
    """Twenty tests at the level of one raise several times as many false alarms as the session may have."""
    cell = Cell(noise=0.05, spread=0.015, tests=20)
    of_one_test = Cell().rule

    assert not breaks(judged(cell, cell.rule, sessions=1000).false_alarms, FALSE_ALARMS)
    assert judged(cell, of_one_test, sessions=1000).false_alarms.low > 3 * FALSE_ALARMS


@pytest.mark.parametrize("shape", Shape)
def test_each_distribution_has_the_spread_of_its_cell(shape: Shape) -> None:
    """The heavier the tail, the less exactly; without noise the log-ratio is the difference of both processes."""
    ratios = simulated_log_ratios(Cell(noise=0.0, spread=0.01, shape=shape), np.random.default_rng(0), 20_000)

    assert ratios.std() == pytest.approx(0.01, rel=0.1)
    assert abs(ratios.mean()) < 0.0002


def test_drift_cancels_and_correlation_does_not() -> None:
    """A machine that becomes twice as slow within a pair adds little; dependent times have a noisier median."""
    spreads = {
        name: simulated_log_ratios(cell, np.random.default_rng(0), 500).std()
        for name, cell in {
            "none": Cell(spread=0.0),
            "drift": Cell(spread=0.0, drift=0.1),
            "correlation": Cell(spread=0.0, correlation=0.9),
        }.items()
    }

    assert spreads["drift"] < 1.5 * spreads["none"]
    assert spreads["correlation"] > 2 * spreads["none"]


def test_dependent_pairs_of_processes_are_shown_apart() -> None:
    """They break the assumption of the rule; the table has them as a limitation and makes no claim."""
    dependent = Cell(dependence=0.5, spread=0.01)

    assert not dependent.is_assumed
    ratios = simulated_log_ratios(dependent, np.random.default_rng(0), 2000)
    assert np.corrcoef(ratios[:, 3], ratios[:, 4])[0, 1] == pytest.approx(0.5, abs=0.1)


def test_every_cell_of_the_claim_is_in_the_table() -> None:
    """Noise from 0.05 % to 5 %, processes up to 2 % apart, 1 to 100 tests, 2 to 20 looks; names are unique."""
    assert {cell.noise for cell in CELLS} >= {0.0005, 0.05}
    assert {cell.spread for cell in CELLS} >= {0.0, 0.02}
    assert {cell.tests for cell in CELLS} >= {1, 20, 100}
    assert {len(cell.looks) for cell in CELLS} >= {2, 10, 20}
    assert {cell.shape for cell in CELLS} == set(Shape)
    assert len({cell.name for cell in CELLS}) == len(CELLS)
    assert evenly_spaced(2) == (5, 30)


def test_the_stored_gate_fails_more_often_the_more_sessions_differ() -> None:
    """No chance at half a percent; at 5 % every fifth session of the same code."""
    quiet, loud = (stored_rates(StoredCell(spread=spread, sessions=5), trials=2000) for spread in (0.005, 0.05))

    assert len(quiet) == len(STORED_SLOWDOWNS)
    assert (quiet[0].count, quiet[-1].observed) == (0, 1)
    assert 0.1 < loud[0].observed < 0.3


def test_one_process_has_no_spread() -> None:
    """`assert_faster` keeps its claim for this process; for a new start of it the interval is too narrow."""
    same, another = (faster_rate(FasterCell(spread=spread), trials=600) for spread in (0.0, 0.01))

    assert not breaks(same, FASTER_CLAIM)
    assert breaks(another, FASTER_CLAIM)


def test_limits_decide_whether_a_claim_is_kept() -> None:
    """The observed rate must not exceed it, nor the upper limit half again as much."""
    assert Rate(count=0, trials=10_000).keeps(0.001)
    assert not Rate(count=0, trials=1000).keeps(0.001)
    assert not Rate(count=12, trials=10_000).keeps(0.001)


def test_portions_of_a_cell_add_up() -> None:
    """Each counter of both runs."""
    cell = QUICK_CELLS[1]
    one, other = (result_of(cell, sessions_judged(cell, cell.rule, sessions=500, seed=seed)) for seed in (0, 1))
    both = merged(one, other)

    assert both.false_alarms.trials == 1000
    assert both.found("2 %").count == one.found("2 %").count + other.found("2 %").count


def seen(**counts: int) -> CellResult:
    """Return a result in which every slowdown has the same counts."""
    full = Counter({"sessions": 100_000, "tests": 100_000, "pairs 5": 60_000, "pairs 9": 40_000, **counts})
    full.update(dict.fromkeys(("alarms", "SLOWER", "FASTER", "NOT_SLOWER", "OPEN"), 0))
    names = ("same code", "half of the margin", "one and a half of the margin", "2 %", "3 %")
    return result_of(CELLS[0], dict.fromkeys(names, full))


def test_the_table_has_the_rates_with_their_limits() -> None:
    """A broken claim is marked."""
    kept = paired_table({CELLS[0].name: seen(alarms=50, NOT_SLOWER=500)}, is_assumed=True)
    broken = paired_table({CELLS[0].name: seen(alarms=200)}, is_assumed=True)

    assert kept.splitlines()[2] == (
        "| 1 | noise 0.05 %, processes 0 % | 100000 | 0.05 % (0.037 % to 0.066 %) | 0.5 % (0.46 % to 0.55 %) | 0.5 % "
        "| 10 s | 0 % | 0 % | yes |"
    )
    assert broken.endswith("| **no** |")


def test_the_tables_of_the_other_gates() -> None:
    """Each row has a number, to which the documentation refers."""
    rate = Rate(count=1, trials=1000)
    stored = stored_table({StoredCell(spread=0.01, sessions=3): (rate,) * 4})
    faster = faster_table({FasterCell(): rate})

    assert stored.splitlines()[2] == "| S1 | 1 % | 3 | 0.1 % (0.0025 % to 0.56 %) | 0.1 % | 0.1 % | 0.1 % |"
    assert faster.splitlines()[2] == "| F1 | 2 % | 0 | 60 | 0 (what it claims) | 0.1 % (0.0025 % to 0.56 %) |"


def test_the_tables_are_written_into_a_page() -> None:
    """Between two comments; without them the error names them."""
    page = (
        "before\n<!-- error rates: python -m benchmarks.error_rates -->\nold\n<!-- end of the error rates -->\nafter\n"
    )

    assert page_with(page, ["new"]) == page.replace("\nold\n", "\n\nnew\n\n")
    with pytest.raises(ValueError, match="the page must contain the lines"):
        page_with("nothing", ["new"])


def test_the_command_continues_and_reports_broken_claims(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second run simulates nothing again; too few sessions prove no claim, so the exit code is 1."""
    monkeypatch.setattr(command, "CELLS", CELLS[:1])
    monkeypatch.setattr(command, "STORED_CELLS", ())
    monkeypatch.setattr(command, "FASTER_CELLS", ())
    arguments = ["--sessions=300", "--portion=200", f"--results={tmp_path / 'results.json'}"]

    assert command.main(arguments) == 1
    assert "broken claims: noise 0.05 %, processes 0 %" in capsys.readouterr().out
    monkeypatch.setattr(command, "sessions_judged", None)
    assert command.main(arguments) == 1
