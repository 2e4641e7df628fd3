"""`verify` detects whether compiled code ran for every target.

Small modules stand in for a pipeline's: the calls of torch and the verification do not depend on their size.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from diffusers import ModelMixin
from torch import nn

from pytest_diffopt._torch_private.compiled_code import compiled_code_count
from pytest_diffopt._torch_private.tracing_backend import trace_only
from pytest_diffopt.errors import PipelineError, RecipeError
from pytest_diffopt.recipes import compilation
from pytest_diffopt.recipes.compilation import Compile
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.optimization import Optimization
from pytest_diffopt.records import OptimizationState
from tests.unit.tiny_pipelines import tiny_sdxl

TRACED = " (only traced: no GPU)"
X = torch.ones(2, 4)


class Block(nn.Module):
    """The repeated block of a denoiser."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute something."""
        return torch.relu(self.layer(x))


class Denoiser(ModelMixin):  # type: ignore[misc]  # diffusers is not typed
    """A denoiser with two blocks."""

    _repeated_blocks = ("Block",)

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Block(), Block())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the blocks."""
        result: torch.Tensor = self.blocks(x) + 1
        return result


class Vae(nn.Module):
    """A decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """Compute something."""
        return torch.sigmoid(self.layer(x))


class Pipeline:
    """The part of a diffusers pipeline that the optimization uses."""

    def __init__(self) -> None:
        self.unet = Denoiser()
        self.vae = Vae()
        self.device = torch.device("cpu")

    @property
    def components(self) -> dict[str, nn.Module]:
        """The modules by name."""
        return {"unet": self.unet, "vae": self.vae}

    def run(self) -> None:
        """Call the default targets."""
        with torch.no_grad():
            self.unet(X)
            self.vae.decode(X)


@pytest.fixture(autouse=True)
def _forget_compiled_code() -> Iterator[None]:
    """Reset Dynamo: compiled code belongs to functions, so a test could find that of another test."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def state_of(text: str, pipeline: Any) -> OptimizationState:
    """Return the state of a recipe with one optimization."""
    (state,) = parse_recipe(text).verify(pipeline)
    return state


def test_compiled_code_that_ran_is_found() -> None:
    """By default the denoiser and the VAE's decoder are compiled; without a GPU they are only traced."""
    pipeline = Pipeline()
    parse_recipe("compile").apply(pipeline)
    pipeline.run()

    assert state_of("compile", pipeline) == OptimizationState(
        name="compile", found=f"compiled code ran for denoiser, vae.decode{TRACED}"
    )


def test_missing_compilation_is_reported(does_nothing: Callable[[type[Optimization]], None]) -> None:
    """The state names each target that is not compiled."""
    does_nothing(Compile)
    pipeline = Pipeline()
    parse_recipe("compile").apply(pipeline)
    pipeline.run()

    assert state_of("compile", pipeline) == OptimizationState(
        name="compile",
        found=f"compiled code ran for nothing{TRACED}",
        missing=("unet is not compiled", "vae.decode is not compiled"),
    )


def test_compiled_code_that_never_ran_is_reported() -> None:
    """Torch compiles in the first call; before it there is no evidence."""
    pipeline = Pipeline()
    parse_recipe("compile").apply(pipeline)

    assert state_of("compile", pipeline).missing == (
        "unet is compiled, but its compiled code has not run",
        "vae.decode is compiled, but its compiled code has not run",
    )


def test_a_call_that_bypasses_compiled_code_is_reported() -> None:
    """`module.forward(x)` bypasses it: the compiled code runs only in the module's `__call__`."""
    pipeline = Pipeline()
    parse_recipe("compile").apply(pipeline)
    with torch.no_grad():
        pipeline.unet.forward(X)
        pipeline.vae.decode(X)

    assert state_of("compile", pipeline) == OptimizationState(
        name="compile",
        found=f"compiled code ran for vae.decode{TRACED}",
        missing=("unet is compiled, but its compiled code has not run",),
    )


def test_a_module_of_a_real_pipeline_can_be_a_target() -> None:
    """A component's name compiles the module in place: the pipeline keeps the same object."""
    pipeline = tiny_sdxl()
    encoder = pipeline.text_encoder
    recipe = 'compile(target=["text_encoder"])'
    parse_recipe(recipe).apply(pipeline)
    before = state_of(recipe, pipeline)
    with torch.no_grad():
        pipeline.text_encoder(torch.zeros(1, 32, dtype=torch.long))

    assert pipeline.text_encoder is encoder
    assert before.missing == ("text_encoder is compiled, but its compiled code has not run",)
    assert state_of(recipe, pipeline) == OptimizationState(
        name=recipe, found=f"compiled code ran for text_encoder{TRACED}"
    )


def test_regional_compilation_compiles_every_repeated_block() -> None:
    """The blocks are compiled, the denoiser itself is not."""
    recipe = "compile(target=['denoiser'], regional=True, backend='eager')"
    pipeline = Pipeline()
    parse_recipe(recipe).apply(pipeline)
    before = state_of(recipe, pipeline)
    pipeline.run()

    assert before.missing == ("unet is compiled, but its compiled code has not run",)
    assert state_of(recipe, pipeline).found == "compiled code ran for denoiser"
    assert state_of(recipe, pipeline).missing == ()
    assert state_of("compile(target=['unet'])", pipeline).missing == ("unet is not compiled",)


def test_one_uncompiled_block_is_reported() -> None:
    """Regional compilation must compile all blocks."""
    recipe = "compile(target=['denoiser'], regional=True)"
    pipeline = Pipeline()
    parse_recipe(recipe).apply(pipeline)
    pipeline.unet.blocks.append(Block())
    pipeline.run()

    assert state_of(recipe, pipeline).missing == ("unet is not compiled",)


def test_regional_compilation_needs_a_list_of_repeated_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A denoiser without one is rejected."""
    monkeypatch.setattr(Denoiser, "_repeated_blocks", None)

    with pytest.raises(RecipeError) as error:
        parse_recipe("compile(regional=True)").apply(Pipeline())

    assert str(error.value) == "compile(regional=True) needs a list of repeated blocks, and Denoiser has none"


@pytest.mark.parametrize("target", ["unit", "vae.encode", "device", "vae.layer.forward"])
def test_a_target_that_is_neither_module_nor_method_is_refused(target: str) -> None:
    """The message shows the target as written."""
    with pytest.raises(RecipeError) as error:
        parse_recipe(f"compile(target=[{target!r}])").apply(Pipeline())

    assert (
        str(error.value)
        == f"compile(target=...) must name a module of the pipeline or one of its methods, got: {target!r}"
    )


NO_PARAMETER = {
    'compile(target=["denoiser"], dynamic_shapes={"y": ["n", None]})': (
        "compile(dynamic_shapes=...) names 'y', which is no parameter of unet; known: x"
    ),
    'compile(dynamic_shapes={"x": ["n", None], "sample": ["n"]})': (
        "compile(dynamic_shapes=...) names 'sample', which is no parameter of unet; known: x"
    ),
    'compile(target=["denoiser"], regional=True, dynamic_shapes={"y": ["n", None]})': (
        "compile(dynamic_shapes=...) names 'y', which is no parameter of Block; known: x"
    ),
}


@pytest.mark.parametrize("text", NO_PARAMETER)
def test_shapes_of_what_is_no_parameter_are_refused(text: str) -> None:
    """The message shows the parameters."""
    with pytest.raises(RecipeError) as error:
        parse_recipe(text).apply(Pipeline())

    assert str(error.value) == NO_PARAMETER[text]


@pytest.mark.parametrize("regional", ["", ", regional=True"])
def test_named_sizes_vary_without_another_compilation(regional: str) -> None:
    """The whole denoiser, and each of its blocks; another size is compiled once more."""
    pipeline = Pipeline()
    parse_recipe(f'compile(target=["denoiser"]{regional}, dynamic_shapes={{"x": ["rows", None]}})').apply(pipeline)
    with torch.no_grad():
        for rows in (2, 3, 5, 8):
            pipeline.unet(torch.ones(rows, 4))

    forward = Block.forward if regional else Denoiser.forward
    assert compiled_code_count(forward.__code__) == 1


EXCLUDED = {
    "dynamic=True": "compile takes dynamic_shapes or dynamic=True, and not both",
    'regional="accelerate"': 'compile takes dynamic_shapes or regional="accelerate", and not both',
}


@pytest.mark.parametrize("other", EXCLUDED)
def test_options_that_exclude_named_sizes(other: str) -> None:
    """Before a pipeline is built."""
    with pytest.raises(RecipeError) as error:
        parse_recipe(f'compile(dynamic_shapes={{"x": ["n"]}}, {other})')

    assert str(error.value) == EXCLUDED[other]


@pytest.mark.parametrize("option", ['dynamic_shapes={"x": ["n"]}', "isolate_recompiles=True"])
def test_options_that_this_torch_lacks(monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    """The message names both releases."""
    monkeypatch.setattr(compilation, "HAS_SHAPES", False)
    monkeypatch.setattr(compilation, "ISOLATES_RECOMPILES", False)
    with pytest.raises(RecipeError) as error:
        parse_recipe(f"compile({option})")

    name = option.partition("=")[0]
    assert str(error.value) == f"compile({name}=...) needs torch 2.13 or newer, and this is torch {torch.__version__}"


def test_a_pipeline_without_a_denoiser_is_refused() -> None:
    """The default target `denoiser` needs a UNet or a transformer."""

    class Encoder:
        def __init__(self) -> None:
            self.components = {"vae": Vae()}

    with pytest.raises(PipelineError) as error:
        parse_recipe("compile").apply(Encoder())

    assert str(error.value) == "a pipeline must have a unet or a transformer, got Encoder with: vae"


@pytest.mark.parametrize(
    ("text", "device", "options"),
    [
        ("compile", "cpu", {"fullgraph": False, "dynamic": None, "backend": trace_only}),
        ("compile(mode='max-autotune')", "cpu", {"fullgraph": False, "dynamic": None, "backend": trace_only}),
        ("compile(backend='eager')", "cpu", {"fullgraph": False, "dynamic": None, "backend": "eager"}),
        (
            "compile(isolate_recompiles=True)",
            "cpu",
            {"fullgraph": False, "dynamic": None, "isolate_recompiles": True, "backend": trace_only},
        ),
        ("compile", "cuda", {"fullgraph": False, "dynamic": None}),
        (
            "compile(mode='max-autotune', fullgraph=True, dynamic=True)",
            "cuda",
            {"fullgraph": True, "dynamic": True, "mode": "max-autotune"},
        ),
    ],
)
def test_options_of_torch_compile(
    monkeypatch: pytest.MonkeyPatch, text: str, device: str, options: dict[str, object]
) -> None:
    """Inductor and its mode on a GPU; elsewhere the tracing backend, unless a backend is named."""
    calls: list[dict[str, object]] = []
    pipeline = Pipeline()
    pipeline.device = torch.device(device)

    def compile_nothing(function: Any, **given: object) -> Any:
        calls.append(given)
        return function

    monkeypatch.setattr(torch, "compile", compile_nothing)
    monkeypatch.setattr(pipeline.unet, "compile", lambda **given: calls.append(given))
    parse_recipe(text).apply(pipeline)

    assert calls == [options, options]


def test_the_state_on_a_gpu_does_not_mention_tracing() -> None:
    """On a GPU the code is compiled by Inductor."""
    pipeline = Pipeline()
    pipeline.device = torch.device("cuda")

    assert state_of("compile", pipeline).found == "compiled code ran for nothing"
