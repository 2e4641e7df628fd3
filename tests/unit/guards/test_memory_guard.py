"""A call fails when its peak memory is above what the margin and the floor allow."""

from dataclasses import replace

import pytest

from pytest_diffopt.baselines.documents import MemoryBaseline
from pytest_diffopt.guards.memory import judge_memory
from pytest_diffopt.guards.verdict import FigureChange, Outcome, Verdict
from pytest_diffopt.records import DenoiserEvidence, Device, Environment, MemoryHolder, MemoryRecord
from pytest_diffopt.records.code_location import CodeLocation
from tests.unit.guards.guard_examples import ENVIRONMENT, NEWER, OTHER_GPU, RERUN, SEEN, SUBJECT

MIB = 1 << 20


def record(
    allocated_mib: int, reserved_mib: int = 2048, *, seen_by: str = "the CUDA allocator", operations: int = 900
) -> MemoryRecord:
    """Return a call with these peaks."""
    return MemoryRecord(
        subject=SUBJECT,
        peak_allocated_bytes=allocated_mib * MIB,
        peak_reserved_bytes=reserved_mib * MIB,
        seen_by=seen_by,
        operations=operations,
    )


def accepted(seen: MemoryRecord, *, margin: float = 0.02, floor_mib: int = 8) -> MemoryBaseline:
    """Return a baseline of a record."""
    return MemoryBaseline.from_record(
        seen,
        case="test_memory[sdxl]",
        environment=ENVIRONMENT,
        margin=margin,
        floor_bytes=floor_mib * MIB,
        reason="new",
    )


def judge(now: MemoryRecord, baseline: MemoryBaseline | None, *, environment: Environment = ENVIRONMENT) -> Verdict:
    """Judge on the GPU of the examples."""
    return judge_memory(now, baseline, environment=environment, rerun=RERUN)


def test_an_injected_regression_fails() -> None:
    """A 25 % higher peak: both peaks, what is allowed, what differs, and the command that accepts it."""
    verdict = judge(record(1280, 2048), accepted(record(1024, 2048)), environment=NEWER)

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.summary == "1.25 GiB (+25.0 %)"
    assert verdict.explanation == (
        "diffopt: the memory peak grew by 25.0 %: 1.25 GiB allocated by tensors (1.02 GiB allowed)",
        "  allocated by tensors       1.25 GiB, accepted 1.00 GiB, +25.0 % (1.02 GiB allowed)",
        "  reserved by the allocator  2.00 GiB, accepted 2.00 GiB, +0.0 % (2.04 GiB allowed)",
        "  2.0 % or 8.00 MiB allowed, whichever is larger",
        f"seen on NVIDIA H200 by the CUDA allocator, {SEEN}",
        "differs from the baseline's environment:",
        "  torch    2.14.0, accepted with 2.13.0",
        "  torchao  1.0, accepted with none",
        f"to accept this: {RERUN} --diffopt-update all",
    )
    assert verdict.figures == {
        "peak_allocated_bytes": 1280 * MIB,
        "peak_reserved_bytes": 2048 * MIB,
        "accepted_peak_allocated_bytes": 1024 * MIB,
        "accepted_peak_reserved_bytes": 2048 * MIB,
    }
    assert verdict.changes == (
        FigureChange(where="allocated by tensors", figure="peak_bytes", before=1024 * MIB, after=1280 * MIB),
    )
    assert verdict.environment_changes == ("torch    2.14.0, accepted with 2.13.0", "torchao  1.0, accepted with none")


def test_the_lines_that_held_it_are_shown() -> None:
    """What was held before the call, and what the call held at its peak, by line."""
    line = CodeLocation(file="pipeline.py", line=7, function="step", source="kept.append(latents)")
    holders = (MemoryHolder(where=line, held_bytes=256 * MIB),)
    grown = replace(record(1280), peak_holders=holders, held_before_bytes=1000 * MIB)

    assert judge(grown, accepted(record(1024))).explanation[4:7] == (
        "  1000 MiB of it was held before the call: weights, libraries' workspaces, what earlier calls kept",
        "  held at the peak, by the line that allocated it:",
        "    256 MiB  pipeline.py:7  kept.append(latents)",
    )


def test_its_clean_counterpart_passes() -> None:
    """The same peaks pass without an explanation."""
    verdict = judge(record(1024), accepted(record(1024)))

    assert verdict.outcome is Outcome.PASSED
    assert verdict.explanation == ()


def test_the_reserved_peak_is_guarded_too() -> None:
    """Memory lost to fragmentation is not held by any tensor, but unavailable to other processes."""
    verdict = judge(record(900, 3072), accepted(record(1024, 2048)))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation[0] == (
        "diffopt: the memory peak grew by 50.0 %: 3.00 GiB reserved by the allocator (2.04 GiB allowed)"
    )


@pytest.mark.parametrize(
    ("now", "outcome"),
    [(108, Outcome.PASSED), (109, Outcome.REGRESSED), (92, Outcome.PASSED), (91, Outcome.IMPROVED)],
)
def test_a_small_peak_is_guarded_by_the_floor(now: int, outcome: Outcome) -> None:
    """A change past the margin of 2 % alone does not count, in either direction: the floor is 8 MiB."""
    assert judge(record(now), accepted(record(100))).outcome is outcome


def test_an_improvement_is_reported() -> None:
    """A lower peak has the command that keeps the gain."""
    verdict = judge(record(768), accepted(record(1024)))

    assert verdict.outcome is Outcome.IMPROVED
    assert verdict.explanation[0] == (
        "diffopt: the memory peak fell by 25.0 %: 768 MiB allocated by tensors (1.02 GiB allowed)"
    )
    assert verdict.explanation[-1] == f"to keep the gain: {RERUN} --diffopt-update all"


def test_without_an_allocator_only_tensors_are_compared() -> None:
    """The simulated GPU has no caching allocator; its zero is not compared."""
    seen = record(1024, 0, seen_by="the simulated GPU")
    verdict = judge(replace(seen, peak_allocated_bytes=2048 * MIB), accepted(seen))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.figures.keys() == {"peak_allocated_bytes", "accepted_peak_allocated_bytes"}


def test_a_missing_baseline_fails_with_the_command_that_makes_one() -> None:
    """A peak without a baseline guards nothing."""
    verdict = judge(record(1280), None)

    assert verdict.outcome is Outcome.MISSING
    assert verdict.explanation == (
        "diffopt: no memory baseline has been accepted: 1.25 GiB at the peak",
        f"seen on NVIDIA H200, {SEEN}",
        f"to accept it: {RERUN} --diffopt-update missing",
    )


def test_a_baseline_of_another_instrument_is_not_compared() -> None:
    """Figures of the simulated GPU are never compared with those of a GPU."""
    verdict = judge(record(1024, 0, seen_by="the simulated GPU"), accepted(record(1024)), environment=OTHER_GPU)

    assert verdict.outcome is Outcome.INCOMPARABLE
    assert verdict.explanation == (
        "diffopt: the memory baseline was made with a different device name, instrument, caching allocator: "
        "nothing was compared",
        "  device name        NVIDIA L4, accepted with NVIDIA H200",
        "  instrument         the simulated GPU, accepted with the CUDA allocator",
        "  caching allocator  none, accepted with one",
        f"to replace it: {RERUN} --diffopt-update all",
    )


@pytest.mark.parametrize(
    ("device", "words"),
    [(Device.CUDA, "the GPU"), (Device.NULL_GPU, "the null GPU"), (Device.SIMULATED, "the simulated GPU")],
)
def test_a_call_without_operations_is_unwatched_on_every_device(device: Device, words: str) -> None:
    """Its peak is that of the weights, whatever the call does elsewhere."""
    seen = replace(record(1024, operations=0), subject=replace(SUBJECT, device=device))
    verdict = judge(seen, accepted(seen))

    assert not seen.is_watched
    assert verdict.outcome is Outcome.UNWATCHED
    assert verdict.explanation[0] == f"diffopt: no operation of the call ran on {words}: nothing was watched"


def test_a_denoiser_without_operations_is_unwatched() -> None:
    """The scheduler and the VAE alone are not the call."""
    elsewhere = DenoiserEvidence(
        calls={"unet": (4,)}, operations={"unet": (0,)}, elsewhere=("unet: weights on cuda:0, but computed elsewhere",)
    )
    seen = replace(record(1024), denoiser=elsewhere)
    verdict = judge(seen, accepted(seen))

    assert not seen.is_watched
    assert verdict.outcome is Outcome.UNWATCHED
    assert verdict.explanation[1:3] == (
        "  unet: weights on cuda:0, but computed elsewhere",
        "  operations of unet per step: 0",
    )
