"""SSD-1B: SDXL with a distilled UNet of half the parameters."""

from pytest_diffopt.pipelines.blueprint import Blueprint, Part
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.sdxl import CLASS_NAME, OPTIONS, SHARED_PARTS, TOKENIZERS, sdxl_call
from pytest_diffopt.pipelines.variations import usual_variations

_BLUEPRINT = Blueprint(
    class_name=CLASS_NAME,
    parts={"unet": Part(full="SSD-1B/unet", tiny="ssd-1b-unet"), **SHARED_PARTS},
    tokenizers=TOKENIZERS,
    options=OPTIONS,
)
SSD_1B = PipelineFamily(
    name="ssd-1b",
    hub_id="segmind/SSD-1B",
    class_name=CLASS_NAME,
    load_options=lambda: dict(OPTIONS),
    build_tiny=_BLUEPRINT.build_tiny,
    build_random=_BLUEPRINT.build_random,
    inputs=sdxl_call,
    variations=lambda scale: usual_variations(sdxl_call(scale)),
    ships_weights=True,
)
