"""Parameters that an optimization stores in another dtype than the recipe's precision belong to that optimization."""

from collections.abc import Iterable
from typing import Any, ClassVar

import pytest
import torch

from pytest_diffopt.recipes.optimization import Optimization
from pytest_diffopt.recipes.precision import Bf16
from pytest_diffopt.recipes.recipe import Recipe
from pytest_diffopt.records import OptimizationState


class Float8Storage(Optimization):
    """diffusers' layerwise casting of the denoiser, as a user writes it."""

    name: ClassVar[str] = "float8_storage"

    def apply(self, pipeline: Any) -> None:
        """Store the layers of the UNet in float8."""
        pipeline.unet.enable_layerwise_casting(
            storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.bfloat16, non_blocking=False
        )

    def verify(self, pipeline: Any) -> OptimizationState:
        """Look for any parameter in float8: too weak to see that some are lost."""
        count = sum(one.dtype == torch.float8_e4m3fn for one in pipeline.unet.parameters())
        return self.state(f"{count} parameters in float8", [] if count else ["nothing is stored in float8"])


class Declared(Float8Storage):
    """The same, for a pipeline to which other code applied it."""

    def takes_over(self, pipeline: Any) -> Iterable[torch.Tensor]:
        """Return every parameter of the layers that diffusers casts."""
        return [one for one in pipeline.unet.parameters() if one.dtype == torch.float8_e4m3fn]


RECIPE = Recipe(optimizations=(Bf16(), Float8Storage()))


def missing(states: Iterable[OptimizationState]) -> dict[str, tuple[str, ...]]:
    """Return what each optimization lacks."""
    return {state.name: state.missing for state in states}


def test_float8_storage_beside_bf16_is_applied(pipeline: Any) -> None:
    """bf16 is verified for the other parameters; the state counts those that it does not decide."""
    RECIPE.apply(pipeline)
    stored = sum(one.dtype == torch.float8_e4m3fn for one in pipeline.unet.parameters())
    precision, storage = RECIPE.verify(pipeline)

    assert stored > 100
    assert (
        precision.found
        == f"{639 - stored} of {639 - stored} parameters are bfloat16, {stored} taken over by float8_storage"
    )
    assert storage.found == f"{stored} parameters in float8"
    assert missing([precision, storage]) == {"bf16": (), "float8_storage": ()}


@pytest.mark.parametrize("part", ["unet", "unet.conv_in"])
def test_lost_storage_is_reported(pipeline: Any, part: str) -> None:
    """A cast after the recipe was applied, of all or of some, even where `verify` itself does not see it."""
    RECIPE.apply(pipeline)
    stored = sum(one.dtype == torch.float8_e4m3fn for one in pipeline.unet.parameters())
    pipeline.unet.get_submodule(part.partition(".")[2]).to(torch.bfloat16)
    lost = stored if part == "unet" else 2
    states = missing(RECIPE.verify(pipeline))

    assert states["bf16"] == ()
    assert states["float8_storage"][-1] == f"{lost} of {stored} parameters that it stored in float8_e4m3fn are bfloat16"


def test_other_parameters_must_have_the_precision(pipeline: Any) -> None:
    """A module that nothing took over is reported by bf16."""
    RECIPE.apply(pipeline)
    pipeline.vae.to(torch.float16)

    assert missing(RECIPE.verify(pipeline)) == {
        "bf16": ("156 of 156 parameters of vae are float16",),
        "float8_storage": (),
    }


def test_declared_parameters_need_no_record(pipeline: Any) -> None:
    """Other code applied both, so no change was noted."""
    pipeline.to(torch.bfloat16)
    Float8Storage().apply(pipeline)
    undeclared, declared = (Recipe(optimizations=(Bf16(), kind())) for kind in (Float8Storage, Declared))

    assert missing(declared.verify(pipeline)) == {"bf16": (), "float8_storage": ()}
    assert len(missing(undeclared.verify(pipeline))["bf16"]) == 1


def test_a_later_optimization_owns_what_both_stored(pipeline: Any) -> None:
    """The dtype of the first is then not missing."""

    class Float16Storage(Float8Storage):
        name: ClassVar[str] = "float16_storage"

        def apply(self, pipeline: Any) -> None:
            pipeline.unet.conv_in.to(torch.float16)

        def verify(self, pipeline: Any) -> OptimizationState:
            return self.state(str(pipeline.unet.conv_in.weight.dtype))

    recipe = Recipe(optimizations=(Bf16(), Float8Storage(), Float16Storage()))
    recipe.apply(pipeline)

    assert missing(recipe.verify(pipeline)) == {"bf16": (), "float8_storage": (), "float16_storage": ()}
