"""Counts are exact: equal counts pass, and both regressions and gains fail until they are accepted."""

from dataclasses import replace

import pytest
from msgspec.structs import replace as with_changes

from pytest_diffopt.baselines.documents import CountBaseline
from pytest_diffopt.guards.counts import judge_counts
from pytest_diffopt.guards.verdict import FigureChange, Outcome, Verdict
from pytest_diffopt.records import Concern, CountRecord, Environment, ModuleCounts, PhaseCounts
from tests.unit.guards.guard_examples import ENVIRONMENT, NEWER, OTHER_GPU, SEEN, SUBJECT

RERUN = "pytest 'suites/test_sdxl.py::test_counts[sdxl]'"
HINT = f"to accept this: {RERUN} --diffopt-update all"
SEEN_ON = f"seen on the simulated nvidia-h200, {SEEN}"


def phase(name: str, *, flops: int = 1_000_000, operations: int = 100) -> PhaseCounts:
    """Return the counts of a phase."""
    return PhaseCounts(
        phase=name,
        flops=flops,
        operations=operations,
        bytes_to_device=64,
        bytes_to_host=0,
        allocated_bytes=4096,
        peak_memory_bytes=2 << 20,
    )


BEFORE, FIRST, LATER = phase("before the loop"), phase("step 0"), phase("steps 1-3")
UNET = ModuleCounts(module="unet", flops=3_000_000, operations=300)
VAE = ModuleCounts(module="vae", flops=1_000_000, operations=100)
RECORD = CountRecord(
    subject=SUBJECT,
    gpu_model="nvidia-h200",
    num_steps=4,
    phases=(BEFORE, FIRST, LATER),
    modules=(UNET, VAE),
    attention={"flash 2x10x4096x64 bfloat16": 8},
)
BASELINE = CountBaseline.from_record(RECORD, case="test_counts[sdxl]", environment=ENVIRONMENT, reason="new")


def judge(
    now: CountRecord, baseline: CountBaseline | None = BASELINE, *, environment: Environment = ENVIRONMENT
) -> Verdict:
    """Judge against the accepted counts."""
    return judge_counts(now, baseline, environment=environment, rerun=RERUN)


def test_equal_counts_pass() -> None:
    """The summary counts every step of a phase that groups several."""
    verdict = judge(RECORD)

    assert verdict.outcome is Outcome.PASSED
    assert not verdict.is_failure
    assert verdict.concern is Concern.COUNTS
    assert verdict.summary == "5e-06 TFLOP, 500 operations, peak 2.00 MiB"
    assert verdict.explanation == ()


def test_the_figures_cover_the_whole_call() -> None:
    """A phase that groups several steps counts once for each step."""
    totals = {"flops": 5_000_000, "operations": 500, "peak_memory_bytes": 2 * 1024 * 1024}

    assert judge(RECORD).figures == totals | {f"accepted_{name}": total for name, total in totals.items()}


def test_higher_counts_fail_with_the_phase_and_the_module() -> None:
    """Each changed figure of each phase, and the part of the pipeline in which it changed."""
    now = replace(
        RECORD,
        phases=(BEFORE, FIRST, phase("steps 1-3", flops=1_100_000, operations=139)),
        modules=(replace(UNET, flops=3_300_000, operations=417), VAE),
    )
    verdict = judge(now)

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.is_failure
    assert verdict.summary == "5.3e-06 TFLOP, 617 operations, peak 2.00 MiB"
    assert verdict.explanation == (
        "diffopt: the counts differ from the accepted ones",
        "  steps 1-3  flops 1,000,000 -> 1,100,000 (+10.0 %)",
        "  steps 1-3  operations 100 -> 139 (+39.0 %)",
        "  in unet  operations 300 -> 417 (+39.0 %)",
        "  in unet  flops 3,000,000 -> 3,300,000 (+10.0 %)",
        SEEN_ON,
        HINT,
    )


def test_one_operation_more_fails() -> None:
    """There is no tolerance, because counts have no noise."""
    assert judge(replace(RECORD, phases=(BEFORE, FIRST, phase("steps 1-3", operations=101)))).is_failure


def test_a_figure_that_was_zero_has_no_percentage() -> None:
    """A change from zero has no relative size."""
    now = replace(RECORD, phases=(BEFORE, replace(FIRST, bytes_to_host=8), LATER))

    assert judge(now).explanation[1] == "  step 0  bytes_to_host 0 -> 8"


def test_lower_counts_fail_until_they_are_accepted() -> None:
    """A gain that is not accepted could be lost again unnoticed."""
    verdict = judge(replace(RECORD, phases=(BEFORE, FIRST, phase("steps 1-3", operations=80))), environment=NEWER)

    assert verdict.outcome is Outcome.IMPROVED
    assert verdict.is_failure
    assert verdict.explanation == (
        "diffopt: the counts improved",
        "  steps 1-3  operations 100 -> 80 (-20.0 %)",
        SEEN_ON,
        "differs from the baseline's environment:",
        "  torch    2.14.0, accepted with 2.13.0",
        "  torchao  1.0, accepted with none",
        f"to keep the gain: {RERUN} --diffopt-update all",
    )


def test_less_of_one_and_more_of_another_is_no_improvement() -> None:
    """A trade-off must be reviewed."""
    verdict = judge(replace(RECORD, phases=(BEFORE, FIRST, phase("steps 1-3", flops=900_000, operations=101))))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation[1:3] == (
        "  steps 1-3  flops 1,000,000 -> 900,000 (-10.0 %)",
        "  steps 1-3  operations 100 -> 101 (+1.0 %)",
    )


def test_another_attention_kernel_fails() -> None:
    """Equal figures with a different kernel are different work on a GPU."""
    verdict = judge(replace(RECORD, attention={"math 2x10x4096x64 bfloat16": 8}))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation == (
        "diffopt: the counts differ from the accepted ones",
        "  attention flash 2x10x4096x64 bfloat16: 8 -> 0 calls",
        "  attention math 2x10x4096x64 bfloat16: 0 -> 8 calls",
        SEEN_ON,
        HINT,
    )


def test_a_new_unmodelled_operation_fails() -> None:
    """An operation that is no longer counted lowers the figures without any gain."""
    verdict = judge(replace(RECORD, unmodelled=("torchao::dequantize",)))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation == (
        "diffopt: the counts differ from the accepted ones",
        "  operations that are not counted: none -> torchao::dequantize",
        SEEN_ON,
        HINT,
    )


def test_lower_counts_with_a_new_unmodelled_operation_are_no_gain() -> None:
    """Operations that are no longer counted are not saved."""
    now = replace(
        RECORD, phases=(BEFORE, FIRST, phase("steps 1-3", operations=80)), unmodelled=("torchao::dequantize",)
    )

    assert judge(now).outcome is Outcome.REGRESSED


def test_a_phase_that_split_is_compared_step_by_step() -> None:
    """If one of the grouped steps does more, only that step is reported."""
    apart = (BEFORE, FIRST, phase("step 1", operations=120), phase("steps 2-3"))
    all_other = (BEFORE, FIRST, *(phase(f"step {number}", operations=100 + number) for number in (1, 2, 3)))

    assert [line for line in judge(replace(RECORD, phases=apart)).explanation if "step" in line] == [
        "  step 1  operations 100 -> 120 (+20.0 %)"
    ]
    assert [line for line in judge(replace(RECORD, phases=all_other)).explanation if "step" in line] == [
        "  step 1  operations 100 -> 101 (+1.0 %)",
        "  step 2  operations 100 -> 102 (+2.0 %)",
        "  step 3  operations 100 -> 103 (+3.0 %)",
    ]


def test_steps_with_equal_changes_are_reported_together() -> None:
    """They were accepted one by one and are grouped now; the first step stays separate."""
    before = replace(RECORD, phases=(BEFORE, FIRST, *(phase(f"step {number}") for number in (1, 2, 3))))
    accepted = CountBaseline.from_record(before, case="test_it", environment=ENVIRONMENT, reason="first")
    now = replace(RECORD, phases=(BEFORE, phase("step 0", operations=101), phase("steps 1-3", operations=101)))
    verdict = judge_counts(now, accepted, environment=ENVIRONMENT, rerun=RERUN)

    assert [line for line in verdict.explanation if "step" in line] == [
        "  step 0     operations 100 -> 101 (+1.0 %)",
        "  steps 1-3  operations 100 -> 101 (+1.0 %)",
    ]


def test_many_modules_are_cut_to_the_five_that_changed_most() -> None:
    """The other modules are counted, not listed."""
    modules = [ModuleCounts(module=f"m{number}", flops=100, operations=100) for number in range(8)]
    baseline = CountBaseline.from_record(
        replace(RECORD, modules=tuple(modules)), case="case", environment=ENVIRONMENT, reason="new"
    )
    now = replace(
        RECORD,
        phases=(BEFORE, FIRST, phase("steps 1-3", operations=139)),
        modules=tuple(replace(module, operations=100 + number) for number, module in enumerate(modules)),
    )

    assert judge(now, baseline).explanation[2:8] == (
        "  in m7  operations 100 -> 107 (+7.0 %)",
        "  in m6  operations 100 -> 106 (+6.0 %)",
        "  in m5  operations 100 -> 105 (+5.0 %)",
        "  in m4  operations 100 -> 104 (+4.0 %)",
        "  in m3  operations 100 -> 103 (+3.0 %)",
        "  and 2 changes in other modules",
    )


def test_a_missing_baseline_fails_with_the_command_that_makes_one() -> None:
    """Counts without a baseline guard nothing."""
    verdict = judge(RECORD, None)

    assert verdict.outcome is Outcome.MISSING
    assert verdict.is_failure
    assert verdict.explanation == (
        "diffopt: no counts baseline has been accepted: 5e-06 TFLOP, 500 operations, peak 2.00 MiB",
        f"seen on NVIDIA H200, {SEEN}",
        f"to accept it: {RERUN} --diffopt-update missing",
    )


def test_counts_of_another_recipe_machine_or_gpu_are_not_compared() -> None:
    """Each difference is named, with both texts."""
    other = with_changes(BASELINE, subject=with_changes(BASELINE.subject, recipe="fp32"), gpu_model="nvidia-l4")
    verdict = judge(RECORD, other, environment=OTHER_GPU)

    assert verdict.outcome is Outcome.INCOMPARABLE
    assert not verdict.is_failure
    assert verdict.summary == "baseline of a different recipe, device name, GPU"
    assert verdict.explanation == (
        "diffopt: the counts baseline was made with a different recipe, device name, GPU: nothing was compared",
        "  recipe       bf16 + sdpa, accepted with fp32",
        "  device name  NVIDIA L4, accepted with NVIDIA H200",
        "  GPU          nvidia-h200, accepted with nvidia-l4",
        f"to replace it: {RERUN} --diffopt-update all",
    )


def test_changes_are_listed_figure_by_figure() -> None:
    """Phases, kernels and modules, and the versions that differ even where the counts do not."""
    now = replace(
        RECORD,
        phases=(BEFORE, FIRST, phase("steps 1-3", operations=139)),
        modules=(replace(UNET, operations=417), VAE),
        attention={"math 2x10x4096x64 bfloat16": 8},
    )
    flash, math = "flash 2x10x4096x64 bfloat16", "math 2x10x4096x64 bfloat16"

    assert judge(now).changes == (
        FigureChange(where="steps 1-3", figure="operations", before=100, after=139),
        FigureChange(where="attention", figure=flash, before=8, after=0),
        FigureChange(where="attention", figure=math, before=0, after=8),
        FigureChange(where="unet", figure="operations", before=300, after=417),
    )
    assert judge(RECORD, environment=NEWER).environment_changes == (
        "torch    2.14.0, accepted with 2.13.0",
        "torchao  1.0, accepted with none",
    )


@pytest.mark.parametrize(("num_steps", "change"), [(3, "4 -> 3 (-25.0 %)"), (5, "4 -> 5 (+25.0 %)")])
def test_a_loop_of_another_length_fails(num_steps: int, change: str) -> None:
    """A missing step is no gain; only the phases that both have are compared."""
    now = replace(RECORD, num_steps=num_steps, phases=(BEFORE, FIRST, phase(f"steps 1-{num_steps - 1}")))
    verdict = judge(now)

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation == (
        "diffopt: the counts differ from the accepted ones",
        f"  the loop  steps {change}",
        SEEN_ON,
        HINT,
    )
