"""Head fails only when the whole interval is past the margin, and the failure shows the counts that changed."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice

import pytest

from pytest_diffopt.guards.paired_latency import PairedRule, judge_paired, log_ratio
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import (
    GPUProcess,
    GPUReading,
    GPURecord,
    PairedBlock,
    PairedRecord,
    PairedTiming,
)
from tests.unit.guards.guard_examples import COUNTS, ENVIRONMENT, SEEN, STEP, SUBJECT

MS = 1_000_000
#: The number of blocks of each pair of processes.
BLOCKS = 4


def rule(*, margin: float = 0.01, num_cases: int = 1, num_regressed: int = 0) -> PairedRule:
    """Return the rule of a test."""
    return PairedRule.for_case(margin=margin, num_cases=num_cases, num_regressed=num_regressed)


RULE = rule()


def blocks(slowdown: float, *, spread: float = 0.004, noise: float = 0.0, pairs: int = 9) -> tuple[PairedBlock, ...]:
    """Return four blocks of each pair of processes; a pair's head takes longer or shorter by `spread`, alternately.

    Args:
        slowdown: of head, as a fraction.
        spread: how far pairs of processes are from the slowdown, as a fraction.
        noise: how far the ratios of a pair are from its own, as a fraction.
        pairs: the number of pairs of processes.
    """
    return tuple(
        PairedBlock(
            base_ns=(100 * MS, 100 * MS),
            head_ns=(
                round(100 * MS * (1 + slowdown) * (1 + lasting) * (1 + noise)),
                round(100 * MS * (1 + slowdown) * (1 + lasting) * (1 - noise)),
            ),
        )
        for lasting in islice(cycle((spread, -spread, 0.0)), pairs)
        for _ in range(BLOCKS)
    )


def record(timed: Sequence[PairedBlock], **changes: object) -> PairedRecord:
    """Return a record of these blocks of four calls, timed in half a second each."""
    whole = PairedRecord(
        subject=SUBJECT,
        base="main (1a2b3c4d5)",
        head="the working tree (6e7f8a9b0)",
        blocks=tuple(timed),
        blocks_of_pairs=(BLOCKS,) * (len(timed) // BLOCKS),
        spent_seconds=len(timed) / 2,
        num_steps=30,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def judge(what: PairedRecord) -> Verdict:
    """Judge on the GPU of the examples."""
    return judge_paired(what, RULE, environment=ENVIRONMENT)


def test_an_injected_slowdown_fails_with_its_cause() -> None:
    """Every figure, and only the counts that changed."""
    slower = replace(COUNTS, phases=(replace(STEP, operations=1390),), attention={"flash 2x10": 60, "math 2x10": 10})
    verdict = judge(record(blocks(0.08), base_counts=COUNTS, head_counts=slower))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.is_failure
    assert verdict.explanation == (
        "diffopt: the call became 8.0 % slower than at main (1a2b3c4d5) (1.0 % allowed)",
        "  change  +8.0 %, between +7.3 % and +8.7 % at 99.955 % confidence, "
        "36 blocks of 4 calls by 9 pairs of processes",
        "  spread  pairs of processes differ by 0.35 %, one standard deviation",
        "  head    108 ms per call, the working tree (6e7f8a9b0)",
        "  base    100 ms per call, main (1a2b3c4d5)",
        "  counts that changed, on the simulated GPU:",
        "    operations in steps 1-29  1 204 -> 1 390",
        "    attention flash 2x10      70 times -> 60 times",
        "    attention math 2x10       0 times -> 10 times",
        f"seen on NVIDIA H200, both timed interleaved in two processes, {SEEN}",
        "to accept this: raise --diffopt-margin, or merge the change: later changes are compared with it",
    )


def test_concurrent_timing_reports_cpu_time() -> None:
    """Without steps per second: by wall-clock time a call took twice as long, because the processes share a core."""
    timing = PairedTiming.CONCURRENT
    slower = judge(record(blocks(0.08), timing=timing))
    same = judge(record(blocks(0.0), timing=timing))

    assert slower.explanation[3:5] == (
        "  head    108 ms of CPU time per call, the working tree (6e7f8a9b0)",
        "  base    100 ms of CPU time per call, main (1a2b3c4d5)",
    )
    assert f"seen on NVIDIA H200, both timed concurrently in two processes on one core, {SEEN}" in slower.explanation
    assert same.summary.startswith("100 ms of CPU time (-0.0 %, between ")


def test_its_counterpart_of_the_same_code_passes() -> None:
    """The interval is within the margin, so there is no explanation."""
    verdict = judge(record(blocks(0.0)))

    assert verdict.outcome is Outcome.PASSED
    assert verdict.summary == "100 ms, 300.0 steps/s (-0.0 %, between -0.5 % and +0.5 % against main (1a2b3c4d5))"
    assert verdict.explanation == ()


@pytest.mark.parametrize(
    ("slowdown", "outcome"),
    [(0.05, Outcome.REGRESSED), (0.011, Outcome.INCONCLUSIVE), (-0.01, Outcome.PASSED), (-0.05, Outcome.IMPROVED)],
)
def test_only_a_whole_interval_decides(slowdown: float, outcome: Outcome) -> None:
    """Past the margin it fails, below it passes, across it is inconclusive."""
    assert judge(record(blocks(slowdown))).outcome is outcome


def test_five_pairs_of_processes_pass_the_same_code_and_fail_nothing() -> None:
    """Five pairs of one kind by chance are more probable than a false alarm may be."""
    slower = judge(record(blocks(0.08, pairs=5)))

    assert judge(record(blocks(0.0, pairs=5))).outcome is Outcome.PASSED
    assert slower.outcome is Outcome.INCONCLUSIVE
    assert slower.explanation[0] == (
        "diffopt: too few pairs of processes to compare with main (1a2b3c4d5): +8.0 %, between +6.0 % and +10.0 % "
        "(1.0 % allowed)"
    )
    assert slower.explanation[-1] == ("measure longer: 9 pairs of processes would decide it, --diffopt-max-seconds 22")


def test_noise_within_the_pairs_needs_longer_timing() -> None:
    """After the last look, if the pairs differ by no more than their times do."""
    noisy = judge(record(blocks(0.0, spread=0.05, noise=0.1, pairs=30)))

    assert noisy.outcome is Outcome.INCONCLUSIVE
    assert noisy.explanation[-1].startswith(
        "measure longer: more times of each pair of processes would decide it, --diffopt-max-seconds "
    )


def test_processes_that_differ_need_a_larger_margin() -> None:
    """If the pairs differ by more than their times do, longer timing of each does not help."""
    different = judge(record(blocks(0.0, spread=0.1, noise=0.001, pairs=30)))

    assert different.outcome is Outcome.INCONCLUSIVE
    assert different.explanation[-1] == (
        "measuring longer cannot distinguish this from two processes of the same code: raise --diffopt-margin"
    )


def test_one_pair_of_processes_has_no_interval() -> None:
    """It is inconclusive, and has no interval."""
    verdict = judge(record(blocks(0.08, pairs=1)))

    assert verdict.explanation[:2] == (
        "diffopt: too few pairs of processes to compare with main (1a2b3c4d5): +8.4 %, not bounded by one pair "
        "(1.0 % allowed)",
        "  change  +8.4 %, not bounded by one pair, 4 blocks of 4 calls by 1 pair of processes",
    )
    assert verdict.explanation[-1] == "measure longer: raise --diffopt-max-seconds"


def test_an_inconclusive_verdict_shows_why_the_timing_was_interleaved() -> None:
    """Concurrent timing has less noise; a decided verdict omits the reason."""
    why = "torch computes with 2 threads; OMP_NUM_THREADS=1 lets both share a core"
    still_open = judge(record(blocks(0.0, spread=0.05), why_interleaved=why))
    slower = judge(record(blocks(0.08), why_interleaved=why))

    assert f"  interleaved  {why}" in still_open.explanation
    assert not any(why in line for line in slower.explanation)


def test_no_block_is_inconclusive() -> None:
    """A budget too small for one block does not pass."""
    assert judge(record(())).outcome is Outcome.INCONCLUSIVE


def test_a_change_without_changed_counts_is_reported() -> None:
    """Equal counts are reported, and so is a failure to count."""
    same = judge(record(blocks(0.08), base_counts=COUNTS, head_counts=COUNTS))
    failed = judge(record(blocks(0.08), why_not_counted="no GPU can be simulated"))

    assert any("no count changed" in line for line in same.explanation)
    assert "  not counted: no GPU can be simulated" in failed.explanation


def test_a_busy_gpu_is_inconclusive() -> None:
    """The timings include another process."""
    training = GPUProcess(pid=4711, name="python3", memory_bytes=0, utilization_percent=31)
    gpu = GPURecord(readings=(GPUReading(others=(training,)),))

    assert judge(record(blocks(0.5), gpu=gpu)).outcome is Outcome.INCONCLUSIVE


def test_a_test_that_the_base_lacks_is_not_compared() -> None:
    """A new test neither passes nor fails."""
    verdict = judge(record((), lacking="base"))

    assert verdict.outcome is Outcome.INCOMPARABLE
    assert verdict.explanation == (
        "diffopt: this test does not exist at main (1a2b3c4d5): nothing was compared",
        "a new test is compared from the next change on",
    )


def test_a_drift_within_a_block_cancels() -> None:
    """Base, head, head, base, each slower by the same factor: no difference is left."""
    assert log_ratio(PairedBlock(base_ns=(100, 800), head_ns=(200, 400))) == pytest.approx(0)


def test_holms_level_rises_with_each_regression() -> None:
    """The first of four tests has a quarter of the session's level, the last after three regressions all of it."""
    rules = [rule(num_cases=4, num_regressed=n) for n in range(4)]

    assert [rule.sequential.false_alarms for rule in rules] == pytest.approx([0.00025, 0.001 / 3, 0.0005, 0.001])
