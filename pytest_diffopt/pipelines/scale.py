"""How large a named pipeline is built."""

from enum import StrEnum


class Scale(StrEnum):
    """`TINY`: the same classes, small enough for a CPU; `FULL`: the published architecture."""

    TINY = "tiny"
    FULL = "full"
