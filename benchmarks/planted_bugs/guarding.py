"""Which of our assertions turn red over a pipeline: the ones that a user's tests would make."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pytest

from pytest_diffopt import (
    AllowedSyncs,
    CountGate,
    LatencyGate,
    PipelineInputs,
    assert_compiled_matches_eager,
    assert_no_graph_breaks,
    assert_no_recompiles,
    assert_no_syncs,
    assert_optimizations_applied,
    assert_repeatable,
)
from pytest_diffopt.recipes.recipe import recipe_of


class Guard(StrEnum):
    """What a test of a user's asks."""

    APPLIED = "applied"
    PICTURE = "picture"
    STORED_PICTURE = "stored picture"
    REPEATABLE = "repeatable"
    SYNCS = "syncs"
    COUNTS = "counts"
    GRAPH_BREAKS = "graph breaks"
    RECOMPILES = "recompiles"
    NUMERICS = "numerics"
    LATENCY = "latency"


class Colour(StrEnum):
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
        colour: what came of it.
        said: the first line of what it said; empty where it is green.
    """

    guard: Guard
    colour: Colour
    said: str = ""

    @property
    def is_caught(self) -> bool:
        """Whether a test would fail: the guard is red, or the pipeline itself raised."""
        return self.colour in {Colour.RED, Colour.RAISED}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A pipeline and what its tests need to know.

    Attributes:
        pipeline: the optimized pipeline.
        inputs: the call.
        variations: calls that must compile nothing anew.
        counts: the accepted counts of the clean pipeline.
        latency: the accepted latency of the clean pipeline; None where nobody times it.
        allow_syncs: waits that are accepted of the clean pipeline.
    """

    pipeline: Any
    inputs: PipelineInputs
    variations: Sequence[PipelineInputs]
    counts: CountGate
    latency: LatencyGate | None = None
    allow_syncs: Sequence[AllowedSyncs] = field(default_factory=tuple)

    def asked_in_turn(self) -> Iterator[tuple[Guard, Callable[[], None]]]:
        """Yield every question but those about pictures, each to be asked of the bug in a fresh state."""
        yield Guard.REPEATABLE, lambda: assert_repeatable(self.pipeline, **self.inputs)
        yield Guard.SYNCS, lambda: assert_no_syncs(self.pipeline, allow_syncs=self.allow_syncs, **self.inputs)
        yield Guard.COUNTS, lambda: self.counts.check(self.pipeline, **self.inputs)
        if self.is_compiled:
            yield Guard.GRAPH_BREAKS, lambda: assert_no_graph_breaks(self.pipeline, **self.inputs)
            yield Guard.RECOMPILES, lambda: assert_no_recompiles(self.pipeline, self.variations)
            yield Guard.NUMERICS, lambda: assert_compiled_matches_eager(self.pipeline, **self.inputs)
        yield Guard.APPLIED, lambda: assert_optimizations_applied(self.pipeline, **self._call_if_compiled())
        if self.latency is not None:
            latency = self.latency
            yield Guard.LATENCY, lambda: latency.check(self.pipeline, **self.inputs)

    @property
    def is_compiled(self) -> bool:
        """Whether the recipe compiles."""
        recipe = recipe_of(self.pipeline)
        return recipe is not None and recipe.compiles

    def _call_if_compiled(self) -> dict[str, Any]:
        """Return a call to make first where compiled code has to run before it can be found."""
        return dict(self.inputs) if self.is_compiled else {}


def ask(guard: Guard, question: Callable[[], None]) -> Answer:
    """Make an assertion and say what came of it."""
    try:
        question()
    except pytest.fail.Exception as failure:
        return Answer(guard=guard, colour=Colour.RED, said=_headline(str(failure)))
    except pytest.skip.Exception as skipped:
        return Answer(guard=guard, colour=Colour.UNPROVEN, said=_headline(str(skipped)))
    except Exception as error:  # noqa: BLE001 - whatever a broken pipeline raises turns its test red
        return Answer(guard=guard, colour=Colour.RAISED, said=said_of(error))
    return Answer(guard=guard, colour=Colour.GREEN)


def said_of(error: Exception) -> str:
    """Write an error in one line."""
    return f"{type(error).__name__}: {_headline(str(error))}"


def _headline(text: str) -> str:
    return text.strip().partition("\n")[0].removeprefix("diffopt: ")


@contextmanager
def compiled_anew(subject: Subject) -> Iterator[None]:
    """Let what is compiled in the block be compiled there: compiled code does not know that a bug was planted."""
    import torch  # noqa: PLC0415 - slow to import

    if subject.is_compiled:
        torch.compiler.reset()
    try:
        yield
    finally:
        if subject.is_compiled:
            torch.compiler.reset()
