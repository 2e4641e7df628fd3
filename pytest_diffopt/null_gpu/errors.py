"""What the null GPU raises on purpose."""

from pytest_diffopt.errors import DiffoptError


class NullGpuError(DiffoptError):
    """The null GPU cannot do what was asked of it; the message names the cause and the fix."""


class BuildError(NullGpuError):
    """The library cannot be built on this machine or for this torch."""


class MissingValueError(NullGpuError):
    """A value was read that no operation computed."""


class ResidentMemoryError(NullGpuError):
    """The values take more memory than allowed."""


class HostReadsDifferError(NullGpuError):
    """A call without values read back other values from the GPU than the same call with values."""
