"""A recipe changes one pipeline, once, and torch's global state only while that pipeline runs."""

from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.recipe import call_context, recipe_of
from tests.unit.tiny_pipelines import INPUTS, tiny_sdxl

IN_CONTEXT = 'tf32 + sdpa(backend="math")'


def torch_state() -> tuple[str, bool, bool]:
    """Read the global state that a call context changes."""
    cuda: Any = torch.backends.cuda
    return torch.get_float32_matmul_precision(), cuda.flash_sdp_enabled(), cuda.math_sdp_enabled()


BEFORE = ("highest", True, True)
DURING = ("high", False, True)


def test_a_whole_stack_is_applied_and_verified(pipeline: Any) -> None:
    """Each optimization survives the ones after it, and the pipeline still draws."""
    recipe = parse_recipe("bf16 + sdpa + channels_last + fuse_qkv")
    applied = recipe.apply(pipeline)

    assert applied is pipeline
    assert [state.name for state in recipe.verify(pipeline)] == ["bf16", "sdpa", "channels_last", "fuse_qkv"]
    assert [line for state in recipe.verify(pipeline) for line in state.missing] == []
    assert pipeline(**INPUTS).images.shape == (1, 64, 64, 3)


def test_a_pipeline_knows_its_recipe(pipeline: Any) -> None:
    """Who meets it later can ask what it must have; a pipeline without one has none, nor has any other object."""
    recipe = parse_recipe("bf16")
    before = recipe_of(pipeline)
    recipe.apply(pipeline)

    assert before is None
    assert recipe_of(pipeline) is recipe
    assert recipe_of(len) is None
    assert recipe_of(3) is None


def test_a_second_recipe_is_refused(pipeline: Any) -> None:
    """Nobody could say any more which optimizations a pipeline must have; the first one is left as it is."""
    recipe = parse_recipe("bf16 + sdpa")
    recipe.apply(pipeline)

    with pytest.raises(RecipeError) as error:
        parse_recipe("fp16").apply(pipeline)

    assert str(error.value) == (
        "a pipeline takes one recipe: this StableDiffusionXLPipeline already carries bf16 + sdpa"
    )
    assert recipe_of(pipeline) is recipe
    assert pipeline.unet.dtype == torch.bfloat16


def test_the_same_recipe_twice_is_refused(pipeline: Any) -> None:
    """Fusing or compiling twice is no optimization."""
    recipe = parse_recipe("sdpa")
    recipe.apply(pipeline)

    with pytest.raises(RecipeError, match="a pipeline takes one recipe"):
        recipe.apply(pipeline)


def test_a_call_runs_in_its_recipes_state_and_leaves_none(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state holds in each call from its beginning to its end."""
    seen: list[tuple[str, bool, bool]] = []
    parse_recipe(IN_CONTEXT).apply(pipeline)
    decode = pipeline.vae.decode

    def looking_decode(*args: Any, **kwargs: Any) -> Any:
        seen.append(torch_state())
        return decode(*args, **kwargs)

    monkeypatch.setattr(pipeline.vae, "decode", looking_decode)
    pipeline(**INPUTS)
    between = torch_state()
    pipeline(**INPUTS)

    assert seen == [DURING, DURING]
    assert (between, torch_state()) == (BEFORE, BEFORE)


def test_a_call_that_fails_leaves_no_state_behind(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next pipeline of the process runs as if this one had never been there."""

    def fail(*_args: Any, **_kwargs: Any) -> None:
        message = f"injected in {torch_state()}"
        raise RuntimeError(message)

    parse_recipe(IN_CONTEXT).apply(pipeline)
    monkeypatch.setattr(pipeline.unet, "forward", fail)

    with pytest.raises(RuntimeError) as error:
        pipeline(**INPUTS)

    assert str(error.value) == f"injected in {DURING}"
    assert torch_state() == BEFORE


def test_another_pipeline_of_the_same_class_runs_in_no_state(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state belongs to the one pipeline that took the recipe."""
    seen: list[tuple[str, bool, bool]] = []
    parse_recipe(IN_CONTEXT).apply(pipeline)
    other = tiny_sdxl()
    decode = other.vae.decode

    def looking_decode(*args: Any, **kwargs: Any) -> Any:
        seen.append(torch_state())
        return decode(*args, **kwargs)

    monkeypatch.setattr(other.vae, "decode", looking_decode)
    other(**INPUTS)

    assert seen == [BEFORE]


def test_the_call_context_can_be_held_without_a_call(pipeline: Any) -> None:
    """Who times parts of a pipeline does so in the state of its calls."""
    parse_recipe(IN_CONTEXT).apply(pipeline)

    with call_context(pipeline):
        during = torch_state()

    assert (during, torch_state()) == (DURING, BEFORE)


def test_a_pipeline_keeps_its_class(pipeline: Any) -> None:
    """Diffusers looks at the class's name, and a user at `isinstance`; both find what they found before."""
    parse_recipe(IN_CONTEXT).apply(pipeline)

    assert isinstance(pipeline, StableDiffusionXLPipeline)
    assert type(pipeline).__name__ == "StableDiffusionXLPipeline"
    assert type(pipeline).__module__ == StableDiffusionXLPipeline.__module__
    assert pipeline.components.keys() == tiny_sdxl().components.keys()


def test_a_recipe_without_state_leaves_the_class_alone(pipeline: Any) -> None:
    """Only who needs a call context gets a class of its own."""
    parse_recipe("bf16 + sdpa").apply(pipeline)

    assert type(pipeline) is StableDiffusionXLPipeline


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("bf16 + sdpa + channels_last + fuse_qkv + compile", "fp32"),
        ("fp32", "fp32"),
        ('scheduler(use="DDIMScheduler") + begin_index + bf16', 'scheduler(use="DDIMScheduler") + fp32'),
        ("distilled + bf16 + compile", "distilled + fp32"),
        ("tiny_autoencoder + fp16", "tiny_autoencoder + fp32"),
    ],
)
def test_the_reference_keeps_what_is_meant_to_draw_another_image(text: str, reference: str) -> None:
    """Another scheduler and other models; whatever should draw the same image is left out."""
    assert str(parse_recipe(text).reference()) == reference
