"""Snapshots of the attributes of objects, restored in place: the same values in the same containers."""

from collections.abc import Iterable
from typing import Any


class AttributeSnapshot:
    """Records attributes of objects, with what their lists, dictionaries and sets contain."""

    def __init__(self) -> None:
        self._attributes: dict[tuple[int, tuple[str, ...] | None], tuple[Any, dict[str, Any]]] = {}
        self._containers: dict[int, tuple[Any, Any]] = {}

    def keep(self, thing: Any, names: Iterable[str] | None = None) -> None:
        """Record an object's own attributes, unless they are recorded already.

        Args:
            thing: the object.
            names: the attributes, which may be absent; all if not given.
        """
        chosen = None if names is None else tuple(names)
        if (id(thing), chosen) in self._attributes:
            return
        present = vars(thing) if chosen is None else {name: vars(thing)[name] for name in chosen if name in vars(thing)}
        self._attributes[id(thing), chosen] = (thing, dict(present))
        for value in present.values():
            self._keep_contents(value)

    def _keep_contents(self, value: Any) -> None:
        if type(value) not in {list, dict, set} or id(value) in self._containers:
            return
        self._containers[id(value)] = (value, value.copy())
        for one in value.values() if isinstance(value, dict) else ():
            self._keep_contents(one)

    def restore(self) -> None:
        """Restore everything that was recorded."""
        for container, contents in self._containers.values():
            _refill(container, contents)
        for (_, names), (thing, kept) in self._attributes.items():
            attributes = vars(thing)
            for name in list(attributes) if names is None else names:
                attributes.pop(name, None)
            attributes.update(kept)


def _refill(container: Any, contents: Any) -> None:
    """Give a container its contents."""
    container.clear()
    if isinstance(container, list):
        container.extend(contents)
    else:
        container.update(contents)
