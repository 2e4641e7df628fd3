"""Kernels are exact: equal ones pass, and both regressions and gains fail until they are accepted."""

from dataclasses import replace

import pytest

from pytest_diffopt.baselines.documents import KernelBaseline
from pytest_diffopt.guards.kernels import judge_fewer_kernels, judge_kernels
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, Environment, FewerKernelsRecord, KernelRecord, PhaseKernels
from tests.unit.guards.guard_examples import ENVIRONMENT, NEWER, OTHER_GPU, SEEN, SUBJECT

RERUN = "pytest 'suites/test_sdxl.py::test_kernels[sdxl]' --diffopt-gpu"
HINT = f"to accept this: {RERUN} --diffopt-update all"
SEEN_ON = f"seen on null NVIDIA H200, {SEEN}"
FUSED = {"triton_poi_fused_gelu_mul": 60}
UNFUSED = {"elementwise_kernel(gelu)": 60, "elementwise_kernel(mul)": 60}
MATMUL = "cublasLtMatmul m=640 n=8192 k=640 batch=1"


def phase(name: str, kernels: dict[str, int]) -> PhaseKernels:
    """Return a phase with these kernels."""
    return PhaseKernels(
        phase=name,
        kernels=kernels,
        library_calls={MATMUL: 40},
        copies={"host to device": 1},
        copied_bytes={"host to device": 8},
        peak_allocated_bytes=2 << 20,
        peak_reserved_bytes=4 << 20,
    )


BEFORE, FIRST, LATER = phase("before the loop", {"fill": 1}), phase("step 0", FUSED), phase("steps 1-3", FUSED)
RECORD = KernelRecord(subject=SUBJECT, seen_by="null NVIDIA H200", num_steps=4, phases=(BEFORE, FIRST, LATER))
VERSIONS = {"torch": "2.14.1", "triton": "3.8.0", "diffusers": "0.42.1"}
THEN = replace(ENVIRONMENT, versions=VERSIONS)
BASELINE = KernelBaseline.from_record(RECORD, case="test_kernels[sdxl]", environment=THEN, reason="new")


def judge(now: KernelRecord, baseline: KernelBaseline | None = BASELINE, *, environment: Environment = THEN) -> Verdict:
    """Judge against the accepted kernels."""
    return judge_kernels(now, baseline, environment=environment, rerun=RERUN)


def with_kernels(kernels: dict[str, int]) -> KernelRecord:
    """Return a record whose steps launch these kernels."""
    return replace(RECORD, phases=(BEFORE, phase("step 0", kernels), phase("steps 1-3", kernels)))


def test_equal_kernels_pass() -> None:
    """The summary counts every step of a phase that groups several."""
    verdict = judge(RECORD)

    assert (verdict.outcome, verdict.concern, verdict.explanation) == (Outcome.PASSED, Concern.KERNELS, ())
    assert verdict.summary == "441 launches, peak 2.00 MiB"
    assert verdict.figures["launches"] == verdict.figures["accepted_launches"] == 441


def test_lost_fusion_is_named() -> None:
    """The kernels with the largest change come first, each with its old and new number, for each group of steps."""
    verdict = judge(with_kernels(UNFUSED))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation == (
        "diffopt: the kernels differ from the accepted ones",
        "  step 0     launches 100 -> 160 (+60.0 %)",
        "  step 0     triton_poi_fused_gelu_mul 60 -> 0",
        "  step 0     elementwise_kernel(gelu) 0 -> 60",
        "  step 0     elementwise_kernel(mul) 0 -> 60",
        "  steps 1-3  launches 100 -> 160 (+60.0 %)",
        "  steps 1-3  triton_poi_fused_gelu_mul 60 -> 0",
        "  steps 1-3  elementwise_kernel(gelu) 0 -> 60",
        "  steps 1-3  elementwise_kernel(mul) 0 -> 60",
        SEEN_ON,
        HINT,
    )


def test_other_kernels_with_an_equal_sum_fail() -> None:
    """They are neither better nor worse, and must be accepted."""
    verdict = judge(with_kernels({"triton_poi_fused_mul_gelu": 60}))

    assert verdict.outcome is Outcome.REGRESSED
    assert "  step 0     triton_poi_fused_gelu_mul 60 -> 0" in verdict.explanation


def test_fewer_launches_are_a_gain_to_accept() -> None:
    """No sum grew."""
    verdict = judge(with_kernels({"triton_poi_fused_gelu_mul": 50}))

    assert (verdict.outcome, verdict.is_failure) == (Outcome.IMPROVED, True)
    assert verdict.explanation[0] == "diffopt: the kernels improved"
    assert verdict.explanation[-1] == f"to keep the gain: {RERUN} --diffopt-update all"


def test_fewer_steps_are_no_gain() -> None:
    """Only phases of both are compared."""
    verdict = judge(replace(RECORD, num_steps=2, phases=(BEFORE, FIRST, phase("step 1", FUSED))))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation[1:-2] == ("  the loop  steps 4 -> 2 (-50.0 %)",)


def test_launches_that_leave_their_graph_fail() -> None:
    """The same kernels, launched one by one instead of by a CUDA graph."""
    then = replace(phase("the call", FUSED), graph_launches=1, launches_in_graphs=100)
    record = replace(RECORD, num_steps=0, phases=(then,))
    baseline = KernelBaseline.from_record(record, case="test_kernels", environment=THEN, reason="new")
    verdict = judge(replace(record, phases=(phase("the call", FUSED),)), baseline)

    assert judge(record, baseline).summary == "100 launches, 100.0 % of them in 1 CUDA graph, peak 2.00 MiB"
    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation[1:3] == (
        "  the call  graph launches 1 -> 0",
        "  the call  launches in graphs 100 -> 0",
    )


def test_copies_allocations_and_peaks_are_compared() -> None:
    """Each has its line, with sizes in readable units."""
    worse = replace(
        LATER,
        copies={"host to device": 2},
        copied_bytes={"host to device": 2048},
        allocations={"cudaMalloc": 1},
        fills=1,
        filled_bytes=512,
        peak_reserved_bytes=6 << 20,
    )
    verdict = judge(replace(RECORD, phases=(BEFORE, FIRST, worse)))

    assert verdict.explanation[1:-2] == (
        "  steps 1-3  copies host to device 1 -> 2 (+100.0 %)",
        "  steps 1-3  bytes copied host to device 8 B -> 2.00 KiB",
        "  steps 1-3  fills 0 -> 1",
        "  steps 1-3  filled bytes 0 B -> 512 B",
        "  steps 1-3  peak memory reserved 4.00 MiB -> 6.00 MiB",
        "  steps 1-3  calls of cudaMalloc 0 -> 1",
    )


def test_many_changes_are_shortened() -> None:
    """A dozen for each phase, the largest first."""
    verdict = judge(with_kernels({f"kernel_{number:02}": number for number in range(1, 20)}))

    assert "  step 0     and 9 more changes" in verdict.explanation
    assert "  step 0     kernel_19 0 -> 19" in verdict.explanation
    assert "  step 0     kernel_01 0 -> 1" not in verdict.explanation


@pytest.mark.parametrize("package", ["torch", "triton", "diffusers"])
def test_other_versions_are_compared_by_their_sums(package: str) -> None:
    """Names may change with a release; the number of launches may not."""
    newer = replace(THEN, versions=VERSIONS | {package: "9.0"})
    renamed = judge(with_kernels({"triton_poi_fused_mul_gelu": 60}), environment=newer)
    more = judge(with_kernels({"triton_poi_fused_mul_gelu": 61}), environment=newer)

    assert (renamed.outcome, renamed.environment_changes) == (
        Outcome.PASSED,
        (f"{package}  9.0, accepted with {VERSIONS[package]}",),
    )
    assert more.outcome is Outcome.REGRESSED
    assert more.explanation[1:3] == (
        "  step 0     launches 100 -> 101 (+1.0 %)",
        "  step 0     launches outside graphs 100 -> 101 (+1.0 %)",
    )


def test_calls_that_are_no_longer_modelled_fail() -> None:
    """The figures may be incomplete."""
    verdict = judge(replace(RECORD, unmodelled=("cuFoo",)))

    assert verdict.outcome is Outcome.REGRESSED
    assert "  calls that are not modelled: none -> cuFoo" in verdict.explanation


def test_missing_baseline_fails() -> None:
    """The command accepts it."""
    verdict = judge(RECORD, None)

    assert (verdict.outcome, verdict.is_failure) == (Outcome.MISSING, True)
    assert verdict.explanation[0] == "diffopt: no kernels baseline has been accepted: 441 launches, peak 2.00 MiB"


def test_another_gpu_is_not_compared() -> None:
    """Each null GPU has its own baselines."""
    assert judge(RECORD, environment=replace(OTHER_GPU, versions=VERSIONS)).outcome is Outcome.INCOMPARABLE
    assert judge(RECORD, environment=NEWER).outcome is not Outcome.INCOMPARABLE


def test_device_without_kernels_is_unwatched() -> None:
    """The hint is a command that can count them."""
    verdict = judge(KernelRecord(subject=SUBJECT, seen_by="the CPU", num_steps=0, phases=()))

    assert (verdict.outcome, verdict.is_failure) == (Outcome.UNWATCHED, True)
    assert verdict.explanation == (
        "diffopt: no kernel can be counted on the CPU: nothing was watched",
        f"seen in {SEEN}",
        "kernels are counted on the null GPU, which needs a CUDA build of torch and no GPU: "
        "pytest 'suites/test_sdxl.py::test_kernels[sdxl]' --diffopt-null-gpu",
    )


def test_step_without_launches_is_unwatched() -> None:
    """Every denoise step must launch something."""
    empty = PhaseKernels(phase="step 0", kernels={}, library_calls={})
    verdict = judge(replace(RECORD, phases=(BEFORE, empty, LATER)))

    assert verdict.outcome is Outcome.UNWATCHED
    assert (
        verdict.explanation[0] == "diffopt: no operation of denoise step 0 ran on null NVIDIA H200: nothing was watched"
    )


def test_calls_that_never_settle_are_inconclusive() -> None:
    """A baseline of such a call would be arbitrary."""
    verdict = judge(replace(RECORD, is_settled=False))

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.explanation == (
        "diffopt: each call launches something else (441 launches, peak 2.00 MiB in the last): nothing was compared",
        SEEN_ON,
        "find what differs between equal calls: a recompile, autotuning, or a state that the call keeps",
    )


@pytest.mark.parametrize(("by", "outcome"), [(1.0, Outcome.PASSED), (1.5, Outcome.PASSED), (1.6, Outcome.REGRESSED)])
def test_fewer_kernels(by: float, outcome: Outcome) -> None:
    """The reference launches 1.54 times as much."""
    record = FewerKernelsRecord(subject=SUBJECT, counted=RECORD, reference=with_kernels(UNFUSED))

    assert judge_fewer_kernels(record, demanded=by).outcome is outcome


def test_not_fewer_kernels_names_them() -> None:
    """From the reference to the subject, over the whole call."""
    record = FewerKernelsRecord(subject=SUBJECT, counted=RECORD, reference=with_kernels(UNFUSED))
    verdict = judge_fewer_kernels(record, demanded=2.0)

    assert verdict.explanation == (
        "diffopt: 441 launches, the reference 681: 1.54x fewer (at least 2.00x required)",
        f"  subject    {SUBJECT}",
        f"  reference  {SUBJECT}",
        "  elementwise_kernel(gelu) 240 -> 0",
        "  elementwise_kernel(mul) 240 -> 0",
        "  triton_poi_fused_gelu_mul 0 -> 240",
        "seen on null NVIDIA H200, from the reference to the subject",
        "check that the optimization is applied; or lower by=... in the test",
    )


def test_equal_kernels_are_not_fewer() -> None:
    """Without `by`, one launch less is required."""
    verdict = judge_fewer_kernels(FewerKernelsRecord(subject=SUBJECT, counted=RECORD, reference=RECORD), demanded=1.0)

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.summary == "441 launches, the reference 441: 1.00x fewer (fewer required)"


@pytest.mark.parametrize("is_reference", [True, False])
def test_fewer_kernels_needs_evidence_of_both(*, is_reference: bool) -> None:
    """A pipeline on the CPU launches nothing, which is not fewer."""
    unseen = replace(RECORD, phases=(), seen_by="the CPU")
    counted, reference = (RECORD, unseen) if is_reference else (unseen, RECORD)
    record = FewerKernelsRecord(subject=SUBJECT, counted=counted, reference=reference)

    assert judge_fewer_kernels(record, demanded=1.0).outcome is Outcome.UNWATCHED
