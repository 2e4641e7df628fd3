"""Names of times: on the null GPU every time is host time, and nothing there is GPU time."""

from pytest_diffopt.records import Device, Subject


def time_of(subject: Subject, text: str) -> str:
    """Return a written time, on the null GPU with what it is the time of: `1.2 ms of host time`."""
    return f"{text} of host time" if subject.device is Device.NULL_GPU else text


def timed_on(subject: Subject, name: str) -> str:
    """Return where something was timed: `on NVIDIA H200`, `in host time on null NVIDIA H200`."""
    return f"in host time on {name}" if subject.device is Device.NULL_GPU else f"on {name}"
