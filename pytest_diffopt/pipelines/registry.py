"""The registry of named pipelines: this package's own and those that users register."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_diffopt.arguments import SOME_TEXT, TEXT, require, shown
from pytest_diffopt.errors import PipelineError, did_you_mean
from pytest_diffopt.pipelines.bk_sdm import BK_SDM, BK_SDM_TAESD
from pytest_diffopt.pipelines.chroma import CHROMA
from pytest_diffopt.pipelines.cogvideox import COGVIDEOX
from pytest_diffopt.pipelines.deepfloyd_if import DEEPFLOYD_IF, DEEPFLOYD_IF_1, DEEPFLOYD_IF_2, DEEPFLOYD_IF_3
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.flux import FLUX, FLUX_SCHNELL
from pytest_diffopt.pipelines.flux2_klein import FLUX2_KLEIN
from pytest_diffopt.pipelines.hunyuan_video import HUNYUAN_VIDEO_1_5
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.ltx2 import LTX2
from pytest_diffopt.pipelines.pixart_alpha import PIXART_ALPHA
from pytest_diffopt.pipelines.qwen_image import QWEN_IMAGE
from pytest_diffopt.pipelines.qwen_image_edit import QWEN_IMAGE_EDIT
from pytest_diffopt.pipelines.sana import SANA
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.pipelines.sd3 import SD3, SD35_LARGE, SD35_MEDIUM
from pytest_diffopt.pipelines.sd15 import SD15
from pytest_diffopt.pipelines.sd15_controlnet import SD15_CONTROLNET
from pytest_diffopt.pipelines.sd15_img2img import SD15_IMG2IMG
from pytest_diffopt.pipelines.sd15_inpaint import SD15_INPAINT
from pytest_diffopt.pipelines.sdxl import SDXL, SDXL_TAESD
from pytest_diffopt.pipelines.ssd_1b import SSD_1B
from pytest_diffopt.pipelines.variations import usual_variations
from pytest_diffopt.pipelines.wan import WAN_T2V_1_3B, WAN_T2V_A14B
from pytest_diffopt.pipelines.z_image import Z_IMAGE

Inputs = Mapping[str, Any] | Callable[[Scale], Mapping[str, Any]]
Variations = Sequence[PipelineInputs] | Callable[[Scale], Sequence[PipelineInputs]]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHIPPED = (
    *(SD15, SD15_IMG2IMG, SD15_INPAINT, SD15_CONTROLNET),
    *(DEEPFLOYD_IF, DEEPFLOYD_IF_1, DEEPFLOYD_IF_2, DEEPFLOYD_IF_3),
    *(SDXL, SDXL_TAESD, SSD_1B, PIXART_ALPHA, BK_SDM, BK_SDM_TAESD, SD3, FLUX, FLUX_SCHNELL),
    *(SD35_MEDIUM, SD35_LARGE, QWEN_IMAGE, QWEN_IMAGE_EDIT, FLUX2_KLEIN, Z_IMAGE, CHROMA, SANA),
    *(WAN_T2V_1_3B, WAN_T2V_A14B, LTX2, HUNYUAN_VIDEO_1_5, COGVIDEOX),
)
_FAMILIES: dict[str, PipelineFamily] = {family.name: family for family in _SHIPPED}
_REGISTERED_AT: dict[str, str] = {}


def known_pipelines() -> tuple[str, ...]:
    """Return the names of every registered pipeline."""
    return tuple(_FAMILIES)


def find_pipeline(name: str) -> PipelineFamily:
    """Return the family with a name.

    Raises:
        PipelineError: the name is unknown; the message suggests the closest known name.
    """
    if name in _FAMILIES:
        return _FAMILIES[name]
    msg = f"unknown pipeline: {name!r}{did_you_mean(name, _FAMILIES)}; known: {', '.join(_FAMILIES)}"
    raise PipelineError(msg)


def register_pipeline(  # noqa: PLR0913 - most of a family's properties are optional keywords
    name: str,
    *,
    inputs: Inputs,
    variations: Variations | None = None,
    build_tiny: Callable[[], Any] | None = None,
    build_random: Callable[[], Any] | None = None,
    hub_id: str = "",
    class_name: str = "DiffusionPipeline",
    load_options: Callable[[], dict[str, Any]] = dict,
    largest_batch: int | None = None,
) -> PipelineFamily:
    """Register a pipeline under a name that markers can use; call this in a conftest.

    Args:
        name: the name in markers: letters, digits, dots, dashes and underscores.
        inputs: keywords of the plain call, without a generator; or a function that returns them for a scale.
        variations: calls that must not recompile, or a function that returns them for a scale; by default the plain
            call with another prompt, guidance, number of steps and seed.
        build_tiny: builds the tiny scale on the CPU, deterministically.
        build_random: builds the full scale with random weights, on torch's default device.
        hub_id: the repository of its weights on the hub.
        class_name: the diffusers class that loads the weights.
        load_options: returns keywords for `from_pretrained`.
        largest_batch: the maximum number of images per call; 1 for a call without `num_images_per_prompt`.

    Returns:
        The registered family.

    Raises:
        PipelineError: the name is taken or invalid, an argument has the wrong type, or `build_tiny`, `build_random` and
            `hub_id` are all missing.
    """
    place = _caller()
    _refuse_name(name, place)
    require(TEXT, hub_id, f"register_pipeline({name!r}, hub_id=...)", error=PipelineError)
    require(SOME_TEXT, class_name, f"register_pipeline({name!r}, class_name=...)", error=PipelineError)
    if build_tiny is None and build_random is None and not hub_id:
        msg = f"register_pipeline({name!r}) needs at least one of build_tiny, build_random and hub_id"
        raise PipelineError(msg)
    _refuse_uncallable(name, build_tiny=build_tiny, build_random=build_random, load_options=load_options)
    call = _inputs_of(name, inputs)
    family = PipelineFamily(
        name=name,
        inputs=call,
        variations=_variations_of(name, variations, call),
        build_tiny=build_tiny,
        build_random=build_random,
        hub_id=hub_id,
        class_name=class_name,
        load_options=load_options,
        largest_batch=_batch_limit(name, largest_batch),
    )
    _FAMILIES[name], _REGISTERED_AT[name] = family, place
    return family


def _caller() -> str:
    """Return the `file:line` that calls `register_pipeline`."""
    frame = sys._getframe(2)  # noqa: SLF001 - much cheaper than a traceback
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _refuse_name(name: str, place: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        msg = f"a pipeline's name is part of test ids and allows letters, digits, '.', '-' and '_', got: {shown(name)}"
        raise PipelineError(msg)
    # The same line can run again: pytest imports a conftest again in each run within one process.
    if name in _FAMILIES and _REGISTERED_AT.get(name) != place:
        other = _REGISTERED_AT.get(name, "pytest-diffopt itself")
        msg = f"two pipelines have the name {name!r}, one from {other}, one from {place}: rename one of them"
        raise PipelineError(msg)


def _refuse_uncallable(name: str, **builders: object) -> None:
    for keyword, builder in builders.items():
        is_optional = builder is None and keyword != "load_options"
        if not is_optional and not callable(builder):
            given = shown(builder)
            msg = f"register_pipeline({name!r}, {keyword}=...) must be a function without arguments, got: {given}"
            raise PipelineError(msg)


def _inputs_of(name: str, inputs: Any) -> Callable[[Scale], PipelineInputs]:
    if not callable(inputs) and not isinstance(inputs, Mapping):
        msg = (
            f"register_pipeline({name!r}, inputs=...) must be a mapping of keywords or a function of a scale, "
            f"got: {shown(inputs)}"
        )
        raise PipelineError(msg)

    def call(scale: Scale) -> PipelineInputs:
        given = inputs(scale) if callable(inputs) else inputs
        if not isinstance(given, Mapping):
            msg = f"the inputs of pipeline {name!r} must be a mapping of keywords, got: {shown(given)}"
            raise PipelineError(msg)
        return given if isinstance(given, PipelineInputs) else PipelineInputs(given)

    return call


def _variations_of(
    name: str, variations: Any, call: Callable[[Scale], PipelineInputs]
) -> Callable[[Scale], Sequence[PipelineInputs]]:
    if variations is None:
        return lambda scale: usual_variations(call(scale))
    if callable(variations):
        given: Callable[[Scale], Sequence[PipelineInputs]] = variations
        return given
    if not isinstance(variations, Sequence) or isinstance(variations, str) or not variations:
        msg = (
            f"register_pipeline({name!r}, variations=...) must be a sequence of calls or a function of a scale, "
            f"got: {shown(variations)}"
        )
        raise PipelineError(msg)
    fixed = tuple(variations)
    return lambda _scale: fixed


def _batch_limit(name: str, largest: int | None) -> int | None:
    if largest is not None and (not isinstance(largest, int) or isinstance(largest, bool) or largest < 1):
        msg = f"register_pipeline({name!r}, largest_batch=...) must be an integer of at least 1, got: {shown(largest)}"
        raise PipelineError(msg)
    return largest
