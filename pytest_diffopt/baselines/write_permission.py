"""The permission of a run to write baselines."""

from enum import StrEnum


class WritePermission(StrEnum):
    """Which baselines this run may write: none, missing ones, or all."""

    NEVER = "never"
    MISSING = "missing"
    ALL = "all"
