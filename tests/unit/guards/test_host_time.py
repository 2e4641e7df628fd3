"""On the null GPU every time is called host time."""

import pytest

from pytest_diffopt.guards.host_time import bound_text, time_of, timed_on
from pytest_diffopt.records import Device, Subject


@pytest.mark.parametrize(
    ("device", "time", "place"),
    [
        (Device.NULL_GPU, "1.2 ms of host time", "in host time on null NVIDIA H200"),
        (Device.CUDA, "1.2 ms", "on null NVIDIA H200"),
        (Device.CPU, "1.2 ms", "on null NVIDIA H200"),
    ],
)
def test_only_the_null_gpus_times_are_host_time(device: Device, time: str, place: str) -> None:
    """A GPU's and a CPU's are times."""
    subject = Subject(pipeline="sdxl", device=device)

    assert time_of(subject, "1.2 ms") == time
    assert timed_on(subject, "null NVIDIA H200") == place


def test_what_bounds_a_step() -> None:
    """The host where it takes longer than the device needs at least."""
    assert bound_text(host_ns=41e6, device_ns=22e6) == "host 41.0 ms, device at least 22.0 ms: launch-bound"
    assert bound_text(host_ns=22e6, device_ns=41e6) == "host 22.0 ms, device at least 41.0 ms: device-bound"
