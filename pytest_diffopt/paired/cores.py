"""Pin both processes of a pair to one CPU core, so that other load on that core slows both of them.

Without pinning, each process stays on the core where it started, and the load on that core appears as a difference of
the code.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def share_core(pids: Iterable[int], *, number: int) -> int | None:
    """Pin all threads of some processes to one core.

    Args:
        pids: the ids of the processes.
        number: the index of the pair, from 0. Each pair uses the next of the cores available to this process.

    Returns:
        The core; None if the system does not support pinning (macOS, Windows) or forbids it.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    core = cores[number % len(cores)]
    try:
        for thread in _threads(pids):
            with suppress(ProcessLookupError):  # the thread has just ended
                os.sched_setaffinity(thread, {core})
    except OSError:
        return None
    return core


def _threads(pids: Iterable[int]) -> list[int]:
    return [int(task.name) for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
