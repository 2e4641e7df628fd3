"""Both processes of a pair on one processor core: a neighbour that slows one core down slows both of them.

Left to itself each stays on the core where it began, and whoever shares that core is taken for a difference of the
code.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def share_core(pids: Iterable[int], *, number: int) -> int | None:
    """Bind all threads of some processes to one core.

    Args:
        pids: the processes.
        number: of the pair, from 0; each has the next of the cores that this process may use.

    Returns:
        The core, or None where the system binds nothing (macOS, Windows) or forbids it.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    core = cores[number % len(cores)]
    try:
        for thread in _threads(pids):
            with suppress(ProcessLookupError):  # it has just ended
                os.sched_setaffinity(thread, {core})
    except OSError:
        return None
    return core


def _threads(pids: Iterable[int]) -> list[int]:
    return [int(task.name) for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
