"""The fixtures: what a marker names, built once and passed to tests.

pytest imports this module in every session, so it imports no torch: what the fixtures return is made by
`fixture_values`, which is imported when the first diffopt test asks for a fixture. That is the one place where the
plugin loads the `api` room.
"""

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_diffopt.api.compile_baseline import CompileGate
    from pytest_diffopt.api.count_baseline import CountGate
    from pytest_diffopt.api.effect_baseline import EffectGate
    from pytest_diffopt.api.image_baseline import ImageGate
    from pytest_diffopt.api.kernel_baseline import KernelGate
    from pytest_diffopt.api.latency_baseline import LatencyGate
    from pytest_diffopt.api.memory_baseline import MemoryGate
    from pytest_diffopt.pipelines.inputs import PipelineInputs
    from pytest_diffopt.plugin.markers import NamedPipeline
    from pytest_diffopt.recipes.recipe import Recipe

PLAIN_RECIPE = "fp32"


def _values() -> ModuleType:
    from pytest_diffopt.plugin import fixture_values  # noqa: PLC0415 - imports torch and diffusers

    return fixture_values


@pytest.fixture(scope="session")
def diffopt_pipeline(request: pytest.FixtureRequest) -> "NamedPipeline":
    """The pipeline that the marker names, with its scale."""
    named: NamedPipeline = _values().marker_parameter(request, "pipeline")
    return named


@pytest.fixture(scope="session")
def diffopt_recipe(request: pytest.FixtureRequest) -> "Recipe":
    """The recipe that the marker names; its `apply` takes any pipeline."""
    recipe: Recipe = _values().marker_parameter(request, "recipe")
    return recipe


@pytest.fixture(scope="session")
def diffopt_device(request: pytest.FixtureRequest) -> str:
    """The torch device of this session's pipelines: `cpu`, or with `--diffopt-gpu` the accelerator's."""
    device: str = _values().torch_device_of(request.config)
    return device


@pytest.fixture(scope="session")
def optimized_pipeline(
    request: pytest.FixtureRequest, diffopt_pipeline: "NamedPipeline", diffopt_recipe: "Recipe"
) -> Iterator[Any]:
    """The marker's pipeline with its recipe, warmed up if the recipe compiles. Override it with your own."""
    with _values().built(request.config, diffopt_pipeline, diffopt_recipe) as pipeline:
        yield pipeline


@pytest.fixture(scope="session")
def simulated_pipeline(
    request: pytest.FixtureRequest, diffopt_pipeline: "NamedPipeline", diffopt_recipe: "Recipe"
) -> Any:
    """The same for the simulated GPU only: at full scale it has no weights and builds in seconds on any machine."""
    return _values().simulated_pipeline(request.config, diffopt_pipeline, diffopt_recipe)


@pytest.fixture(scope="session")
def diffopt_reference_recipe(request: pytest.FixtureRequest) -> "Recipe":
    """The plain recipe of `reference_pipeline`: fp32, with the marker's scheduler and models where it names others."""
    recipe: Recipe = _values().parse_recipe(getattr(request, "param", PLAIN_RECIPE))
    return recipe


@pytest.fixture(scope="session")
def reference_pipeline(
    request: pytest.FixtureRequest, diffopt_pipeline: "NamedPipeline", diffopt_reference_recipe: "Recipe"
) -> Iterator[Any]:
    """The same pipeline and weights with the plain recipe; its scheduler is that of the marker's recipe."""
    with _values().built(request.config, diffopt_pipeline, diffopt_reference_recipe) as pipeline:
        yield pipeline


@pytest.fixture
def diffopt_batch(request: pytest.FixtureRequest) -> int | None:
    """The number of images that the marker asks of one call; None leaves it to the pipeline."""
    batch: int | None = getattr(request, "param", None)
    return batch


@pytest.fixture
def pipeline_inputs(diffopt_pipeline: "NamedPipeline", diffopt_batch: int | None) -> "PipelineInputs":
    """Keywords for one call of the pipeline, equal at every call. Override it for a pipeline of your own."""
    return diffopt_pipeline.family.batched_inputs(diffopt_pipeline.scale, diffopt_batch)


@pytest.fixture
def pipeline_variations(diffopt_pipeline: "NamedPipeline") -> "Sequence[PipelineInputs]":
    """Calls that vary as in production: prompt, guidance, steps, seed, scheduler. Override it for your own."""
    variations: Sequence[PipelineInputs] = _values().variations(diffopt_pipeline)
    return variations


@pytest.fixture
def pipeline_shape_variations(diffopt_pipeline: "NamedPipeline") -> "Sequence[PipelineInputs]":
    """Calls with other shapes for the models: guidance off, batch, resolution. Override it for your own."""
    variations: Sequence[PipelineInputs] = _values().shape_variations_of(diffopt_pipeline)
    return variations


@pytest.fixture
def latency_baseline(request: pytest.FixtureRequest) -> "LatencyGate":
    """The accepted latency of this test on this machine: `latency_baseline.check(pipeline, **inputs)`."""
    gate: LatencyGate = _values().latency_gate(request)
    return gate


@pytest.fixture
def memory_baseline(request: pytest.FixtureRequest) -> "MemoryGate":
    """The accepted peak memory of this test on this machine: `memory_baseline.check(pipeline, **inputs)`."""
    gate: MemoryGate = _values().memory_gate(request)
    return gate


@pytest.fixture
def count_baseline(request: pytest.FixtureRequest) -> "CountGate":
    """The accepted counts of this test on the simulated GPU: `count_baseline.check(pipeline, **inputs)`."""
    gate: CountGate = _values().count_gate(request)
    return gate


@pytest.fixture
def effect_baseline(request: pytest.FixtureRequest) -> "EffectGate":
    """What each optimization of this test's recipe did, as accepted: `effect_baseline.check(pipeline, **inputs)`."""
    gate: EffectGate = _values().effect_gate(request)
    return gate


@pytest.fixture
def kernel_baseline(request: pytest.FixtureRequest) -> "KernelGate":
    """The accepted kernels of this test on the null GPU: `kernel_baseline.check(pipeline, **inputs)`."""
    gate: KernelGate = _values().kernel_gate(request)
    return gate


@pytest.fixture
def compile_baseline(request: pytest.FixtureRequest) -> "CompileGate":
    """The accepted compilation figures of this test's pipeline: `compile_baseline.check(pipeline, **inputs)`."""
    gate: CompileGate = _values().compile_gate(request)
    return gate


@pytest.fixture
def image_baseline(
    request: pytest.FixtureRequest,
    diffopt_reference_recipe: "Recipe",  # noqa: ARG001 - requested here, so that it is set up when thresholds are learned
) -> "ImageGate":
    """The accepted images of this test and their thresholds: `image_baseline.check(pipeline, **inputs)`."""
    gate: ImageGate = _values().image_gate(request)
    return gate
