"""On the null GPU every time is called host time."""

import pytest

from pytest_diffopt.guards.host_time import time_of, timed_on
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
