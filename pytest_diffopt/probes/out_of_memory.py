"""Running out of memory is a result: it is said with its figure, and the memory is given back."""

import re
from collections.abc import Callable

import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.records import Subject

_WANTED = re.compile(r"Tried to allocate ([\d.]+ \w+)")


class DeviceMemoryError(ProbeError):
    """The device had too little memory.

    Args:
        message: what is told.
        when: in which call: `during warm-up` or `after warm-up`.
    """

    def __init__(self, message: str, *, when: str) -> None:
        super().__init__(message)
        self.when = when


def call_within_memory(call: Callable[[], object], *, subject: Subject, when: str) -> None:
    """Make a call.

    Args:
        call: what is watched.
        subject: what it runs, for the message.
        when: `during warm-up` or `after warm-up`: a pipeline that only just fits runs out in either.

    Raises:
        DeviceMemoryError: The device had too little memory; the message says how much was wanted.
    """
    try:
        call()
    except torch.OutOfMemoryError as error:
        reason = str(error)
    else:
        return
    # Outside of the handler: an error chained to the first one would keep its frames, and so its tensors, alive.
    expected = _WANTED.search(reason)
    message = (
        f"out of memory {when}: {subject} wanted {expected[1] if expected else 'an unknown amount'} more\n"
        f"  {reason.splitlines()[0]}\n"
        "  run it on a larger device, at a smaller scale, or with a recipe that needs less"
    )
    raise DeviceMemoryError(message, when=when)
