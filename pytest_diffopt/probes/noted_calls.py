"""Note each call of a method of one object, or its results."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from functools import update_wrapper
from typing import Any


def calls_noted(owner: Any, name: str, note: Callable[[tuple[Any, ...]], None]) -> AbstractContextManager[None]:
    """Note each call of a method while the block runs.

    A copy of the object, such as the scheduler with which a pipeline denoises audio beside a video, is not watched.

    Args:
        owner: the object; its class is not changed.
        name: the method.
        note: called with the positional arguments, before the method.
    """
    return replaced_on_instance(owner, name, _NotedMethod(getattr(owner, name), before=note))


def results_noted(owner: Any, name: str, note: Callable[[Any], None]) -> AbstractContextManager[None]:
    """Note the result of each call of a method while the block runs, as `calls_noted` notes the calls."""
    return replaced_on_instance(owner, name, _NotedMethod(getattr(owner, name), after=note))


@contextmanager
def replaced_on_instance(owner: Any, name: str, replacement: Any) -> Iterator[None]:
    """Hide a class's attribute by one of the instance while the block runs."""
    held = vars(owner)  # past `nn.Module.__setattr__`
    is_own = name in held  # set by the user, or by an enclosing watch
    before = held.get(name)
    held[name] = replacement
    try:
        yield
    finally:
        if is_own:
            held[name] = before
        else:
            del held[name]


class _NotedMethod:
    """A method whose calls or results are noted."""

    def __init__(
        self,
        original: Callable[..., Any],
        *,
        before: Callable[[tuple[Any, ...]], None] = lambda _args: None,
        after: Callable[[Any], None] = lambda _result: None,
    ) -> None:
        self._original, self._before, self._after = original, before, after
        # Pipelines inspect the signature of some methods. Attributes stay apart: the original may be of this class.
        update_wrapper(self, original, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._before(args)
        result = self._original(*args, **kwargs)
        self._after(result)
        return result

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return deepcopy(self._original, memo)  # of a method: the same method of the copied object
