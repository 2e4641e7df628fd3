"""State of each optimization of a recipe in the pipeline."""

from dataclasses import dataclass

from pytest_diffopt.records.subject import Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizationState:
    """State of one optimization in the live pipeline.

    Attributes:
        name: the optimization as written in the recipe.
        found: one-line summary of the state ("4 of 4 convolutions of unet are channels_last").
        missing: parts of the optimization that are not applied, one line each; empty when it is fully applied.
    """

    name: str
    found: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AppliedRecord:
    """State of every optimization of a recipe."""

    subject: Subject
    optimizations: tuple[OptimizationState, ...]
