"""Head is slower only when the whole interval is past the margin, and red says by how much and what changed."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice

import pytest

from pytest_diffopt.guards.paired_latency import PairedRule, judge_paired, log_ratio
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import (
    Device,
    GPUProcess,
    GPUReading,
    GPURecord,
    PairedBlock,
    PairedRecord,
    PairedTiming,
)
from tests.unit.guards.guard_examples import COUNTS, ENVIRONMENT, SEEN, STEP, SUBJECT

MS = 1_000_000


def rule(
    *, margin: float = 0.01, num_cases: int = 1, num_regressed: int = 0, device: Device = Device.CUDA
) -> PairedRule:
    """Return the rule of a case that is timed in turn."""
    return PairedRule.for_case(
        margin=margin, num_cases=num_cases, num_regressed=num_regressed, timing=PairedTiming.IN_TURN, device=device
    )


RULE = rule()


def blocks(slowdown: float, *, spread: float = 0.02, count: int = 40) -> tuple[PairedBlock, ...]:
    """Pretend that head took so much longer, give or take."""
    noise = islice(cycle((1 + spread, 1 - spread)), count)
    return tuple(
        PairedBlock(base_ns=(100 * MS, 100 * MS), head_ns=(round(100 * MS * (1 + slowdown) * one),) * 2)
        for one in noise
    )


def record(timed: Sequence[PairedBlock], **changes: object) -> PairedRecord:
    """Pretend that these blocks of four calls were timed within ten seconds."""
    whole = PairedRecord(
        subject=SUBJECT,
        base="main (1a2b3c4d5)",
        head="the working tree (6e7f8a9b0)",
        blocks=tuple(timed),
        blocks_of_pairs=(len(timed) // 2, len(timed) - len(timed) // 2),
        spent_seconds=10.0,
        num_steps=30,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def judge(what: PairedRecord) -> Verdict:
    """Judge on the GPU of the examples."""
    return judge_paired(what, RULE, environment=ENVIRONMENT)


def test_a_injected_slowdown_fails_with_its_cause() -> None:
    """Every figure, and of what is counted all that changed and nothing else."""
    slower = replace(COUNTS, phases=(replace(STEP, operations=1390),), attention={"flash 2x10": 60, "math 2x10": 10})
    verdict = judge(record(blocks(0.08, spread=0.01), base_counts=COUNTS, head_counts=slower))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.is_failure
    assert verdict.explanation == (
        "diffopt: the call became 8.0 % slower than at main (1a2b3c4d5) (1.0 % allowed)",
        "  change  +8.0 %, between +6.7 % and +9.3 % at 99.8 % confidence, "
        "40 blocks of 4 calls by 2 pairs of processes",
        "  head    108 ms per call, the working tree (6e7f8a9b0)",
        "  base    100 ms per call, main (1a2b3c4d5)",
        "  counts that changed, on the simulated GPU:",
        "    operations in steps 1-29  1 204 -> 1 390",
        "    attention flash 2x10      70 times -> 60 times",
        "    attention math 2x10       0 times -> 10 times",
        f"seen on NVIDIA H200, both timed interleaved in two processes, {SEEN}",
        "to accept this: raise --diffopt-margin, or merge the change: later changes are compared with it",
    )


def test_side_by_side_the_figures_are_of_the_processor() -> None:
    """No steps a second: by the clock a call took twice as long, as the other process had its turns."""
    timing = PairedTiming.SIDE_BY_SIDE
    slower = judge(record(blocks(0.08, spread=0.01), timing=timing))
    same = judge(record(blocks(0.0, spread=0.01), timing=timing))

    assert slower.explanation[2:4] == (
        "  head    108 ms of CPU time per call, the working tree (6e7f8a9b0)",
        "  base    100 ms of CPU time per call, main (1a2b3c4d5)",
    )
    assert f"seen on NVIDIA H200, both timed concurrently in two processes on one core, {SEEN}" in slower.explanation
    assert same.summary.startswith("100 ms of CPU time (-0.0 %, between ")


def test_its_counterpart_of_the_same_code_passes() -> None:
    """No difference, and an interval within the margin: nothing to explain."""
    verdict = judge(record(blocks(0.0, spread=0.01)))

    assert verdict.outcome is Outcome.PASSED
    assert verdict.summary == "100 ms, 300.0 steps/s (-0.0 %, between -1.2 % and +1.2 % against main (1a2b3c4d5))"
    assert verdict.explanation == ()


@pytest.mark.parametrize(
    ("slowdown", "outcome"),
    [(0.05, Outcome.REGRESSED), (0.012, Outcome.INCONCLUSIVE), (-0.01, Outcome.PASSED), (-0.05, Outcome.IMPROVED)],
)
def test_only_a_whole_interval_decides(slowdown: float, outcome: Outcome) -> None:
    """Past the margin it is slower, below it not; across it nothing is known."""
    assert judge(record(blocks(slowdown, spread=0.015))).outcome is outcome


def test_too_little_time_says_how_much_would_do() -> None:
    """The forecast is for the same noise, and the option can be copied."""
    verdict = judge(record(blocks(0.0, spread=0.05, count=20)))

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.explanation[0].startswith("diffopt: too noisy to compare with main (1a2b3c4d5): -0.1 %, between ")
    assert verdict.explanation[-1].startswith("give it more time: about ")
    assert "--diffopt-max-seconds" in verdict.explanation[-1]


def test_what_stays_open_says_what_kept_it_from_being_timed_side_by_side() -> None:
    """That scatters less; of what is decided it does not matter."""
    why = "torch computes with 2 threads; OMP_NUM_THREADS=1 lets both share a core"
    still_open = judge(record(blocks(0.0, spread=0.05, count=20), why_in_turn=why))
    slower = judge(record(blocks(0.08, spread=0.01), why_in_turn=why))

    assert f"  interleaved  {why}" in still_open.explanation
    assert not any(why in line for line in slower.explanation)


def test_no_time_tells_less_than_two_processes_differ_by() -> None:
    """Then more of it is no hint, and the larger margin is."""
    verdict = judge_paired(record(blocks(0.004, spread=0.0001)), rule(margin=0.003), environment=ENVIRONMENT)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.explanation[-1] == (
        "measuring longer cannot distinguish this from two processes of the same code: raise --diffopt-margin"
    )


def test_no_block_at_all_decides_nothing() -> None:
    """A budget too small for one block is no pass."""
    assert judge(record(())).outcome is Outcome.INCONCLUSIVE


def test_a_change_that_nothing_counted_explains_is_reported() -> None:
    """Equal counts are told, and so is that counting failed."""
    same = judge(record(blocks(0.08), base_counts=COUNTS, head_counts=COUNTS))
    failed = judge(record(blocks(0.08), why_not_counted="no GPU can be simulated"))

    assert any("nothing that is counted changed" in line for line in same.explanation)
    assert "  not counted: no GPU can be simulated" in failed.explanation


def test_a_busy_gpu_decides_nothing() -> None:
    """Whatever the times say, they are somebody else's too."""
    training = GPUProcess(pid=4711, name="python3", memory_bytes=0, utilization_percent=31)
    gpu = GPURecord(readings=(GPUReading(others=(training,)),))

    assert judge(record(blocks(0.5), gpu=gpu)).outcome is Outcome.INCONCLUSIVE


def test_a_test_that_the_base_lacks_is_not_compared() -> None:
    """A new test is neither green nor red."""
    verdict = judge(record((), lacking="base"))

    assert verdict.outcome is Outcome.INCOMPARABLE
    assert verdict.explanation == (
        "diffopt: this test does not exist at main (1a2b3c4d5): nothing was compared",
        "a new test is compared from the next change on",
    )


def test_a_drift_within_a_block_cancels() -> None:
    """Base, head, head, base while all gets slower by the same factor each time: no difference is left."""
    assert log_ratio(PairedBlock(base_ns=(100, 800), head_ns=(200, 400))) == pytest.approx(0)


def test_holms_level_rises_with_each_regression() -> None:
    """The first of four is judged at a quarter of the session's level, the last after three regressions at it all."""
    rules = [rule(num_cases=4, num_regressed=n) for n in range(4)]

    assert [rule.sequential.false_alarms for rule in rules] == pytest.approx([0.00025, 0.001 / 3, 0.0005, 0.001])
    assert rules[-1].confidence == pytest.approx(0.998)


def test_by_the_clock_on_a_processor_more_processes_are_asked() -> None:
    """Where others use the machine too, two processes of the same code differ by a percent; by processor time half."""
    slower = record(blocks(0.024, spread=0.001))

    assert judge_paired(slower, rule(device=Device.CUDA), environment=ENVIRONMENT).outcome is Outcome.REGRESSED
    assert judge_paired(slower, rule(device=Device.CPU), environment=ENVIRONMENT).outcome is Outcome.INCONCLUSIVE
