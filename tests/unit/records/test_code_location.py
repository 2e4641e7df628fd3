"""Tests of locations in source code and of the search for the user's line."""

import json
import sys
import sysconfig
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pytest_diffopt.records import code_location
from pytest_diffopt.records.code_location import (
    UNKNOWN_LOCATION,
    CodeLocation,
    is_machinery,
    locate,
    moves_weights,
    shorten,
    users_frame,
    users_line,
)

STDLIB = sysconfig.get_path("stdlib")
SITE_PACKAGES = next(path for path in sys.path if path.endswith("-packages"))


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    """Results are cached by path, and these tests change the import roots."""
    is_machinery.cache_clear()


def test_a_location_reads_as_a_link() -> None:
    """The format is `file:line`, which terminals and editors open."""
    assert str(CodeLocation(file="a/b.py", line=3, function="f")) == "a/b.py:3"


def test_a_line_is_located_with_its_source() -> None:
    """The source is stripped; it is empty when the file cannot be read."""
    path = __file__
    here = locate(path, 1, "f")

    assert here.source.startswith('"""Tests of locations')
    assert here.file == "tests/unit/records/test_code_location.py"
    assert locate("/nowhere/x.py", 3, "f") == CodeLocation(file="/nowhere/x.py", line=3, function="f")


@pytest.mark.parametrize(
    ("path", "short"),
    [
        (f"{SITE_PACKAGES}/diffusers/schedulers/scheduling_ddim.py", "diffusers/schedulers/scheduling_ddim.py"),
        (str(Path.cwd() / "models" / "own.py"), "models/own.py"),
        ("/elsewhere/own.py", "/elsewhere/own.py"),
        ("<string>", "<string>"),
    ],
)
def test_a_path_is_shortened(path: str, short: str) -> None:
    """By site-packages or the working directory; any other path is kept."""
    assert shorten(path) == short


def test_site_packages_within_the_working_directory_are_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The prefix `.venv/lib/.../site-packages/` is not shown."""
    root = tmp_path / ".venv" / "lib" / "site-packages"
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(root)

    assert shorten(str(root / "diffusers" / "unet.py")) == "diffusers/unet.py"


def test_the_deepest_import_root_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For nested roots, the module is imported from the inner one."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "src")

    assert shorten(str(tmp_path / "src" / "own" / "model.py")) == "own/model.py"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{SITE_PACKAGES}/torch/nn/modules/module.py", True),
        (f"{SITE_PACKAGES}/torchao/quantization.py", True),
        (f"{SITE_PACKAGES}/accelerate/hooks.py", True),
        (f"{SITE_PACKAGES}/accelerate/utils/modeling.py", True),
        (f"{SITE_PACKAGES}/accelerate/utils/own.py", False),
        (f"{SITE_PACKAGES}/diffusers/hooks/group_offloading.py", True),
        (f"{SITE_PACKAGES}/diffusers/hooks/first_block_cache.py", False),
        (f"{SITE_PACKAGES}/diffusers/models/unet.py", False),
        (f"{SITE_PACKAGES}/torchvision/ops.py", False),
        (f"{STDLIB}/contextlib.py", True),
        (code_location.__file__, True),
        ("<string>", True),
        ("<eval_with_key>.12", True),
        (__file__, False),
        ("/elsewhere/own.py", False),
    ],
)
def test_machinery_is_code_that_is_not_the_users(path: str, *, expected: bool) -> None:
    """Torch, this package, Python's own modules and generated code are not user code."""
    assert is_machinery(path) is expected


def calling_back(function: Callable[[], CodeLocation]) -> CodeLocation:
    """Call from a line of user code."""
    return function()


def called_from(*calls: tuple[str, str]) -> bool:
    """Return whether weights are moved below these functions of site-packages, the outermost first."""
    chain: Callable[[], bool] = lambda: moves_weights(sys._getframe(1))  # noqa: E731 - the frame of the last call
    for file, function in reversed(calls):
        space: dict[str, Callable[[Callable[[], bool]], bool]] = {}
        source = f"def {function}(inner):\n    return inner()\n"
        exec(compile(source, f"{SITE_PACKAGES}/{file}", "exec"), space)  # noqa: S102 - a frame of another file
        chain = partial(space[function], chain)
    return chain()


HOOKS, GROUPS = "accelerate/hooks.py", "diffusers/hooks/group_offloading.py"
MODELS, OPERATIONS = "diffusers/models/modeling_utils.py", "accelerate/utils/operations.py"
TORCH = ("torch/nn/modules/module.py", "to")


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([(HOOKS, "pre_forward"), TORCH], True),
        ([(HOOKS, "init_hook"), (MODELS, "to"), TORCH], True),
        ([(HOOKS, "pre_forward"), ("accelerate/utils/modeling.py", "set_module_tensor_to_device"), TORCH], True),
        ([(GROUPS, "onload_"), TORCH], True),
        ([(GROUPS, "pre_forward"), (OPERATIONS, "send_to_device"), TORCH], False),
        ([(HOOKS, "new_forward"), ("torch/nn/modules/linear.py", "forward")], False),
        ([(HOOKS, "pre_forward"), (MODELS, "forward"), TORCH], False),
        ([(MODELS, "to"), TORCH], False),
        ([TORCH], False),
    ],
)
def test_offload_hooks_move_weights(calls: list[tuple[str, str]], *, expected: bool) -> None:
    """Not the arguments of a call, not in a module's own code, and not when the user moves a module."""
    assert called_from(("own/pipeline.py", "call"), *calls) is expected


def test_the_users_line_is_the_caller() -> None:
    """The default frame is that of the caller."""
    here = calling_back(users_line)

    assert (here.file, here.function) == ("tests/unit/records/test_code_location.py", "calling_back")
    assert here.source == "return function()"


def test_the_innermost_line_outside_the_machinery_counts() -> None:
    """The user's hook is called by Python's `json` module, whose frames are skipped."""
    seen: list[CodeLocation] = []

    def hook(pairs: dict[str, object]) -> dict[str, object]:
        frame = sys._getframe(1)
        assert is_machinery(frame.f_code.co_filename)
        seen.append(users_line(frame))
        return pairs

    json.loads('{"a": 1}', object_hook=hook)

    assert seen[0].function == "test_the_innermost_line_outside_the_machinery_counts"
    assert seen[0].source == "json.loads('{\"a\": 1}', object_hook=hook)"


def test_a_stack_of_machinery_alone_has_no_users_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The location is then unknown."""
    monkeypatch.setattr(code_location, "is_machinery", lambda _path: True)

    assert users_frame(sys._getframe()) is None
    assert users_line() is UNKNOWN_LOCATION
    assert str(UNKNOWN_LOCATION) == "<unknown>:0"
