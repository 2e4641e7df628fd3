"""Calls of denoisers and their operations are counted by step, whether the denoisers are compiled or not."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from pytest_diffopt.probes.denoise_loop import watch_denoise_loop
from pytest_diffopt.probes.denoiser_calls import DenoiserCalls, watch_denoisers
from pytest_diffopt.records import DenoiserEvidence
from tests.unit.probes.test_denoise_loop import Barless


class Counting(nn.Linear):
    """A denoiser whose operations are known."""

    def __init__(self, operations: list[int], each: int = 2) -> None:
        super().__init__(1, 1)
        self.operations, self.each = operations, each

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Count."""
        self.operations[0] += self.each
        return super().forward(x)


class OfItsOwn(Counting):
    """A module whose calls cannot be wrapped."""

    def __call__(self, *args: Any) -> Any:
        """Bypass torch."""
        return self.forward(*args)


class Pipeline:
    """Calls its denoisers in the steps that the test names."""

    def __init__(self, **components: nn.Module) -> None:
        self.components = components

    def run(self, calls: list[tuple[int | None, str]], operations: list[int]) -> DenoiserCalls:
        """Make calls, each as a step and the name of a component."""
        now: list[int | None] = [None]
        with watch_denoisers(self, lambda: now[0], lambda: operations[0]) as watched:
            for now[0], name in calls:
                self.components[name](torch.ones(1))
        return watched


def test_calls_and_operations_of_each_step() -> None:
    """Two denoisers, a step without one, another component, calls outside of the loop and after the last update."""
    total = [0]
    pipeline = Pipeline(transformer=Counting(total), transformer_2=Counting(total, 3), vae=Counting(total))
    calls = [(None, "transformer"), (0, "transformer"), (0, "vae"), (2, "transformer_2"), (3, "transformer_2")]
    found = pipeline.run(calls, total).evidence(3)

    assert found == DenoiserEvidence(
        calls={"transformer": (1, 0, 0), "transformer_2": (0, 0, 2)},
        operations={"transformer": (2, 0, 0), "transformer_2": (0, 0, 6)},
    )
    assert found.is_watched
    assert found.unwatched_steps == ()


def test_a_denoiser_without_operations_is_named_with_the_device_of_its_weights() -> None:
    """In one step of two."""
    total = [0]
    here, elsewhere = Counting(total), Counting(total, 0)
    found = Pipeline(unet_1=here, unet_2=elsewhere).run([(0, "unet_1"), (1, "unet_2")], total).evidence(2)

    assert found is not None
    assert not found.is_watched
    assert found.unwatched_steps == (1,)
    assert found.elsewhere == ("unet_2: weights on cpu",)


def test_a_denoiser_beside_another_one_in_the_same_step_is_not_covered_by_it() -> None:
    """The operations of each denoiser are its own."""
    total = [0]
    pipeline = Pipeline(transformer=Counting(total), transformer_2=Counting(total, 0))
    found = pipeline.run([(0, "transformer"), (0, "transformer_2"), (1, "transformer")], total).evidence(2)

    assert found is not None
    assert found.unwatched_steps == (0,)
    assert not found.is_watched


def test_a_call_that_enters_its_loop_belongs_to_it() -> None:
    """A loop without a progress bar starts with its first call of a denoiser."""
    pipeline = Barless()
    with watch_denoise_loop(pipeline) as loop, watch_denoisers(pipeline, lambda: loop.step) as watched:
        pipeline()

    assert watched.names_by_step(loop.num_steps) == ("transformer", "transformer", "transformer_2")


def test_the_names_of_a_second_call_are_not_asked_for() -> None:
    """As in a record of the first call alone; the steps of two calls are counted on."""
    pipeline = Barless()
    with watch_denoise_loop(pipeline) as loop, watch_denoisers(pipeline, lambda: loop.step) as watched:
        pipeline()
        pipeline()

    assert watched.names_by_step(6) == ("transformer", "transformer", "transformer_2") * 2


def test_a_target_without_denoisers_has_no_evidence() -> None:
    """Neither a module, nor a pipeline whose denoiser cannot be watched."""
    total = [0]
    with watch_denoisers(Counting(total), lambda: 0, lambda: 0) as watched:
        pass

    assert watched.evidence(1) is None
    assert watched.names_by_step(1) == ()
    assert Pipeline(unet=OfItsOwn(total)).run([(0, "unet")], total).evidence(1) is None


def compiled_in_place(module: nn.Module) -> nn.Module:
    """Return the module itself."""
    module.compile(backend="eager")
    return module


def wrapped_by_compile(module: nn.Module) -> nn.Module:
    """Return torch's wrapper of the module."""
    compiled: Any = torch.compile(module, backend="eager")
    assert isinstance(compiled, nn.Module)
    return compiled


@pytest.mark.parametrize("compile_it", [compiled_in_place, wrapped_by_compile])
def test_compiled_denoisers_are_watched_and_not_compiled_again(compile_it: Callable[[nn.Module], nn.Module]) -> None:
    """Afterwards their attributes are as before."""
    torch.compiler.reset()
    unet = compile_it(nn.Linear(1, 1))
    unet(torch.ones(1))
    before, graphs = dict(vars(unet)), torch._dynamo.utils.counters["stats"]["unique_graphs"]
    found = Pipeline(unet=unet).run([(0, "unet")], [0]).evidence(1)
    after = dict(vars(unet))
    unet(torch.ones(1))
    compiled = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    torch.compiler.reset()

    assert found is not None
    assert found.calls == {"unet": (1,)}
    assert after == before
    assert compiled == graphs
