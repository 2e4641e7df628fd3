"""The accepted document of the effects of a recipe in one call."""

from typing import Annotated, ClassVar, Self

from msgspec import Meta, Struct

from pytest_diffopt.baselines.documents import Baseline, provenance
from pytest_diffopt.baselines.figures import Figure, Floor, Text
from pytest_diffopt.records import Concern, EffectRecord, Environment, OptimizationEffect


class EffectFigures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one optimization did; see `records.OptimizationEffect`."""

    figure: Text
    value: Figure
    per_step: dict[str, tuple[Floor, ...]]

    @classmethod
    def of(cls, effect: OptimizationEffect) -> Self:
        """Copy the figures of an effect."""
        return cls(figure=effect.figure, value=effect.value, per_step=dict(effect.per_step))


class EffectBaseline(Baseline, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The accepted effects of a call; they are compared exactly.

    Attributes:
        num_steps: denoise steps in one call.
        effects: the figures of each optimization that was seen, by its name as written in the recipe.
    """

    concern: ClassVar[Concern] = Concern.EFFECT
    schema_version: ClassVar[int] = 1

    num_steps: Annotated[int, Meta(ge=0)]
    effects: Annotated[dict[str, EffectFigures], Meta(min_length=1)]

    @classmethod
    def from_record(cls, record: EffectRecord, *, case: str, environment: Environment, reason: str) -> Self:
        """Accept a record."""
        return cls(
            **provenance(record.subject, case=case, environment=environment, reason=reason),
            num_steps=record.num_steps,
            effects={one.name: EffectFigures.of(one) for one in record.effects if not one.unseen},
        )
