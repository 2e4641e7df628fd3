"""Replace a function of torch by one that watches it, and put it back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(owner: Any, name: str, watching: Callable[[Any], Any]) -> Iterator[None]:
    """Replace an attribute while the block runs.

    Args:
        owner: the module or class.
        name: the attribute.
        watching: returns the replacement from the original.
    """
    original = getattr(owner, name)
    setattr(owner, name, watching(original))
    try:
        yield
    finally:
        setattr(owner, name, original)
