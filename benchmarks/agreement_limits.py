"""The stated limits of the simulated GPU: each explains one disagreement with CUDA, and fails once it no longer applies."""

from benchmarks.agreement import Limit

_LIMITS: tuple[Limit, ...] = ()


def limits_for(torch_version: str) -> tuple[Limit, ...]:
    """Return the limits that apply under a version of torch."""
    del torch_version
    return _LIMITS
