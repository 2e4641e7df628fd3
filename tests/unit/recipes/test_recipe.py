"""A recipe changes one pipeline, once, and sets torch's global state only while that pipeline runs."""

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
    """Return the global state that a call context changes."""
    cuda: Any = torch.backends.cuda
    return torch.get_float32_matmul_precision(), cuda.flash_sdp_enabled(), cuda.math_sdp_enabled()


BEFORE = ("highest", True, True)
DURING = ("high", False, True)


def test_a_whole_stack_is_applied_and_verified(pipeline: Any) -> None:
    """Each optimization is still found after the later ones, and the pipeline draws."""
    recipe = parse_recipe("bf16 + sdpa + channels_last + fuse_qkv")
    applied = recipe.apply(pipeline)

    assert applied is pipeline
    assert [state.name for state in recipe.verify(pipeline)] == ["bf16", "sdpa", "channels_last", "fuse_qkv"]
    assert [line for state in recipe.verify(pipeline) for line in state.missing] == []
    assert pipeline(**INPUTS).images.shape == (1, 64, 64, 3)


def test_recipe_of_returns_the_applied_recipe(pipeline: Any) -> None:
    """It returns None for a pipeline without a recipe and for any other object."""
    recipe = parse_recipe("bf16")
    before = recipe_of(pipeline)
    recipe.apply(pipeline)

    assert before is None
    assert recipe_of(pipeline) is recipe
    assert recipe_of(len) is None
    assert recipe_of(3) is None


def test_a_second_recipe_is_refused(pipeline: Any) -> None:
    """The first recipe remains, so that the expected optimizations are unambiguous."""
    recipe = parse_recipe("bf16 + sdpa")
    recipe.apply(pipeline)

    with pytest.raises(RecipeError) as error:
        parse_recipe("fp16").apply(pipeline)

    assert str(error.value) == ("a pipeline takes one recipe: this StableDiffusionXLPipeline already has bf16 + sdpa")
    assert recipe_of(pipeline) is recipe
    assert pipeline.unet.dtype == torch.bfloat16


def test_the_same_recipe_twice_is_refused(pipeline: Any) -> None:
    """Fusing or compiling twice has no benefit."""
    recipe = parse_recipe("sdpa")
    recipe.apply(pipeline)

    with pytest.raises(RecipeError, match="a pipeline takes one recipe"):
        recipe.apply(pipeline)


def test_a_call_sets_and_restores_the_global_state(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state is set in each call and restored between calls."""
    seen: list[tuple[str, bool, bool]] = []
    parse_recipe(IN_CONTEXT).apply(pipeline)
    decode = pipeline.vae.decode

    def recording_decode(*args: Any, **kwargs: Any) -> Any:
        seen.append(torch_state())
        return decode(*args, **kwargs)

    monkeypatch.setattr(pipeline.vae, "decode", recording_decode)
    pipeline(**INPUTS)
    between = torch_state()
    pipeline(**INPUTS)

    assert seen == [DURING, DURING]
    assert (between, torch_state()) == (BEFORE, BEFORE)


def test_a_failing_call_restores_the_global_state(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later pipelines of the process are not affected."""

    def fail(*_args: Any, **_kwargs: Any) -> None:
        message = f"injected in {torch_state()}"
        raise RuntimeError(message)

    parse_recipe(IN_CONTEXT).apply(pipeline)
    monkeypatch.setattr(pipeline.unet, "forward", fail)

    with pytest.raises(RuntimeError) as error:
        pipeline(**INPUTS)

    assert str(error.value) == f"injected in {DURING}"
    assert torch_state() == BEFORE


def test_another_pipeline_of_the_same_class_is_not_affected(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state is set only for the pipeline with the recipe."""
    seen: list[tuple[str, bool, bool]] = []
    parse_recipe(IN_CONTEXT).apply(pipeline)
    other = tiny_sdxl()
    decode = other.vae.decode

    def recording_decode(*args: Any, **kwargs: Any) -> Any:
        seen.append(torch_state())
        return decode(*args, **kwargs)

    monkeypatch.setattr(other.vae, "decode", recording_decode)
    other(**INPUTS)

    assert seen == [BEFORE]


def test_the_call_context_can_be_entered_without_a_call(pipeline: Any) -> None:
    """Parts of a pipeline are timed inside its call context."""
    parse_recipe(IN_CONTEXT).apply(pipeline)

    with call_context(pipeline):
        during = torch_state()

    assert (during, torch_state()) == (DURING, BEFORE)


def test_a_pipeline_keeps_its_class(pipeline: Any) -> None:
    """The class name, which diffusers reads, and `isinstance` do not change."""
    parse_recipe(IN_CONTEXT).apply(pipeline)

    assert isinstance(pipeline, StableDiffusionXLPipeline)
    assert type(pipeline).__name__ == "StableDiffusionXLPipeline"
    assert type(pipeline).__module__ == StableDiffusionXLPipeline.__module__
    assert pipeline.components.keys() == tiny_sdxl().components.keys()


def test_a_recipe_without_state_leaves_the_class_alone(pipeline: Any) -> None:
    """Only a pipeline that needs a call context gets a subclass."""
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
def test_the_reference_keeps_optimizations_that_draw_another_image(text: str, reference: str) -> None:
    """It keeps other schedulers and other models; optimizations that draw the same image are left out."""
    assert str(parse_recipe(text).reference()) == reference


def test_a_recipe_goes_on_from_its_reference(pipeline: Any) -> None:
    """What the reference has is not applied again; the contexts of both parts surround the call."""
    recipe = parse_recipe(f'scheduler(use="DDIMScheduler") + {IN_CONTEXT}')
    recipe.reference().apply(pipeline)
    scheduler = pipeline.scheduler
    recipe.apply_to_reference(pipeline)

    with call_context(pipeline):
        assert torch_state() == DURING
    assert pipeline.scheduler is scheduler
    assert recipe_of(pipeline) is recipe
    assert [line for state in recipe.verify(pipeline) for line in state.missing] == []


def test_a_plain_pipeline_is_like_a_reference(pipeline: Any) -> None:
    """The whole recipe is applied to it."""
    recipe = parse_recipe('scheduler(use="DDIMScheduler") + bf16')
    recipe.apply_to_reference(pipeline)

    assert recipe_of(pipeline) is recipe
    assert [line for state in recipe.verify(pipeline) for line in state.missing] == []


def test_a_recipe_does_not_go_on_from_another(pipeline: Any) -> None:
    """Optimizations could be applied twice or in the wrong order."""
    parse_recipe("bf16").apply(pipeline)
    with pytest.raises(RecipeError) as error:
        parse_recipe("channels_last").apply_to_reference(pipeline)

    assert str(error.value) == "channels_last starts from a pipeline without a recipe or with fp32, got one with bf16"
