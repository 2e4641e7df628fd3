"""These tests run in a process on the null GPU: `test_on_null_gpu.py` starts it, and no other one collects them."""

import importlib
import pkgutil
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_diffopt
from pytest_diffopt.null_gpu.activity import is_active

collect_ignore_glob = [] if is_active() else ["test_*.py"]
_SMALL_PIPELINE = Path(__file__).parents[3] / "integration" / "small_pipeline.py"


@pytest.fixture(scope="session")
def _everything_imported() -> None:
    """Import all modules before the first run: pytester unloads what a run imports, and torch cannot be reloaded."""
    import diffusers.pipelines.stable_diffusion_xl  # noqa: PLC0415 - as below; it imports torchao where that is installed
    import torch  # noqa: PLC0415 - slow to import, and not there in a process that only ignores these tests

    assert diffusers.pipelines.stable_diffusion_xl.StableDiffusionXLPipeline
    torch.compile(torch.nn.Linear(2, 2).cuda())(torch.ones(2, device="cuda"))  # Inductor imports much at its first use
    for module in pkgutil.walk_packages(pytest_diffopt.__path__, "pytest_diffopt."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


@pytest.fixture
def project(pytester: pytest.Pytester, _everything_imported: None) -> Iterator[pytest.Pytester]:
    """Make a user's project whose tests run on the GPU; compiled code is dropped afterwards."""
    import torch  # noqa: PLC0415 - slow to import, and not there in a process that only ignores these tests

    shutil.copy(_SMALL_PIPELINE, pytester.path)
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:benchmark --diffopt-null-gpu --tb=short")
    yield pytester
    torch.compiler.reset()
