"""Note each call of a method of one object."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import update_wrapper
from typing import Any


@contextmanager
def calls_noted(owner: Any, name: str, note: Callable[[tuple[Any, ...]], None]) -> Iterator[None]:
    """Note each call of a method while the block runs.

    A copy of the object, such as the scheduler with which a pipeline denoises audio beside a video, is not watched.

    Args:
        owner: the object; its class is not changed.
        name: the method.
        note: called with the positional arguments, before the method.
    """
    before = vars(owner).get(name)
    vars(owner)[name] = _NotedMethod(getattr(owner, name), note)  # past `nn.Module.__setattr__`
    try:
        yield
    finally:
        if before is None:
            del vars(owner)[name]
        else:
            vars(owner)[name] = before


class _NotedMethod:
    """A method whose calls are noted."""

    def __init__(self, original: Callable[..., Any], note: Callable[[tuple[Any, ...]], None]) -> None:
        self._original, self._note = original, note
        update_wrapper(self, original, updated=())  # pipelines inspect the signature of some methods

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._note(args)
        return self._original(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return deepcopy(self._original, memo)  # of a method: the same method of the copied object
