"""Changes of a LoRA last for one call, and leave the pipeline as it was."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model_state_dict

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines.lora_changes import lora_disabled, lora_loaded, lora_scaled, lora_variations
from pytest_diffopt.pipelines.sana import SANA
from pytest_diffopt.pipelines.scale import Scale

ROUNDING = 1e-5
INPUTS = SANA.inputs(Scale.TINY).varied("", num_inference_steps=1)


class Pipeline:
    """A pipeline that cannot load a LoRA."""


class PipelineWithLora:
    """The part of a pipeline that a change of a LoRA's scale uses."""

    def __init__(self) -> None:
        self.scales: list[tuple[str, float]] = []

    def get_active_adapters(self) -> list[str]:
        """Return the only adapter."""
        return ["style"]

    def set_adapters(self, name: str, scale: float) -> None:
        """Record the scale."""
        self.scales.append((name, scale))


def test_a_lora_scale_is_set_only_inside_the_block() -> None:
    """The scale is 1.0 afterwards."""
    pipeline = PipelineWithLora()
    with lora_scaled(0.5, adapter="style")(pipeline):
        during = list(pipeline.scales)

    assert during == [("style", 0.5)]
    assert pipeline.scales[-1] == ("style", 1.0)


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (PipelineWithLora(), r"no LoRA 'styl' is active \(did you mean 'style'\?\); active: style"),
        (Pipeline(), "lora_scaled needs a pipeline that can load a LoRA, got: Pipeline"),
    ],
)
def test_a_missing_lora_is_an_error(pipeline: Any, message: str) -> None:
    """The message lists the active ones."""
    with pytest.raises(PipelineError, match=message), lora_scaled(0.5, adapter="styl")(pipeline):
        pass


def test_lora_variations_have_one_call_per_scale() -> None:
    """The label gives the scale."""
    assert [one.label for one in lora_variations(INPUTS, adapter="style")] == ["LoRA scale 1.0", "LoRA scale 0.5"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lora_loaded("some/lora"), "lora_loaded needs a pipeline that can load a LoRA, got: Pipeline"),
        (lora_disabled(), "lora_disabled needs a pipeline that can load a LoRA, got: Pipeline"),
    ],
)
def test_a_pipeline_without_loras_is_an_error(change: Any, message: str) -> None:
    """The message has the class."""
    with pytest.raises(PipelineError, match=message), change(Pipeline()):
        pass


def random_lora(seed: int) -> dict[str, torch.Tensor]:
    """Return the weights of a LoRA of the transformer, as a file has them."""
    pipeline = tiny()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
        pipeline.transformer.add_adapter(config, adapter_name="random")
    weights = get_peft_model_state_dict(pipeline.transformer, adapter_name="random")
    return {f"transformer.{name}": value for name, value in weights.items()}


def tiny() -> Any:
    """Build a pipeline that can load a LoRA."""
    assert SANA.build_tiny
    pipeline: Any = SANA.build_tiny()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture
def pipeline() -> Any:
    """Build a pipeline with an active LoRA."""
    built = tiny()
    built.load_lora_weights(random_lora(0), adapter_name="style")
    built.set_adapters("style", 0.7)
    return built


def drawn(pipeline: Any) -> NDArray[np.float32]:
    """Return the image of a call."""
    image: NDArray[np.float32] = pipeline(**INPUTS).images
    return image


def is_the_same(image: NDArray[np.float32], before: NDArray[np.float32]) -> bool:
    """Return whether images differ by rounding at most: how memory is aligned decides the order of additions."""
    return bool(np.abs(image - before).max() < ROUNDING)


@pytest.mark.parametrize(
    "change",
    [
        lambda: lora_loaded(random_lora(1)),
        lambda: lora_loaded(random_lora(1), adapter="style", hotswap=True),
        lora_disabled,
    ],
    ids=["loaded", "swapped", "disabled"],
)
def test_a_change_draws_another_image_and_leaves_nothing_behind(pipeline: Any, change: Callable[[], Any]) -> None:
    """The image before and after is the same, also after an exception, and so are the adapters and layers."""
    before, layers = drawn(pipeline), [name for name, _layer in pipeline.transformer.named_modules()]
    with suppress(ZeroDivisionError), change()(pipeline):
        during = drawn(pipeline)
        1 // 0  # noqa: B018 - it raises

    assert not is_the_same(during, before)
    assert is_the_same(drawn(pipeline), before)
    assert pipeline.get_active_adapters() == ["style"]
    assert [name for name, _layer in pipeline.transformer.named_modules()] == layers


def test_the_first_lora_is_unloaded_completely() -> None:
    """The layers of the transformer are its own again."""
    pipeline = tiny()
    before, layers = drawn(pipeline), [name for name, _layer in pipeline.transformer.named_modules()]
    with lora_loaded(random_lora(1))(pipeline):
        during = drawn(pipeline)

    assert not is_the_same(during, before)
    assert is_the_same(drawn(pipeline), before)
    assert [name for name, _layer in pipeline.transformer.named_modules()] == layers


def test_a_scale_that_hot_swapping_made_a_tensor_is_restored_in_place() -> None:
    """Compiled code has it as an input: another object would be a recompile."""
    pipeline = tiny()
    pipeline.enable_lora_hotswap(target_rank=4)
    pipeline.load_lora_weights(random_lora(0), adapter_name="style")
    layer = next(one for one in pipeline.transformer.modules() if hasattr(one, "lora_B"))
    scale, value = layer.scaling["style"], layer.scaling["style"].clone()
    with lora_loaded(random_lora(1), adapter="style", hotswap=True)(pipeline):
        layer.scaling["style"].fill_(3.0)

    assert layer.scaling["style"] is scale
    assert torch.equal(scale, value)


def test_a_hot_swap_needs_an_active_lora(pipeline: Any) -> None:
    """The message suggests the closest name."""
    message = r"no LoRA 'stile' is active \(did you mean 'style'\?\); active: style"
    with (
        pytest.raises(PipelineError, match=message),
        lora_loaded(random_lora(1), adapter="stile", hotswap=True)(pipeline),
    ):
        pass
