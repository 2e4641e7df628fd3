"""Out-of-memory errors as results: a message with the requested size, after the memory is released."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.records import Subject

_REQUESTED = re.compile(r"Tried to allocate ([\d.]+ \w+)")


class DeviceMemoryError(ProbeError):
    """The device ran out of memory.

    Args:
        message: the message.
        when: what failed: `during warm-up`, `after warm-up` or `while it was built`.
    """

    def __init__(self, message: str, *, when: str) -> None:
        super().__init__(message)
        self.when = when


def call_within_memory(call: Callable[[], object], *, subject: Subject, when: str) -> None:
    """Make a call, and convert torch's out-of-memory error.

    Args:
        call: makes the call.
        subject: what the call runs, for the message.
        when: `during warm-up` or `after warm-up`, for the message.

    Raises:
        DeviceMemoryError: the device ran out of memory; the message states the requested size.
    """
    try:
        call()
    except torch.OutOfMemoryError as error:
        reason = str(error)
    else:
        return
    # Outside of the handler: an error chained to torch's would keep its frames alive, and with them their tensors.
    raise DeviceMemoryError(_message(reason, str(subject), when), when=when)


@contextmanager
def memory_errors_explained(what: str, *, when: str) -> Iterator[None]:
    """Convert torch's out-of-memory error of a block.

    Args:
        what: what the block makes, for the message.
        when: `while it was built`, for the message.

    Raises:
        DeviceMemoryError: the device ran out of memory; the message states the requested size.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = str(error)
    else:
        return
    raise DeviceMemoryError(_message(reason, what, when), when=when)


def _message(reason: str, what: str, when: str) -> str:
    requested = _REQUESTED.search(reason)
    return (
        f"out of memory {when}: {what} requested {requested[1] if requested else 'an unknown amount'} more\n"
        f"  {reason.splitlines()[0]}\n"
        "  run it on a larger device, at a smaller scale, or with a recipe that needs less"
    )
