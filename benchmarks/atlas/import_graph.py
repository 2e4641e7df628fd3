"""Which modules a file of diffusers imports, read from the sources: nothing is imported."""

import ast
from collections import deque
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

_PACKAGE = "diffusers"
# It imports every pipeline to choose one by the name of its class, and runs none of their code.
_CHOOSING = "diffusers.pipelines.auto_pipeline"


class ImportGraph:
    """The imports of a checkout of diffusers.

    diffusers imports its classes lazily. What a package exports is therefore read from the `from ... import` statements
    of its `__init__.py`, wherever they are, and an import of a class leads to the module that defines it. The packages
    themselves import nothing: otherwise every module would depend on every other.
    """

    def __init__(self, checkout: Path) -> None:
        """Read the modules below `src/diffusers`."""
        source = checkout / "src"
        files = sorted((source / _PACKAGE).rglob("*.py"))
        self._files = {_module_of(file.relative_to(source)): file for file in files}
        self._imports = cache(self._read_imports)
        self._exports = cache(self._read_exports)

    def module_of(self, path: str) -> str | None:
        """Return the module of a path from the root of the checkout; None for what is no module or a package."""
        parts = Path(path).parts
        module = _module_of(Path(*parts[1:])) if parts[:2] == ("src", _PACKAGE) and path.endswith(".py") else ""
        return module if module in self._files and not self._is_package(module) else None

    def distances(self, file: Path) -> Mapping[str, int]:
        """Return the modules that a file outside of the package imports, each with the length of the shortest path."""
        found = dict.fromkeys(self._imported_by(file, ""), 1)
        queue = deque(found)
        while queue:
            module = queue.popleft()
            for imported in self._imports(module) - found.keys():
                found[imported] = found[module] + 1
                queue.append(imported)
        return found

    def _read_imports(self, module: str) -> frozenset[str]:
        if self._is_package(module) or module == _CHOOSING:
            return frozenset()
        return frozenset(self._imported_by(self._files[module], module))

    def _imported_by(self, file: Path, module: str) -> Iterator[str]:
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                yield from (one.name for one in node.names if one.name in self._files)
            elif isinstance(node, ast.ImportFrom) and (base := self._base_of(node, module)) is not None:
                yield from (found for one in node.names if (found := self._defining(base, one.name)))

    def _base_of(self, node: ast.ImportFrom, module: str) -> str | None:
        """Return the module after `from`; None if it is not diffusers'."""
        base = node.module or ""
        if node.level:
            own = module.split(".")
            kept = len(own) - node.level + self._is_package(module)
            base = ".".join([*own[:kept], *filter(None, [base])])
        return base if base in self._files else None

    def _defining(self, base: str, name: str) -> str | None:
        """Return the module that defines a name; None where it cannot be found, as for a name that a package makes."""
        if f"{base}.{name}" in self._files:
            return f"{base}.{name}"
        if not self._is_package(base):
            return base
        source = self._exports(base).get(name)
        return self._defining(source, name) if source and source != base else None

    def _read_exports(self, package: str) -> Mapping[str, str]:
        tree = ast.parse(self._files[package].read_bytes())
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        return {
            name.asname or name.name: base
            for node in nodes
            if (base := self._base_of(node, package)) is not None
            for name in node.names
        }

    def _is_package(self, module: str) -> bool:
        return module in self._files and self._files[module].name == "__init__.py"


def _module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
