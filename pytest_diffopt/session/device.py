"""The device that a session's pipelines run on."""

from pytest_diffopt.records import Device
from pytest_diffopt.session.settings import Settings


def device_of(settings: Settings) -> Device:
    """Return the device of a session's pipelines; a module of its own, for pytest's start must not import records."""
    if not settings.use_gpu:
        return Device.CPU
    return Device.NULL_GPU if settings.null_gpu else Device.CUDA
