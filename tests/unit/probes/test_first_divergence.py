"""Tests of the search for the first module whose output differs."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.first_divergence import first_diverging_module


class Block(torch.nn.Module):
    """Two layers in a list, as in blocks of a UNet."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList([torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)])

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Run both."""
        for layer in self.layers:
            hidden = hidden + layer(hidden)
        return hidden


class Decoder(torch.nn.Module):
    """Called through `decode` instead of `forward`, like a VAE."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = torch.nn.Linear(8, 3)

    def decode(self, hidden: torch.Tensor) -> torch.Tensor:
        """Decode."""
        image: torch.Tensor = self.decoder(hidden)
        return image


class Pipeline:
    """Three steps of two blocks, followed by the decoder."""

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.components: dict[str, Any] = {"unet": torch.nn.Sequential(Block(), Block()), "vae": Decoder()}

    def progress_bar(self, iterable: Any = None, total: int | None = None) -> Any:
        """Return an iterable, like tqdm."""
        assert total is None
        return _Bar(iterable)

    @torch.no_grad()
    def __call__(self) -> torch.Tensor:
        """Generate an image."""
        hidden = torch.ones(1, 8)
        for _ in self.progress_bar(range(3)):
            hidden = self.components["unet"](hidden)
        image: torch.Tensor = self.components["vae"].decode(hidden)
        return image


class _Bar(SimpleNamespace):
    def __init__(self, iterable: Any) -> None:
        super().__init__(iterable=iterable)

    def __iter__(self) -> Any:
        return iter(self.iterable)


def injected(path: str, *, from_call: int = 0) -> Pipeline:
    """Return a pipeline with one module that doubles its output, from one of its calls on."""
    pipeline, calls = Pipeline(), iter(range(100))
    component, _, rest = path.partition(".")
    module = pipeline.components[component].get_submodule(rest)
    original = module.forward
    # replaces `forward`, so that hooks see the doubled output
    vars(module)["forward"] = lambda *args: original(*args) * (2 if next(calls) % 3 >= from_call else 1)
    return pipeline


def call(pipeline: Any) -> object:
    """Call the pipeline."""
    return pipeline()


@pytest.mark.parametrize(
    ("path", "step"),
    [("unet.1.layers.0", 0), ("unet.0.layers.1", 0), ("unet.1", 0), ("vae.decoder", None)],
    ids=["in a list", "later in a list", "a block itself", "after the loop"],
)
def test_the_innermost_module_is_found(path: str, step: int | None) -> None:
    """The record has its class and denoise step; its inputs agree."""
    found = first_diverging_module(injected(path), Pipeline(), call)

    assert found is not None
    assert found.module == path
    assert found.module_type in {"Linear", "Block"}
    assert found.step == step
    assert found.input_error < 0.01 < found.relative_error


def test_the_first_differing_step_is_found() -> None:
    """A module may agree in earlier steps."""
    found = first_diverging_module(injected("unet.0.layers.0", from_call=1), Pipeline(), call)

    assert found is not None
    assert (found.module, found.step) == ("unet.0.layers.0", 1)


def test_equal_pipelines_have_no_diverging_module() -> None:
    """All hooks are removed afterwards."""
    ours, theirs = Pipeline(), Pipeline()

    assert first_diverging_module(ours, theirs, call) is None
    assert not any(module._forward_hooks for module in ours.components["unet"].modules())


def test_compiled_modules_are_searched_in_eager_mode() -> None:
    """Their compiled calls are restored afterwards."""
    pipeline = injected("unet.1.layers.0")
    pipeline.components["unet"].compile(backend="eager")
    found = first_diverging_module(pipeline, Pipeline(), call)

    assert found is not None
    assert found.module == "unet.1.layers.0"
    assert pipeline.components["unet"]._compiled_call_impl is not None


def test_a_function_is_refused() -> None:
    """The error states the type."""
    with pytest.raises(ProbeError) as error:
        first_diverging_module(len, Pipeline(), call)

    assert str(error.value) == (
        "the search for the diverging module needs pipelines or modules, got: builtin_function_or_method"
    )
