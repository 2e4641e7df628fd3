"""A user's project in a folder of its own, in which pytest runs in this process."""

import importlib
import pkgutil
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis.internal.observability  # noqa: F401 - its plugin would import it anew at the end of each run
import pytest

import pytest_diffopt

_INJECTED_VERDICTS = Path(__file__).parent / "injected_verdicts.py"
_SMALL_PIPELINE = Path(__file__).parent / "small_pipeline.py"

#: The user's own pipeline in place of a named one; a test may append to it.
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
    """Import what the runs need: pytester forgets the modules that a run imports, and torch is not imported twice."""
    import diffusers.pipelines.stable_diffusion_xl  # noqa: PLC0415 - only these tests wait for it
    import torch  # noqa: PLC0415 - as above

    for module in pkgutil.walk_packages(pytest_diffopt.__path__, "pytest_diffopt."):
        importlib.import_module(module.name)
    from pytest_diffopt.pipelines.loading import build_pipeline  # noqa: PLC0415 - as above
    from pytest_diffopt.pipelines.registry import find_pipeline  # noqa: PLC0415 - as above
    from pytest_diffopt.pipelines.scale import Scale  # noqa: PLC0415 - as above
    from pytest_diffopt.simulated_gpu import SimulatedGPU  # noqa: PLC0415 - as above

    with SimulatedGPU():
        pass  # from now on there is a module torch.simgpu, which torch 2.11 imports by its name
    build_pipeline(find_pipeline("sdxl"), Scale.TINY)
    torch.compile(torch.nn.Linear(2, 2), backend="aot_eager_decomp_partition")(torch.ones(2))
    assert diffusers.pipelines.stable_diffusion_xl.StableDiffusionXLPipeline


@pytest.fixture
def project(pytester: pytest.Pytester, _everything_imported: None) -> Iterator[pytest.Pytester]:
    """Make a user's project: a small pipeline of their own, and no trace of the runs before."""
    import torch  # noqa: PLC0415 - as above

    shutil.copy(_SMALL_PIPELINE, pytester.path)
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider")
    yield pytester
    torch.compiler.reset()


@pytest.fixture
def own_pipeline(project: pytest.Pytester) -> pytest.Pytester:
    """Make a project whose conftest overrides the pipeline's fixtures, as the documentation says."""
    project.makeconftest(OWN_PIPELINE)
    return project


@pytest.fixture
def injected(pytester: pytest.Pytester) -> pytest.Pytester:
    """Make a project whose tests import `injected_verdicts`; it needs neither torch nor time."""
    shutil.copy(_INJECTED_VERDICTS, pytester.path)
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider")
    return pytester
