"""Pipelines that are small enough for a unit test."""

from typing import Any

from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.sana import SANA
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.pipelines.sdxl import SDXL

#: The plain call of `tiny_sdxl`, as short as a loop with a later step can be.
INPUTS = SDXL.inputs(Scale.TINY).varied("two steps", num_inference_steps=2)


def tiny_sdxl() -> Any:
    """Build the tiny SDXL on the CPU, in some thirty milliseconds."""
    return build_pipeline(SDXL, Scale.TINY).pipeline


#: The plain call of `tiny_sana`.
SANA_INPUTS = SANA.inputs(Scale.TINY).varied("two steps", num_inference_steps=2)


def tiny_sana() -> Any:
    """Build the tiny SANA on the CPU, whose denoiser Dynamo traces in a seventh of the time of SDXL's."""
    return build_pipeline(SANA, Scale.TINY).pipeline
