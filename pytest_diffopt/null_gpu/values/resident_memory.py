"""The resident memory of this process, and the limit that ends a run."""

import os
from pathlib import Path

from pytest_diffopt.null_gpu.errors import ResidentMemoryError

_GIB = 2**30
_CHECK_EVERY = 64


class ResidentLimit:
    """The resident memory at which a run ends."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._calls = 0

    def check(self) -> None:
        """Compare at every 64th call.

        Raises:
            ResidentMemoryError: the process takes more memory than allowed.
        """
        self._calls += 1
        if self._calls % _CHECK_EVERY:
            return
        resident = resident_bytes()
        if resident > self._limit_bytes:
            msg = (
                f"the values on the null GPU take {resident / _GIB:.1f} GiB of resident memory, and "
                f"{self._limit_bytes / _GIB:.1f} GiB is allowed: use a smaller scale or values=small"
            )
            raise ResidentMemoryError(msg)


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
