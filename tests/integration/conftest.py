"""Projects in a temporary folder, whose tests pytester runs in this process."""

import importlib
import itertools
import pkgutil
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis.internal.observability  # noqa: F401 - else its plugin imports it again at the end of each run
import pytest

import pytest_diffopt
from tests.integration.warm_python import is_supported, warm_python

_INJECTED_VERDICTS = Path(__file__).parent / "injected_verdicts.py"
_SMALL_PIPELINE = Path(__file__).parent / "small_pipeline.py"
_PACED_TIME = Path(__file__).parent / "paced_time.py"

#: pytest-rerunfailures leaves a thread with a socket in this process for each session that runs here.
INI = "[pytest]\naddopts = -p no:cacheprovider -p no:rerunfailures"
#: The same for tests about reruns.
INI_WITH_RERUNS = "[pytest]\naddopts = -p no:cacheprovider"
#: A conftest that overrides the fixtures with the user's own pipeline; a test may append to it.
OWN_PIPELINE = """
import pytest
import small_pipeline

@pytest.fixture(scope="module")
def optimized_pipeline():
    return small_pipeline.build()

@pytest.fixture
def pipeline_inputs():
    return small_pipeline.inputs()
"""


@pytest.fixture(scope="session")
def _everything_imported() -> None:
    """Import all modules before the first run: pytester unloads what a run imports, and torch cannot be reloaded."""
    import diffusers.pipelines.stable_diffusion_xl  # noqa: PLC0415 - slow to import, not needed by all tests
    import torch  # noqa: PLC0415 - slow to import

    for module in pkgutil.walk_packages(pytest_diffopt.__path__, "pytest_diffopt."):
        importlib.import_module(module.name)
    from pytest_diffopt.pipelines.loading import build_pipeline  # noqa: PLC0415 - imports torch
    from pytest_diffopt.pipelines.registry import find_pipeline  # noqa: PLC0415 - imports torch
    from pytest_diffopt.pipelines.scale import Scale  # noqa: PLC0415 - imported after every module above
    from pytest_diffopt.simulated_gpu import SimulatedGPU  # noqa: PLC0415 - imports torch

    with SimulatedGPU():
        pass  # claims torch's spare backend, which happens once per process
    build_pipeline(find_pipeline("sdxl"), Scale.TINY)
    torch.compile(torch.nn.Linear(2, 2), backend="aot_eager_decomp_partition")(torch.ones(2))
    assert diffusers.pipelines.stable_diffusion_xl.StableDiffusionXLPipeline


@pytest.fixture
def project(pytester: pytest.Pytester, _everything_imported: None) -> Iterator[pytest.Pytester]:
    """Make a user's project with a small pipeline; Dynamo is reset afterwards."""
    import torch  # noqa: PLC0415 - slow to import

    shutil.copy(_SMALL_PIPELINE, pytester.path)
    pytester.makeini(INI)
    yield pytester
    torch.compiler.reset()


@pytest.fixture
def own_pipeline(project: pytest.Pytester) -> pytest.Pytester:
    """Make a project whose conftest overrides the pipeline's fixtures, as documented."""
    project.makeconftest(OWN_PIPELINE)
    return project


@pytest.fixture(scope="session")
def _reports_imported() -> None:
    """Import what a session imports with its first test: pytester unloads it, and torch cannot be imported again."""
    for name in ("session_hooks", "session_output", "parametrization"):
        importlib.import_module(f"pytest_diffopt.plugin.{name}")
    importlib.import_module("tests.integration.injected_verdicts")


@pytest.fixture(scope="session")
def _warm_interpreter() -> Iterator[str]:
    """Start the server of warm interpreters at the first test that uses it."""
    if not is_supported():
        yield sys.executable
        return
    with warm_python() as path:
        yield str(path)


@pytest.fixture
def warm_processes(_warm_interpreter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start subprocesses with an interpreter that has imported torch and the plugin: in 0.3 s instead of seconds."""
    monkeypatch.setattr(sys, "executable", _warm_interpreter)


@pytest.fixture
def paced(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Make a project whose paired workers have clocks of their own (`paced_time`); each timed block takes 1/8 s."""
    from pytest_diffopt.paired.sampling import sample_blocks  # noqa: PLC0415 - imported after every module above

    shutil.copy(_PACED_TIME, project.path)
    project.makeconftest("from paced_time import pytest_configure")
    clock = itertools.count(step=0.125).__next__
    monkeypatch.setattr(sample_blocks, "__kwdefaults__", {**(sample_blocks.__kwdefaults__ or {}), "clock": clock})
    return project


@pytest.fixture
def injected(pytester: pytest.Pytester, _reports_imported: None) -> pytest.Pytester:
    """Make a project whose tests import `injected_verdicts`, which call no pipeline."""
    shutil.copy(_INJECTED_VERDICTS, pytester.path)
    pytester.makeini(INI)
    return pytester
