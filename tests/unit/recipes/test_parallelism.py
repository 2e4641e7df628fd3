"""Parallelism is applied in a group of the right size, found in the live pipeline, and refused with the reason."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import distributed
from torch.testing._internal.distributed.fake_pg import FakeStore

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.optimization import Optimization
from pytest_diffopt.recipes.parallelism import ContextParallel, TensorParallel
from pytest_diffopt.records import CallEvidence, OperationKind, Operations

ULYSSES = "context_parallel(ulysses=2)"


def tiny(name: str) -> Any:
    """Build a tiny pipeline."""
    return build_pipeline(find_pipeline(name), Scale.TINY).pipeline


@pytest.fixture
def two_processes() -> Iterator[None]:
    """Join a group of two processes, of which only this one exists: no call can be made."""
    distributed.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
    yield
    distributed.destroy_process_group()


@pytest.fixture
def flux() -> Any:
    """Build a pipeline with both plans."""
    return tiny("flux")


def refusal(recipe: str, pipeline: Any = None) -> str:
    """Return why a recipe is refused, before or while it is applied."""
    with pytest.raises(RecipeError) as error:
        parse_recipe(recipe).apply(pipeline)
    return str(error.value)


APPLIED = {
    ULYSSES: ("5 of 5 attention layers exchange tokens", "0 of 5 attention layers exchange tokens"),
    "tensor_parallel": (
        "39 of 39 planned layers are split over 2 processes",
        "0 of 39 planned layers are split over 2 processes",
    ),
}
MISSING = {
    ULYSSES: ("the tokens of transformer are not split",),
    "tensor_parallel": ("39 of 39 planned layers of transformer have all weights",),
}


@pytest.mark.usefixtures("two_processes")
@pytest.mark.parametrize("recipe", APPLIED)
def test_it_is_found_where_it_was_applied(flux: Any, recipe: str) -> None:
    """Torch's accelerators and diffusers' list of devices are as before."""
    from diffusers.hooks import tensor_parallel  # noqa: PLC0415 - its list of devices is compared

    before = torch.accelerator.device_count, tensor_parallel._SUPPORTED_TP_DEVICES
    parsed = parse_recipe(recipe)
    parsed.apply(flux)
    (state,) = parsed.verify(flux)

    assert (state.found, state.missing) == (APPLIED[recipe][0], ())
    assert (torch.accelerator.device_count, tensor_parallel._SUPPORTED_TP_DEVICES) == before


@pytest.mark.parametrize("recipe", APPLIED)
def test_what_was_not_applied_is_reported(flux: Any, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe is not evidence."""
    parsed = parse_recipe(recipe)
    monkeypatch.setattr(type(parsed.optimizations[0]), "apply", lambda _self, _pipeline: None)
    parsed.apply(flux)
    (state,) = parsed.verify(flux)

    assert (state.found, state.missing) == (APPLIED[recipe][1], MISSING[recipe])


@pytest.mark.usefixtures("two_processes")
def test_layers_that_do_not_exchange_tokens_are_reported(flux: Any) -> None:
    """A processor that was replaced afterwards sees a part of the tokens, and the image is wrong without an error."""
    parsed = parse_recipe(ULYSSES)
    parsed.apply(flux)
    flux.transformer.transformer_blocks[0].attn.processor._parallel_config = None
    (state,) = parsed.verify(flux)

    assert state.found == "4 of 5 attention layers exchange tokens"
    assert state.missing == ("1 of 5 attention layers of transformer see the tokens of their own process only",)


@pytest.mark.usefixtures("two_processes")
def test_other_degrees_are_reported(flux: Any) -> None:
    """Those that the model has are named."""
    parse_recipe(ULYSSES).apply(flux)
    state = ContextParallel(ulysses=4).verify(flux)

    assert state.missing == ("the tokens of transformer are split by ulysses=2, ring=1",)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            "context_parallel",
            "context_parallel must split the tokens over at least 2 processes, got: ulysses=1, ring=1; write ulysses=2",
        ),
        (
            "context_parallel(ulysses=-2, ring=-2)",
            "context_parallel must split the tokens over at least 2 processes, got: ulysses=-2, ring=-2; "
            "write ulysses=2",
        ),
        (
            "context_parallel(ulysses=2, ring=2, anything=True)",
            "context_parallel(anything=True) takes ulysses or ring, got both: "
            "context_parallel(ulysses=2, ring=2, anything=True)",
        ),
        ("tensor_parallel(degree=1)", "tensor_parallel(degree=...) must be at least 2, got: 1"),
        (
            f"first_block_cache + {ULYSSES}",
            "context_parallel and first_block_cache contradict each other (each process decides by its own tokens, and "
            f"waits forever for one that decides otherwise), got: first_block_cache + {ULYSSES}",
        ),
        (
            f"{ULYSSES} + tensor_parallel",
            "context_parallel and tensor_parallel contradict each other (diffusers gives a model one kind of "
            f"parallelism), got: {ULYSSES} + tensor_parallel",
        ),
        (
            "int8_weight_only + tensor_parallel",
            "tensor_parallel and int8_weight_only contradict each other (diffusers cannot split packed weights), got: "
            "int8_weight_only + tensor_parallel",
        ),
        (
            "tensor_parallel + model_offload",
            "tensor_parallel and model_offload contradict each other (each process keeps its part of the weights on "
            "its device), got: tensor_parallel + model_offload",
        ),
        (
            "fuse_qkv + tensor_parallel",
            "tensor_parallel and fuse_qkv contradict each other (diffusers splits Q, K and V, and not the fused "
            "layer), got: fuse_qkv + tensor_parallel",
        ),
        (
            "compile + tensor_parallel",
            "tensor_parallel must come before compile, got: compile + tensor_parallel; the right order is: "
            "tensor_parallel + compile",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(recipe: str, message: str) -> None:
    """Before a pipeline is built."""
    assert refusal(recipe) == message


def test_without_a_process_group_it_is_refused(flux: Any) -> None:
    """The message has both ways to start the processes."""
    assert refusal(ULYSSES, flux) == (
        f"{ULYSSES} needs a process group of 2 processes, got: none; let assert_same_images_in_parallel start them, or "
        "start them with torchrun and call torch.distributed.init_process_group() before"
    )


@pytest.mark.usefixtures("two_processes")
def test_a_group_of_another_size_is_refused(flux: Any) -> None:
    """Else diffusers would leave some of the processes without work."""
    assert refusal("tensor_parallel(degree=4)", flux).startswith(
        "tensor_parallel(degree=4) needs a process group of 4 processes, got: 2; let "
    )


REFUSED = {
    (ULYSSES, "sdxl"): (
        "context_parallel needs diffusers' plan of how to split unet (_cp_plan), and UNet2DConditionModel has none"
    ),
    ("tensor_parallel", "wan-t2v-1.3b"): (
        "tensor_parallel needs diffusers' plan of how to split transformer (_tp_plan), and WanTransformer3DModel has "
        "none"
    ),
    (ULYSSES, "qwen-image"): (
        "context_parallel(ulysses=2) must divide the attention heads of transformer, got: 3; choose a divisor, or "
        "anything=True"
    ),
    ("tensor_parallel", "qwen-image"): (
        "tensor_parallel cannot be applied to transformer: `tp_degree` (2) must divide the number of attention heads "
        "(3)."
    ),
    ('attention_backend(backend="_native_math") + context_parallel(ulysses=2)', "flux"): (
        "context_parallel(ulysses=2) cannot be applied to transformer: Context parallelism is enabled but the "
        "attention processor 'FluxAttnProcessor' is using backend '_native_math' which does not support "
    ),
    ("lora + tensor_parallel", "flux"): (
        "tensor_parallel cannot be applied to transformer: 'FluxTransformer2DModel' has adapter (LoRA) layers injected"
    ),
}


@pytest.mark.usefixtures("two_processes")
@pytest.mark.parametrize(("recipe", "name"), REFUSED)
def test_a_pipeline_that_cannot_be_split_is_refused(recipe: str, name: str) -> None:
    """With diffusers' own reason where it has one."""
    assert refusal(recipe, tiny(name)).startswith(REFUSED[recipe, name])


def test_ring_is_refused_on_the_cpu_and_with_the_default_backend(flux: Any) -> None:
    """Neither returns the log-sum-exp by which partial results are merged."""
    assert refusal("context_parallel(ring=2)", flux) == (
        "context_parallel needs a GPU for ring: no attention kernel that diffusers uses on the CPU returns the "
        "log-sum-exp"
    )
    ring = ContextParallel(ring=2)
    assert ring.why_unavailable(torch.device("cuda")) == ""
    with pytest.raises(RecipeError) as error:
        ring.refuse_unsuited(flux)
    assert str(error.value) == (
        "context_parallel(ring=2) needs an attention backend that returns the log-sum-exp, got: native in transformer; "
        'write attention_backend(backend="_native_cudnn") before it'
    )


@pytest.mark.parametrize("kernel", ["_native_attention", "_native_flash_attention", "_cudnn_attention"])
def test_no_kernel_of_the_cpu_returns_the_log_sum_exp(kernel: str) -> None:
    """If diffusers gets one, ring attention can run on the CPU, and the reason above is wrong."""
    from diffusers.models import attention_dispatch  # noqa: PLC0415 - slow to import

    tokens, context = torch.ones(1, 4, 2, 8), SimpleNamespace(save_for_backward=lambda *_tensors: None)
    with pytest.raises((NotImplementedError, ValueError)):
        getattr(attention_dispatch, f"{kernel}_forward_op")(context, tokens, tokens, tokens, return_lse=True)


@pytest.mark.parametrize("optimization", [ContextParallel(ulysses=2), TensorParallel()], ids=str)
def test_the_others_run_on_the_cpu(optimization: Optimization) -> None:
    """Only ring attention needs the log-sum-exp."""
    assert optimization.why_unavailable(torch.device("cpu")) == ""


def collective(step: int | None, module: str = "transformer.proj_out", moved: int = 8) -> Operations:
    """Return the evidence of two equal collectives."""
    return Operations(
        kind=OperationKind.COLLECTIVE, name="c10d::x", module=module, step=step, count=2, moved_bytes=moved
    )


EFFECTS: dict[str, tuple[tuple[Operations, ...], tuple[Any, ...]]] = {
    "each step": ((collective(0), collective(1, moved=6)), (4, {"": (2, 2)}, (8, 6), ())),
    "one step": ((collective(0),), (2, {"": (2, 0)}, (8, 0), ("nothing in steps 1 of 2",))),
    "elsewhere": ((collective(None, "vae.decoder"),), (0, {}, (), ())),
    "none": ((), (0, {}, (), ())),
}


@pytest.mark.parametrize("seen", EFFECTS)
def test_the_effect_is_collectives_of_the_denoiser(flux: Any, seen: str) -> None:
    """With the bytes of each step; none is no effect."""
    operations, expected = EFFECTS[seen]
    effect = TensorParallel().effect(flux, CallEvidence(device="cpu", num_steps=2, operations=operations))

    assert effect.figure == "collectives"
    assert (effect.value, dict(effect.per_step), effect.bytes_per_step, effect.lacking) == expected
    assert effect.has_none == (seen != "each step")
