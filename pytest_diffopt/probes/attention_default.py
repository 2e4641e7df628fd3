"""diffusers' default attention backend of the process: each test is judged with its own.

`model.set_attention_backend(...)` also changes the default for every other model, and nothing restores it. A test is
judged with the default that its own code and its living fixtures set; what a model's own choice left behind does not
count. What a test or fixture set is undone when it ends.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_DISPATCH = "diffusers.models.attention_dispatch"


class AttentionDefault:
    """The default that counts in the running test.

    It is determined from the scopes of pytest: a fixture's change counts until the fixture ends, and the change of a
    test until the test ends. Outside of pytest there are no scopes, and whatever the registry has counts.
    """

    def __init__(self) -> None:
        self._has_scopes = False
        self._own: Any = None
        self._seen: Any = None
        self._before: dict[Any, tuple[Any, Any]] = {}

    def enter(self, scope: Any) -> None:
        """Begin a scope: what changes from now on is its own."""
        if not self._has_scopes:
            self._has_scopes, self._own = True, _active()
        self._seen = _active()
        self._before[scope] = (self._own, self._seen)

    def set_up(self, value: Any) -> None:
        """Note that a fixture was set up: its change counts, unless it only follows from the choice of its models."""
        self._own, self._seen = self._counted(value), _active()

    def leave(self, scope: Any) -> None:
        """End a scope: its changes are undone."""
        if scope in self._before:
            self._own, self._seen = self._before.pop(scope)
            if _active() != self._seen:
                _set_active(self._seen)

    @contextmanager
    def applied(self, target: Any) -> Iterator[None]:
        """Let the default that counts for a call of the target be diffusers' default while the block runs."""
        active, counted = _active(), self._counted(target)
        if not self._has_scopes or counted == active:
            yield
            return
        _set_active(counted)
        try:
            yield
        finally:
            _set_active(active)

    def _counted(self, target: Any) -> Any:
        active = _active()
        is_own_change = active != self._seen and not _is_chosen_in(target, active)
        return active if is_own_change else self._own


#: The default of the process that runs the tests.
ATTENTION_DEFAULT = AttentionDefault()


def _registry() -> Any:
    return sys.modules[_DISPATCH]._AttentionBackendRegistry  # noqa: SLF001 - diffusers has no public accessor


def _active() -> Any:
    """Return diffusers' default, by name: its models may not be imported yet."""
    if _DISPATCH not in sys.modules:
        return os.getenv("DIFFUSERS_ATTN_BACKEND", "native").lower()
    return _registry().get_active_backend()[0]


def _set_active(backend: str) -> None:
    _registry().set_active_backend(sys.modules[_DISPATCH].AttentionBackendName(backend))


def _is_chosen_in(value: Any, backend: Any) -> bool:
    """Return whether a model among the value, or in a pipeline, chose the backend for itself."""
    from pytest_diffopt.pipelines.components import modules_of  # noqa: PLC0415 - imports torch, as diffusers did

    found = [*value.values()] if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
    processors = (
        getattr(part, "processor", None)
        for one in found
        for module in modules_of(one).values()
        for part in module.modules()
    )
    return any(getattr(processor, "_attention_backend", None) == backend for processor in processors)
