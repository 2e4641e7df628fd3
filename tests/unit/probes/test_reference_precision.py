"""The reference is called in the precision of the optimized pipeline, and is unchanged afterwards."""

from typing import Any

import pytest
import torch

from pytest_diffopt.probes.reference_precision import SCALES, precision_of, restored, rounded_calls
from pytest_diffopt.recipes.grammar import parse_recipe
from tests.unit.tiny_pipelines import INPUTS, tiny_sdxl


class Pipeline:
    """Two consecutive layers."""

    def __init__(self, *dtypes: torch.dtype) -> None:
        torch.manual_seed(0)
        self.components = {"first": torch.nn.Linear(8, 8), "second": torch.nn.Linear(8, 8)}
        for layer, dtype in zip(self.components.values(), dtypes, strict=False):
            layer.to(dtype)

    def __call__(self) -> torch.Tensor:
        """Run both layers."""
        hidden = torch.linspace(0, 1, 8)
        for layer in self.components.values():
            hidden = layer(hidden.to(layer.weight.dtype))
        return hidden.detach().float()


def state(pipeline: Any) -> dict[str, tuple[torch.dtype, bytes]]:
    """Return dtype and bits of every parameter and buffer."""
    return {
        f"{name}.{path}": (value.dtype, value.contiguous().view(torch.uint8).numpy().tobytes())
        for name, module in pipeline.components.items()
        if isinstance(module, torch.nn.Module)
        for path, value in module.state_dict().items()
    }


def attributes(pipeline: Any) -> dict[str, Any]:
    """Return the identities of the attributes of every module, and the sizes of its registries."""
    modules = [module for module in pipeline.components.values() if isinstance(module, torch.nn.Module)]
    return {
        f"{number}.{name}": (id(value), len(value) if isinstance(value, dict) else 0)
        for number, part in enumerate(part for module in modules for part in module.modules())
        for name, value in vars(part).items()
    }


def test_samples_differ_by_about_the_rounding_error() -> None:
    """They are close to the plain result, not equal to it, and not equal to each other."""
    reference, optimized = Pipeline(), Pipeline(torch.bfloat16, torch.bfloat16)
    precision = precision_of(optimized, reference)
    assert precision is not None
    plain = reference()
    results = list(rounded_calls(reference, precision, reference))
    errors = [float((one - plain).norm() / plain.norm()) for one in results]

    assert precision.name == "bfloat16"
    assert len(results) == len(SCALES)
    assert torch.equal(results[0], optimized())
    assert all(1e-4 < error < 0.02 for error in errors)
    assert len({one.numpy().tobytes() for one in results}) > 2


@pytest.mark.parametrize(
    "text",
    ["bf16", "fp16 + vae_upcast", "bf16 + sdpa + channels_last + fuse_qkv + int8_dynamic", "fp16_safe_vae + fp16"],
)
@pytest.mark.filterwarnings("ignore::pytest_diffopt.errors.RecipeWarning")
def test_the_reference_is_restored(text: str) -> None:
    """Bits, dtypes, attributes and hooks of every module; also in the middle of the samples, and after an error."""
    recipe = parse_recipe(text)
    optimized, reference = recipe.apply(tiny_sdxl()), recipe.reference().apply(tiny_sdxl())
    precision = precision_of(optimized, reference)
    assert precision is not None
    image = reference(**INPUTS).images
    before = state(reference), attributes(reference)
    (first,) = rounded_calls(reference, precision, lambda: reference(**INPUTS).images, scales=SCALES[1:2])

    assert (first != image).any()
    assert (state(reference), attributes(reference)) == before
    assert (reference(**INPUTS).images == image).all()

    def broken() -> None:
        message = "broken"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="broken"):
        list(rounded_calls(reference, precision, broken))
    assert (state(reference), attributes(reference)) == before


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("bf16 + sdpa + channels_last", "bf16"),
        ("bf16 + sdpa + int8_weight_only", "bf16 + int8_weight_only"),
        ('scheduler(use="DDIMScheduler") + fp32 + tf32', "fp32 + tf32"),
        ("fp32 + channels_last", None),
        ("channels_last", None),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest_diffopt.errors.RecipeWarning")
def test_the_precision_of_a_recipe_is_part_of_it(text: str, name: str | None) -> None:
    """Layout, attention and schedulers are left out; a recipe in float32 has none."""
    recipe = parse_recipe(text)
    precision = precision_of(recipe.apply(tiny_sdxl()), tiny_sdxl())

    assert (precision.name if precision else None) == name


def test_a_recipe_without_a_precision_has_that_of_its_parameters() -> None:
    """The user cast the pipeline."""
    precision = precision_of(parse_recipe("sdpa").apply(tiny_sdxl().to(torch.bfloat16)), tiny_sdxl())

    assert precision is not None
    assert precision.name == "bfloat16"


@pytest.mark.parametrize(
    ("dtypes", "name"),
    [
        ((torch.float32, torch.float32), None),
        ((torch.float16, torch.float32), "float16"),
        ((torch.float16, torch.bfloat16), "bfloat16, float16"),
        ((torch.float8_e4m3fn, torch.bfloat16), None),
    ],
)
def test_each_component_has_its_own_dtype(dtypes: tuple[torch.dtype, ...], name: str | None) -> None:
    """None for float32, and for storage in a dtype in which nothing can be computed."""
    precision = precision_of(Pipeline(*dtypes), Pipeline())

    assert (precision.name if precision else None) == name


@pytest.mark.parametrize("reference", [Pipeline(torch.bfloat16), torch.nn.Linear(8, 8), object()])
def test_only_a_pipeline_in_float32_can_be_a_reference(reference: Any) -> None:
    """A bare module has no dtype of its own inputs, and a coarse reference shows no rounding."""
    assert precision_of(Pipeline(torch.bfloat16, torch.bfloat16), reference) is None


def test_hooks_and_replaced_parameters_are_restored() -> None:
    """Whatever an optimization of the user's own does to a module."""
    pipeline = Pipeline()
    before, known = state(pipeline), attributes(pipeline)
    layer = pipeline.components["first"]
    with restored(pipeline):
        layer.weight = torch.nn.Parameter(torch.zeros(8, 8))
        layer.register_forward_hook(lambda _module, _inputs, output: output * 2)
        layer.register_buffer("scale", torch.ones(1))
        vars(layer)["forward"] = layer.forward  # as diffusers' hooks do
        with torch.no_grad():
            layer.bias.zero_()

    assert state(pipeline) == before
    assert attributes(pipeline) == known


def test_what_was_not_cast_keeps_its_memory() -> None:
    """The optimized pipeline may share a component, whose address compiled code holds."""
    reference = Pipeline()
    addresses = [one.data_ptr() for one in reference.components["second"].parameters()]
    precision = precision_of(Pipeline(torch.bfloat16, torch.float32), reference)
    assert precision is not None
    list(rounded_calls(reference, precision, reference))

    assert [one.data_ptr() for one in reference.components["second"].parameters()] == addresses
