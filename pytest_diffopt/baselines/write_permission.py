"""Which baselines a run may write."""

from enum import StrEnum


class WritePermission(StrEnum):
    """Which baselines this run may write; nothing else ever writes one."""

    NEVER = "never"
    MISSING = "missing"
    ALL = "all"
