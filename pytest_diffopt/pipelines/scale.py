"""How large a named pipeline is built."""

from enum import StrEnum


class Scale(StrEnum):
    """`TINY`: the same classes, small enough for a CPU; `FULL`: the published architecture."""

    TINY = "tiny"
    FULL = "full"


#: What the tiny pipelines draw best with; the published guidance overshoots their plain colours.
TINY_GUIDANCE = 2.5


def guidance_at(scale: Scale, published: float) -> float:
    """Return the guidance scale of the plain call at a scale."""
    return TINY_GUIDANCE if scale is Scale.TINY else published
