"""Run the assertions of a user's tests on a pipeline, and record which of them fail."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pytest
import torch

from pytest_diffopt import (
    AllowedSyncs,
    CountGate,
    DiffoptAssertionError,
    ImageGate,
    LatencyGate,
    PipelineInputs,
    assert_compiled_matches_eager,
    assert_no_graph_breaks,
    assert_no_recompiles,
    assert_no_syncs,
    assert_optimizations_applied,
    assert_repeatable,
    assert_same_images,
)
from pytest_diffopt.recipes.recipe import recipe_of
from pytest_diffopt.session.active_test import active_test


class Guard(StrEnum):
    """An assertion or baseline fixture of a user's test."""

    APPLIED = "applied"
    IMAGE = "image"
    STORED_IMAGE = "stored image"
    OWN_IMAGE = "own image"
    REPEATABLE = "repeatable"
    SYNCS = "syncs"
    COUNTS = "counts"
    GRAPH_BREAKS = "graph breaks"
    RECOMPILES = "recompiles"
    NUMERICS = "numerics"
    LATENCY = "latency"


class CheckOutcome(StrEnum):
    """The outcome of an assertion."""

    PASSED = "passed"
    FAILED = "failed"
    RAISED = "raised"
    UNPROVEN = "unproven"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """The result of one guard.

    Attributes:
        guard: the guard.
        outcome: the outcome of its assertion.
        headline: first line of its message; empty if it passed.
        figures: measured figures; empty without a verdict.
    """

    guard: Guard
    outcome: CheckOutcome
    headline: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_caught(self) -> bool:
        """Whether a test would fail: the guard failed, or the pipeline raised."""
        return self.outcome in {CheckOutcome.FAILED, CheckOutcome.RAISED}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A pipeline, and the objects that its checks use.

    Attributes:
        pipeline: the optimized pipeline.
        reference: the unoptimized pipeline.
        inputs: keywords of the call.
        variations: calls that must not recompile.
        images: gate with images of the reference, and thresholds learned from the clean pipeline.
        own_images: gate with images of the clean pipeline itself.
        counts: gate with the accepted counts of the clean pipeline.
        latency: gate with the accepted latency of the clean pipeline; None if it is not timed.
        allow_syncs: accepted syncs of the clean pipeline.
    """

    pipeline: Any
    reference: Any
    inputs: PipelineInputs
    variations: Sequence[PipelineInputs]
    images: ImageGate
    own_images: ImageGate
    counts: CountGate
    latency: LatencyGate | None = None
    allow_syncs: Sequence[AllowedSyncs] = field(default_factory=tuple)

    def checks(self) -> Iterator[tuple[Guard, Callable[[], None]]]:
        """Yield every check; compile checks first, because they count from the creation of the pipeline."""
        pipeline, inputs = self.pipeline, self.inputs
        if self.is_compiled:
            yield Guard.GRAPH_BREAKS, lambda: assert_no_graph_breaks(pipeline, **inputs)
            yield Guard.RECOMPILES, lambda: assert_no_recompiles(pipeline, self.variations)
            yield Guard.NUMERICS, lambda: assert_compiled_matches_eager(pipeline, **inputs)
        yield Guard.IMAGE, lambda: assert_same_images(pipeline, self.reference, **inputs)
        yield Guard.STORED_IMAGE, lambda: self.images.check(pipeline, **inputs)
        yield Guard.OWN_IMAGE, lambda: self.own_images.check(pipeline, **inputs)
        yield Guard.REPEATABLE, lambda: assert_repeatable(pipeline, **inputs)
        yield Guard.APPLIED, lambda: assert_optimizations_applied(pipeline)
        yield Guard.SYNCS, lambda: assert_no_syncs(pipeline, allow_syncs=self.allow_syncs, **inputs)
        yield Guard.COUNTS, lambda: self.counts.check(pipeline, **inputs)
        if self.latency is not None:
            latency = self.latency
            yield Guard.LATENCY, lambda: latency.check(pipeline, **inputs)

    def check_groups(self) -> list[list[tuple[Guard, Callable[[], None]]]]:
        """Return groups of checks that share one injection: all if the recipe compiles, else each alone."""
        checks = list(self.checks())
        return [checks] if self.is_compiled else [[check] for check in checks]

    @property
    def is_compiled(self) -> bool:
        """Whether the recipe compiles."""
        recipe = recipe_of(self.pipeline)
        return recipe is not None and recipe.compiles


def run_check(guard: Guard, check: Callable[[], None]) -> CheckResult:
    """Run an assertion and return its result."""
    test = active_test()
    test.begin_attempt()
    try:
        check()
    except DiffoptAssertionError as failure:
        outcome, headline = CheckOutcome.FAILED, _headline(str(failure))
    except pytest.skip.Exception as skipped:
        outcome, headline = CheckOutcome.UNPROVEN, _headline(str(skipped))
    except Exception as error:  # noqa: BLE001 - any error of a broken pipeline fails its test
        outcome, headline = CheckOutcome.RAISED, error_headline(error)
    else:
        unproven, test.unproven = test.unproven, []
        outcome = CheckOutcome.UNPROVEN if unproven else CheckOutcome.PASSED
        headline = _headline(str(unproven[0])) if unproven else ""
    figures = {name: value for entry in test.take_entries() for name, value in entry.verdict.figures.items()}
    return CheckResult(guard=guard, outcome=outcome, headline=headline, figures=figures)


def error_headline(error: Exception) -> str:
    """Return an error in one line."""
    return f"{type(error).__name__}: {_headline(str(error))}"


def _headline(text: str) -> str:
    return text.strip().partition("\n")[0].removeprefix("diffopt: ")


@contextmanager
def recompiled(subject: Subject) -> Iterator[None]:
    """Discard compiled code before and after the block: code compiled before an injection lacks the fault."""
    if subject.is_compiled:
        torch.compiler.reset()
    try:
        yield
    finally:
        if subject.is_compiled:
            torch.compiler.reset()
