"""No file that is read can run code: no pickle, no `torch.load`, and no remote code of models."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_diffopt

PACKAGE = Path(pytest_diffopt.__file__).parent
REPOSITORY = Path(__file__).parents[2]
# Modules that execute code from a file, directly or indirectly.
UNSAFE_MODULES = frozenset({"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"})
# Evaluates the source of a Dynamo guard, which torch generates; it is not read from a file.
KNOWN = ["_torch_private/compile_watching.py: eval"]
UNSAFE_CALLS = frozenset({"eval", "exec", "__import__"})


def trees(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    """Yield path and syntax tree of every Python file below a folder."""
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def unsafe(tree: ast.Module) -> Iterator[str]:
    """Yield the name of each construct that can execute code from a file."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name.split(".")[0] in UNSAFE_MODULES)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in UNSAFE_MODULES:
                yield module
            case ast.Call(func=ast.Name(id=name)) if name in UNSAFE_CALLS:
                yield name
            case ast.Call(func=ast.Attribute(attr=name), keywords=keywords):
                if name in {"load", "load_file"} and ast.unparse(node.func).startswith("torch.") and not _weights(node):
                    yield "torch.load"
                yield from (
                    "allow_pickle" for one in keywords if one.arg == "allow_pickle" and not _is(one, value=False)
                )
            case ast.keyword(arg="trust_remote_code") if not _is(node, value=False):
                yield "trust_remote_code"
            case ast.Constant(value="trust_remote_code"):
                yield "trust_remote_code"
            case ast.keyword(arg="shell") if not _is(node, value=False):
                yield "shell"


def _weights(call: ast.Call) -> bool:
    return any(one.arg == "weights_only" and _is(one, value=True) for one in call.keywords)


def _is(keyword: ast.keyword, *, value: bool) -> bool:
    return isinstance(keyword.value, ast.Constant) and keyword.value.value is value


def test_the_package_executes_no_code_from_files() -> None:
    """The known exception reads no file."""
    found = [f"{path.relative_to(PACKAGE)}: {what}" for path, tree in trees(PACKAGE) for what in unsafe(tree)]

    assert found == KNOWN


def test_the_package_does_not_use_torch_load() -> None:
    """Not even with `weights_only`: it reads safetensors, JSON and PNG."""
    calls = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path, tree in trees(PACKAGE)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"torch.load", "torch.jit.load", "np.load"}
    ]

    assert calls == []


@pytest.mark.parametrize("folder", ["tools", "benchmarks", "suites"])
def test_other_folders_execute_no_code_from_files(folder: str) -> None:
    """They can use `torch.load` with `weights_only=True`."""
    found = [f"{path.name}: {what}" for path, tree in trees(REPOSITORY / folder) for what in unsafe(tree)]

    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from cloudpickle import loads",
        "import joblib.numpy_pickle",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "Pipeline.from_pretrained(name, trust_remote_code=True)",
        "Pipeline.from_pretrained(name, **{'trust_remote_code': flag})",
        "eval(text)",
        "subprocess.run(command, shell=True)",
    ],
)
def test_an_unsafe_construct_is_found(line: str) -> None:
    """Each construct that is searched for."""
    assert list(unsafe(ast.parse(line)))


@pytest.mark.parametrize("line", ["torch.load(path, weights_only=True)", "model.eval()", "json.load(file)"])
def test_a_safe_construct_is_not_found(line: str) -> None:
    """Such as `eval()` of a module."""
    assert not list(unsafe(ast.parse(line)))
