"""The plugin's fixtures of a test, distinguished from a project's own by their definitions and not by their names."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType, ModuleType
from typing import Any

import pytest

_PACKAGE = "pytest_diffopt"
_HOME = f"{_PACKAGE}.plugin.fixtures"
_OF_PACKAGE = f"{_PACKAGE}."
_NAMESPACE_TYPES = (FunctionType, type)


def our_fixtures(item: pytest.Item) -> frozenset[str]:
    """Return the names of the plugin's fixtures that a test uses; one that the project overrides is the project's."""
    return frozenset(
        name
        for name, definitions in _definitions(item).items()
        if any(_is_ours(definition) for definition in _in_use(definitions))
    )


def overrides_ours(item: pytest.Item) -> bool:
    """Return whether a test of a project that uses this package overrides one of the plugin's fixtures.

    A project that imports nothing of this package has a fixture of the same name by chance.
    """
    namespaces = [
        getattr(definitions[-1].func, "__globals__", {})
        for definitions in _definitions(item).values()
        if any(map(_is_ours, definitions[:-1]))
    ]
    test = vars(item.module) if hasattr(item, "module") else {}
    return bool(namespaces) and any(_uses_package(namespace) for namespace in (test, *namespaces))


def imports_package(item: pytest.Item) -> bool:
    """Return whether the file of a test imports something of this package."""
    return hasattr(item, "module") and _uses_package(vars(item.module))


def is_package_in_use() -> bool:
    """Return whether anybody imported an assertion in this process."""
    return f"{_PACKAGE}.api" in sys.modules


def _definitions(item: pytest.Item) -> Mapping[str, Sequence[pytest.FixtureDef[Any]]]:
    """Return every definition of each fixture of a test, the one that applies last.

    pytest passes definitions only to hooks that run when a fixture is set up, which is too late to skip a test.
    """
    info = getattr(item, "_fixtureinfo", None)
    definitions: Mapping[str, Sequence[pytest.FixtureDef[Any]]] = getattr(info, "name2fixturedefs", {})
    return definitions


def _in_use(definitions: Sequence[pytest.FixtureDef[Any]]) -> Iterator[pytest.FixtureDef[Any]]:
    """Yield the definition that applies, and those below it that it extends by requesting its own name."""
    for definition in reversed(definitions):
        yield definition
        if definition.argname not in definition.argnames:
            return


def _is_ours(definition: pytest.FixtureDef[Any]) -> bool:
    return getattr(definition.func, "__module__", "") == _HOME


def _uses_package(namespace: Mapping[str, Any]) -> bool:
    # type(), because isinstance() asks the object, and a proxy among a module's globals may refuse to answer
    return any(
        (type(value) is ModuleType and (value.__name__ == _PACKAGE or value.__name__.startswith(_OF_PACKAGE)))
        or (issubclass(type(value), _NAMESPACE_TYPES) and str(value.__module__).startswith(_OF_PACKAGE))
        for value in list(namespace.values())
    )
