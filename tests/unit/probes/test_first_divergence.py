"""The module where two pipelines part is found, however deep it is."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.first_divergence import first_diverging_module


class Block(torch.nn.Module):
    """Two layers in a list, as blocks of a UNet have them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList([torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)])

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Run both."""
        for layer in self.layers:
            hidden = hidden + layer(hidden)
        return hidden


class Decoder(torch.nn.Module):
    """Called by another name than `forward`, as a VAE is."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = torch.nn.Linear(8, 3)

    def decode(self, hidden: torch.Tensor) -> torch.Tensor:
        """Draw."""
        drawn: torch.Tensor = self.decoder(hidden)
        return drawn


class Pipeline:
    """Three steps of two blocks, then the decoder."""

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.components: dict[str, Any] = {"unet": torch.nn.Sequential(Block(), Block()), "vae": Decoder()}

    def progress_bar(self, iterable: Any = None, total: int | None = None) -> Any:
        """Iterate, as tqdm would."""
        assert total is None
        return _Bar(iterable)

    @torch.no_grad()
    def __call__(self) -> torch.Tensor:
        """Draw."""
        hidden = torch.ones(1, 8)
        for _ in self.progress_bar(range(3)):
            hidden = self.components["unet"](hidden)
        drawn: torch.Tensor = self.components["vae"].decode(hidden)
        return drawn


class _Bar(SimpleNamespace):
    def __init__(self, iterable: Any) -> None:
        super().__init__(iterable=iterable)

    def __iter__(self) -> Any:
        return iter(self.iterable)


def injected(path: str, *, from_call: int = 0) -> Pipeline:
    """Return a pipeline with one module that doubles what it gives, from one of its calls on."""
    pipeline, calls = Pipeline(), iter(range(100))
    component, _, rest = path.partition(".")
    module = pipeline.components[component].get_submodule(rest)
    original = module.forward
    # in the place of `forward`, where hooks see what it gives
    vars(module)["forward"] = lambda *args: original(*args) * (2 if next(calls) % 3 >= from_call else 1)
    return pipeline


def call(pipeline: Any) -> object:
    """Make the one call."""
    return pipeline()


@pytest.mark.parametrize(
    ("path", "step"),
    [("unet.1.layers.0", 0), ("unet.0.layers.1", 0), ("unet.1", 0), ("vae.decoder", None)],
    ids=["in a list", "later in a list", "a block that is wrong itself", "behind the loop"],
)
def test_the_innermost_module_is_named(path: str, step: int | None) -> None:
    """With its class, and the step of the denoise loop; its inputs agree."""
    found = first_diverging_module(injected(path), Pipeline(), call)

    assert found is not None
    assert found.module == path
    assert found.module_type in {"Linear", "Block"}
    assert found.step == step
    assert found.input_error < 0.01 < found.relative_error


def test_the_first_step_that_is_wrong_is_named() -> None:
    """A module may be right at first."""
    found = first_diverging_module(injected("unet.0.layers.0", from_call=1), Pipeline(), call)

    assert found is not None
    assert (found.module, found.step) == ("unet.0.layers.0", 1)


def test_pipelines_that_agree_have_no_such_module() -> None:
    """Nor are hooks left behind."""
    ours, theirs = Pipeline(), Pipeline()

    assert first_diverging_module(ours, theirs, call) is None
    assert not any(module._forward_hooks for module in ours.components["unet"].modules())


def test_what_is_compiled_is_looked_into() -> None:
    """It runs uncompiled meanwhile, and is compiled again afterwards."""
    pipeline = injected("unet.1.layers.0")
    pipeline.components["unet"].compile(backend="eager")
    found = first_diverging_module(pipeline, Pipeline(), call)

    assert found is not None
    assert found.module == "unet.1.layers.0"
    assert pipeline.components["unet"]._compiled_call_impl is not None


def test_a_function_has_no_modules() -> None:
    """The error says what was given."""
    with pytest.raises(ProbeError) as error:
        first_diverging_module(len, Pipeline(), call)

    assert str(error.value) == (
        "to find the module where images part, both must hold modules, got: builtin_function_or_method"
    )
