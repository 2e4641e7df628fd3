"""Test which tests of diffusers a changed file touches; the checkout is one of a few lines."""

from pathlib import Path

import pytest

from benchmarks.atlas.touched import touched_files

FILES = {
    "src/diffusers/__init__.py": """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from .models import Wan
            from .pipelines import FluxPipeline, WanPipeline
            from .schedulers import Euler
        """,
    "src/diffusers/models/__init__.py": "from .wan import Wan as Wan\nfrom .flux import Flux",
    "src/diffusers/models/wan.py": "from .shared.rope import rotate\nimport torch",
    "src/diffusers/models/flux.py": "import diffusers.models.shared.rope",
    "src/diffusers/models/shared/__init__.py": "",
    "src/diffusers/models/shared/rope.py": "from ...outputs import Output",
    "src/diffusers/outputs.py": "",
    "src/diffusers/pipelines/__init__.py": "from .wan import WanPipeline\nfrom .flux import FluxPipeline",
    "src/diffusers/pipelines/wan.py": "from ..models import Wan\n\ndef late():\n    from . import _helper",
    "src/diffusers/pipelines/_helper.py": "",
    "src/diffusers/pipelines/flux.py": "from ..models import Flux",
    "src/diffusers/schedulers.py": "class Euler: ...",
    "src/diffusers/pipelines/auto_pipeline.py": "from .flux import FluxPipeline\nfrom .wan import WanPipeline",
    "tests/pipelines/auto/test_auto.py": "from diffusers.pipelines.auto_pipeline import AutoPipeline",
    "tests/pipelines/wan/test_wan.py": "from diffusers import Euler, WanPipeline, unknown",
    "tests/pipelines/flux/test_flux.py": "from diffusers import FluxPipeline",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout of a library with diffusers' layout."""
    for name, source in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(line.removeprefix(" " * 8) for line in source.splitlines()))
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("src/diffusers/pipelines/wan.py", [(1, "wan/test_wan")]),
        ("src/diffusers/schedulers.py", [(1, "wan/test_wan")]),
        ("src/diffusers/models/wan.py", [(2, "wan/test_wan")]),
        ("src/diffusers/models/flux.py", [(2, "flux/test_flux")]),
        ("src/diffusers/pipelines/_helper.py", [(2, "wan/test_wan")]),
        ("src/diffusers/models/shared/rope.py", [(3, "flux/test_flux"), (3, "wan/test_wan")]),
        ("src/diffusers/pipelines/auto_pipeline.py", [(1, "auto/test_auto")]),
        ("src/diffusers/outputs.py", []),
        ("src/diffusers/__init__.py", []),
        ("src/other/models/wan.py", []),
        ("docs/wan.md", []),
    ],
)
def test_the_tests_that_import_a_changed_module(checkout: Path, changed: str, expected: list[tuple[int, str]]) -> None:
    """Imports lead through packages to the defining module; packages and the choice of a class import nothing."""
    found = touched_files(checkout, [changed], farthest=3)

    assert [(one.distance, one.name) for one in found] == expected


def test_the_nearest_come_first(checkout: Path) -> None:
    """Wan's test imports what changed; FLUX's only does through its pipeline."""
    found = touched_files(
        checkout, ["src/diffusers/models/flux.py", "src/diffusers/pipelines/wan.py", "docs/x.py"], farthest=2
    )

    assert [one.name for one in found] == ["wan/test_wan", "flux/test_flux"]
