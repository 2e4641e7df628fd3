"""When a pipeline took its recipe: what was compiled before that is another pipeline's."""

import time
from typing import Any
from weakref import WeakKeyDictionary

_NS_PER_US = 1000

_applied_at_us: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


def note_applied(pipeline: Any) -> None:
    """Write down that a pipeline takes its recipe now."""
    _applied_at_us[pipeline] = time.time_ns() // _NS_PER_US


def applied_at_us(pipeline: Any) -> int:
    """Return when that was, in microseconds since the epoch; 0 for a pipeline that somebody else optimized."""
    try:
        return _applied_at_us.get(pipeline, 0)
    except TypeError:  # a callable that cannot be weakly referenced never took a recipe
        return 0
