"""Note each call of a method of one object."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def calls_noted(owner: Any, name: str, note: Callable[[tuple[Any, ...]], None]) -> Iterator[None]:
    """Note each call of a method while the block runs.

    Args:
        owner: the object; its class is not changed.
        name: the method.
        note: called with the positional arguments, before the method.
    """
    original = getattr(owner, name)

    def noted(*args: Any, **kwargs: Any) -> Any:
        note(args)
        return original(*args, **kwargs)

    noted.__wrapped__ = original  # type: ignore[attr-defined]  # pipelines inspect the signature of some methods
    before = vars(owner).get(name)
    vars(owner)[name] = noted  # past `nn.Module.__setattr__`
    try:
        yield
    finally:
        if before is None:
            del vars(owner)[name]
        else:
            vars(owner)[name] = before
