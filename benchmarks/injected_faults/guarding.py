"""Which of our assertions turn red over a pipeline: the ones that a user's tests would make."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pytest

from pytest_diffopt import (
    AllowedSyncs,
    CountGate,
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
    """What a test of a user's asks."""

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


class Color(StrEnum):
    """What came of an assertion."""

    GREEN = "green"
    RED = "red"
    RAISED = "raised"
    UNPROVEN = "unproven"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One guard's answer.

    Attributes:
        guard: which.
        color: what came of it.
        said: the first line of what it said; empty where it is green.
        figures: what it measured; empty where it came to no verdict.
    """

    guard: Guard
    color: Color
    said: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_caught(self) -> bool:
        """Whether a test would fail: the guard is red, or the pipeline itself raised."""
        return self.color in {Color.RED, Color.RAISED}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A pipeline and what its tests need to know.

    Attributes:
        pipeline: the optimized pipeline.
        reference: the plain one.
        inputs: the call.
        variations: calls that must compile nothing anew.
        images: what the plain pipeline drew, and how far the clean pipeline was from it.
        own_images: what the clean pipeline drew itself.
        counts: the accepted counts of the clean pipeline.
        latency: the accepted latency of the clean pipeline; None where nobody times it.
        allow_syncs: waits that are accepted of the clean pipeline.
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

    def asked_in_turn(self) -> Iterator[tuple[Guard, Callable[[], None]]]:
        """Yield every question; those about compiling first, since they count from when the pipeline is new."""
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

    def asked_together(self) -> list[list[tuple[Guard, Callable[[], None]]]]:
        """Return the questions that share a injecting: all where it takes a compilation, else each its own."""
        questions = list(self.asked_in_turn())
        return [questions] if self.is_compiled else [[question] for question in questions]

    @property
    def is_compiled(self) -> bool:
        """Whether the recipe compiles."""
        recipe = recipe_of(self.pipeline)
        return recipe is not None and recipe.compiles


def ask(guard: Guard, question: Callable[[], None]) -> Answer:
    """Make an assertion and say what came of it."""
    active_test().take_entries()
    try:
        question()
    except pytest.fail.Exception as failure:
        color, said = Color.RED, _headline(str(failure))
    except pytest.skip.Exception as skipped:
        color, said = Color.UNPROVEN, _headline(str(skipped))
    except Exception as error:  # noqa: BLE001 - whatever a broken pipeline raises turns its test red
        color, said = Color.RAISED, said_of(error)
    else:
        color, said = Color.GREEN, ""
    figures = {name: value for entry in active_test().take_entries() for name, value in entry.verdict.figures.items()}
    return Answer(guard=guard, color=color, said=said, figures=figures)


def said_of(error: Exception) -> str:
    """Write an error in one line."""
    return f"{type(error).__name__}: {_headline(str(error))}"


def _headline(text: str) -> str:
    return text.strip().partition("\n")[0].removeprefix("diffopt: ")


@contextmanager
def recompiled(subject: Subject) -> Iterator[None]:
    """Let what is compiled in the block be compiled there: compiled code does not know that a bug was injected."""
    import torch  # noqa: PLC0415 - slow to import

    if subject.is_compiled:
        torch.compiler.reset()
    try:
        yield
    finally:
        if subject.is_compiled:
            torch.compiler.reset()
