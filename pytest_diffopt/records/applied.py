"""What is left of the optimizations of a recipe."""

from dataclasses import dataclass

from pytest_diffopt.records.subject import Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizationState:
    """What is left of one optimization in the living pipeline.

    Attributes:
        name: the optimization as the recipe writes it.
        found: what was found, in one line ("4 of 4 convolutions of unet are channels_last").
        missing: what should be there and is not, a line each; empty when the optimization is fully applied.
    """

    name: str
    found: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AppliedRecord:
    """Every optimization of a recipe, as the pipeline shows it."""

    subject: Subject
    optimizations: tuple[OptimizationState, ...]
