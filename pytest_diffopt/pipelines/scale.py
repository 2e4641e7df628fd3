"""The scales at which a named pipeline can be built."""

from enum import StrEnum
from types import MappingProxyType
from typing import Any


class Scale(StrEnum):
    """`TINY`: the same classes, small enough for a CPU; `FULL`: the published architecture."""

    TINY = "tiny"
    FULL = "full"


TINY_PROMPT = "a red circle on a blue background"
#: The common keywords of the plain call of every tiny pipeline that takes a prompt and a size.
TINY_CALL: MappingProxyType[str, Any] = MappingProxyType(
    {"prompt": TINY_PROMPT, "num_inference_steps": 4, "height": 64, "width": 64}
)

#: The tiny pipelines draw best with this scale; the published guidance overshoots their plain colors.
TINY_GUIDANCE = 2.5


def guidance_at(scale: Scale, published: float) -> float:
    """Return the guidance scale of the plain call at a scale."""
    return TINY_GUIDANCE if scale is Scale.TINY else published
