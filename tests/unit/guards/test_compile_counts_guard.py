"""Compile counts against a baseline: which changes are regressions and which are gains."""

from dataclasses import replace

import pytest

from pytest_diffopt.baselines.documents import CompileBaseline
from pytest_diffopt.guards.compile_counts import judge_compile_counts
from pytest_diffopt.guards.verdict import FigureChange, Outcome, Verdict
from pytest_diffopt.records import CompileCountRecord, Concern, Environment, RegionCounts
from tests.unit.guards.guard_examples import ENVIRONMENT, NEWER, RERUN, SEEN, SUBJECT

UNET = RegionCounts(region="UNet.forward", graphs=2, breaks=1, recompiles=1, operations=90, guards=400)
VAE = RegionCounts(region="VAE.decode", graphs=1, breaks=0, recompiles=0, operations=20, guards=50)


def judged(
    *regions: RegionCounts, accepted: tuple[RegionCounts, ...] = (UNET, VAE), environment: Environment = ENVIRONMENT
) -> Verdict:
    """Judge these counts against the accepted ones."""
    before = CompileCountRecord(subject=SUBJECT, regions=accepted)
    baseline = CompileBaseline.from_record(before, case="test_it", environment=ENVIRONMENT, reason="first")
    record = CompileCountRecord(subject=SUBJECT, regions=regions)
    return judge_compile_counts(record, baseline, environment=environment, rerun=RERUN)


def test_the_same_counts_pass() -> None:
    """The summary adds them up."""
    verdict = judged(UNET, VAE)

    assert verdict.outcome is Outcome.PASSED
    assert verdict.concern is Concern.COMPILATION
    assert verdict.summary == "2 functions: 3 graphs, 1 break, 1 recompile, 110 operations, 450 guards"
    assert verdict.explanation == ()


def test_a_change_is_reported_function_by_function_with_the_versions_that_differ() -> None:
    """With the old and the new figure."""
    verdict = judged(replace(UNET, breaks=2, graphs=3), VAE, environment=NEWER)

    assert verdict.explanation == (
        "diffopt: the compile counts differ from the accepted ones",
        "  UNet.forward  graphs 2 -> 3",
        "  UNet.forward  breaks 1 -> 2",
        f"seen while compiling {SEEN}",
        "differs from the baseline's environment:",
        "  torch    2.14.0, accepted with 2.13.0",
        "  torchao  1.0, accepted with none",
        f"to accept this: {RERUN} --diffopt-update all",
    )
    assert verdict.changes == (
        FigureChange(where="UNet.forward", figure="graphs", before=2, after=3),
        FigureChange(where="UNet.forward", figure="breaks", before=1, after=2),
    )
    assert verdict.environment_changes == ("torch    2.14.0, accepted with 2.13.0", "torchao  1.0, accepted with none")


@pytest.mark.parametrize(
    ("regions", "outcome"),
    [
        ((replace(UNET, breaks=0, graphs=1, operations=91), VAE), Outcome.IMPROVED),
        ((replace(UNET, guards=399), VAE), Outcome.IMPROVED),
        ((replace(UNET, guards=401), VAE), Outcome.REGRESSED),
        ((replace(UNET, breaks=0, guards=401), VAE), Outcome.REGRESSED),
        ((replace(UNET, operations=89), VAE), Outcome.REGRESSED),
        ((UNET,), Outcome.REGRESSED),
        ((UNET, VAE, replace(VAE, region="VAE.encode")), Outcome.REGRESSED),
    ],
    ids=["break fixed", "guard less", "guard more", "both ways", "operators alone", "gone", "new"],
)
def test_only_lower_costs_are_a_gain(regions: tuple[RegionCounts, ...], outcome: Outcome) -> None:
    """Regressions and gains both fail until they are accepted."""
    verdict = judged(*regions)

    assert verdict.outcome is outcome
    assert verdict.is_failure


@pytest.mark.parametrize("torch", ["2.13.0+cu130", "2.13.1", "2.14.0"])
def test_guards_of_another_torch_are_not_compared(torch: str) -> None:
    """Each release and each build sets different guards; all other figures are compared."""
    environment = replace(ENVIRONMENT, versions={"torch": torch})

    assert judged(replace(UNET, guards=UNET.guards + 3), VAE, environment=environment).outcome is Outcome.PASSED
    assert judged(replace(UNET, graphs=3), VAE, environment=environment).outcome is Outcome.REGRESSED


def test_a_missing_baseline_fails() -> None:
    """With the command that accepts the counts."""
    record = CompileCountRecord(subject=SUBJECT, regions=(UNET,))
    verdict = judge_compile_counts(record, None, environment=ENVIRONMENT, rerun=RERUN)

    assert verdict.outcome is Outcome.MISSING
    assert verdict.explanation[-1] == f"to accept it: {RERUN} --diffopt-update missing"


def test_a_baseline_of_another_recipe_is_not_compared() -> None:
    """The verdict is incomparable."""
    before = CompileCountRecord(subject=replace(SUBJECT, recipe="fp32"), regions=(UNET,))
    baseline = CompileBaseline.from_record(before, case="test_it", environment=ENVIRONMENT, reason="first")
    record = CompileCountRecord(subject=SUBJECT, regions=(UNET,))
    verdict = judge_compile_counts(record, baseline, environment=ENVIRONMENT, rerun=RERUN)

    assert verdict.outcome is Outcome.INCOMPARABLE


COMPILED = replace(UNET, generated_kernels=8, external_calls=6, reused_buffers=4)


def test_what_inductor_generates_is_exact() -> None:
    """A dynamic graph, and an operation that Inductor has no code for; the summary counts the kernels."""
    dynamic = replace(COMPILED, symbolic_sizes=1, external_calls=7, fallbacks=1, generated_kernels=7)
    verdict = judged(dynamic, accepted=(COMPILED,))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.summary.endswith(", 400 guards, 7 generated kernels")
    assert verdict.explanation[1:5] == (
        "  UNet.forward  symbolic sizes 0 -> 1",
        "  UNet.forward  generated kernels 8 -> 7",
        "  UNet.forward  external calls 6 -> 7",
        "  UNet.forward  fallbacks 0 -> 1",
    )


def test_fewer_kernels_are_a_gain_and_reused_buffers_are_neither() -> None:
    """Buffers are reused where there are some."""
    gain = judged(replace(COMPILED, generated_kernels=7, reused_buffers=3), accepted=(COMPILED,))
    neither = judged(replace(COMPILED, reused_buffers=3), accepted=(COMPILED,))

    assert gain.outcome is Outcome.IMPROVED
    assert neither.outcome is Outcome.REGRESSED


def test_what_inductor_generates_is_compared_under_one_torch_and_triton_only() -> None:
    """Another Triton compiles other kernels."""
    other_triton = replace(ENVIRONMENT, versions={**ENVIRONMENT.versions, "triton": "3.9.0"})
    changed = replace(COMPILED, generated_kernels=9, fallbacks=2)

    assert judged(changed, accepted=(COMPILED,), environment=other_triton).outcome is Outcome.PASSED
    assert judged(changed, accepted=(COMPILED,), environment=NEWER).outcome is Outcome.PASSED


@pytest.mark.parametrize("graph_calls", [None, 1])
def test_counts_of_code_that_ran_are_compared(graph_calls: int | None) -> None:
    """As far as it is known."""
    record = CompileCountRecord(subject=SUBJECT, regions=(UNET,), graph_calls=graph_calls)

    assert record.is_watched
    assert judge_compile_counts(record, None, environment=ENVIRONMENT, rerun=RERUN).outcome is Outcome.MISSING


def test_counts_of_code_that_did_not_run_are_unwatched() -> None:
    """With or without a baseline."""
    record = CompileCountRecord(subject=SUBJECT, regions=(UNET, VAE), graph_calls=0)
    verdict = judge_compile_counts(record, None, environment=ENVIRONMENT, rerun=RERUN)

    assert not record.is_watched
    assert verdict.outcome is Outcome.UNWATCHED
    assert verdict.explanation == (
        "diffopt: no compiled graph ran in the call: nothing was checked",
        "  UNet.forward  2 graphs with 90 operators",
        "  VAE.decode    1 graph with 20 operators",
        f"seen in {SEEN}",
        "compile what this call uses: the compiled functions captured no operator (a graph break, "
        "torch.compiler.disable), or were compiled before and are no longer called",
    )
