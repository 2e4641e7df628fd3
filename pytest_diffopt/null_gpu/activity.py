"""Whether this process runs on the null GPU, and as which GPU; without importing torch."""

import os

DEVICE_VARIABLE = "DIFFOPT_NULL_GPU_DEVICE"
_NUMBERS_BEFORE_NAME = 12  # gpus.describe_for_library


def is_active() -> bool:
    """Whether this process was started on the null GPU."""
    return bool(os.environ.get(DEVICE_VARIABLE))


def active_gpu_name() -> str:
    """Return the name that the null GPU of this process reports to CUDA; empty if it runs on none."""
    *_, name = os.environ.get(DEVICE_VARIABLE, "").split(",", _NUMBERS_BEFORE_NAME)
    return name
