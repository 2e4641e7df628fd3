"""Names of times: on the null GPU every time is host time, and nothing there is GPU time."""

from pytest_diffopt.guards.failure_text import time
from pytest_diffopt.records import Device, Subject


def time_of(subject: Subject, text: str) -> str:
    """Return a written time, on the null GPU with what it is the time of: `1.2 ms of host time`."""
    return f"{text} of host time" if subject.device is Device.NULL_GPU else text


def timed_on(subject: Subject, name: str) -> str:
    """Return where something was timed: `on NVIDIA H200`, `in host time on null NVIDIA H200`."""
    return f"in host time on {name}" if subject.device is Device.NULL_GPU else f"on {name}"


def bound_text(*, host_ns: float, device_ns: float) -> str:
    """Return what bounds a call or a step: `host 41.0 ms, device at least 22.0 ms: launch-bound`.

    Args:
        host_ns: host time without waiting for the device, in nanoseconds.
        device_ns: a lower bound of the device's time, in nanoseconds.
    """
    bound = "launch-bound" if host_ns > device_ns else "device-bound"
    return f"host {time(host_ns)}, device at least {time(device_ns)}: {bound}"
