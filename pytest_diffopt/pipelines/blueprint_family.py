"""Families that a blueprint and a call describe: what their descriptions have in common."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_diffopt.pipelines.blueprint import Blueprint
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.scale import TINY_CALL, Scale
from pytest_diffopt.pipelines.variations import usual_variations

#: The keywords of the tiny call of a pipeline that generates video.
TINY_VIDEO: dict[str, Any] = {"height": 32, "width": 32, "num_frames": 9}


def blueprint_family(  # noqa: PLR0913 - most of a family's properties are optional keywords
    name: str,
    *,
    blueprint: Blueprint,
    hub_id: str,
    tiny_call: Mapping[str, Any],
    full_call: Mapping[str, Any],
    variations: Callable[[PipelineInputs], Sequence[PipelineInputs]] = usual_variations,
    images: Callable[[Scale], Mapping[str, Any]] = lambda _scale: {},
    largest_batch: int | None = None,
) -> PipelineFamily:
    """Return a family; the tiny scale of one with untrained parts has random weights.

    Args:
        name: the name in markers.
        blueprint: how it is assembled at both scales.
        hub_id: the repository of the published weights.
        tiny_call: keywords of the plain call at tiny scale, in addition to `TINY_CALL`.
        full_call: keywords of the published call.
        variations: returns the calls that must not recompile, from the plain call.
        images: returns the keywords of the call that are images, at a scale.
        largest_batch: the maximum number of images per call; 1 for a call without `num_images_per_prompt`.
    """
    calls = {Scale.TINY: {**TINY_CALL, **tiny_call}, Scale.FULL: dict(full_call)}

    def inputs(scale: Scale) -> PipelineInputs:
        return PipelineInputs({**calls[scale], **images(scale), "output_type": "np"})

    return PipelineFamily(
        name=name,
        hub_id=hub_id,
        class_name=blueprint.class_name,
        build_tiny=blueprint.build_tiny,
        build_random=blueprint.build_random,
        inputs=inputs,
        variations=lambda scale: variations(inputs(scale)),
        ships_weights=blueprint.is_trained,
        has_random_weights=not blueprint.is_trained,
        largest_batch=largest_batch,
    )
