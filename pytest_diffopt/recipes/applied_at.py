"""The time at which a recipe was applied to a pipeline. Earlier compilations belong to other pipelines."""

import time
from typing import Any
from weakref import WeakKeyDictionary

_NS_PER_US = 1000

_applied_at_us: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


def note_applied(pipeline: Any) -> None:
    """Record that a recipe is being applied to a pipeline now."""
    _applied_at_us[pipeline] = time.time_ns() // _NS_PER_US


def applied_at_us(pipeline: Any) -> int:
    """Return when a recipe was applied, in microseconds since the epoch; 0 for a pipeline without a recipe."""
    try:
        return _applied_at_us.get(pipeline, 0)
    except TypeError:  # no recipe can be applied to a callable that cannot be weakly referenced
        return 0
