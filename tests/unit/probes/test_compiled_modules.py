"""Tests of the search for compiled parts of a pipeline, and of whether each was called."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from pytest_diffopt.probes.compile_log import CompileLog
from pytest_diffopt.probes.compiled_modules import compiled_modules, compiled_names, compiled_parts
from pytest_diffopt.records import CompiledModule, Subject

X = torch.ones(1, 2)


class Block(nn.Module):
    """A repeated block."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Double."""
        return x * 2


class VAE(nn.Module):
    """A module whose method is compiled."""

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """Halve."""
        return x / 2


class Pipeline:
    """An object with components."""

    def __init__(self) -> None:
        self.unet: Any = nn.Sequential(Block(), Block(), nn.Linear(2, 2))
        self.vae: Any = VAE()

    @property
    def components(self) -> dict[str, Any]:
        """Return the components, as in diffusers."""
        return {"unet": self.unet, "vae": self.vae, "scheduler": None}


@pytest.fixture(autouse=True)
def _forget_compiled_code() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def pipeline() -> Pipeline:
    """Return a pipeline that is not compiled."""
    return Pipeline()


def test_nothing_is_found_in_an_eager_pipeline(pipeline: Pipeline) -> None:
    """Nor for a bare function."""
    assert compiled_modules(pipeline, set()) == ()
    assert compiled_names(print) == ()


def test_blocks_of_one_class_are_grouped(pipeline: Pipeline) -> None:
    """The group has the number of blocks, and whether any was called."""
    for block in pipeline.unet[:2]:
        block.compile(backend="eager")
    before = compiled_modules(pipeline, set())
    pipeline.unet(X)

    assert before == (CompiledModule(name="unet Block", region="Block.forward", instances=2, has_run=False),)
    assert [one.has_run for one in compiled_modules(pipeline, set())] == [True]
    assert compiled_names(pipeline) == ("unet.0", "unet.1")


def test_compiled_methods_and_modules_are_found(pipeline: Pipeline) -> None:
    """A method, and a module wrapped by `torch.compile`."""
    pipeline.vae.decode = torch.compile(pipeline.vae.decode, backend="eager")
    pipeline.unet = torch.compile(pipeline.unet, backend="eager")

    assert [(one.name, one.region) for one in compiled_modules(pipeline, set())] == [
        ("unet", "Sequential.forward"),
        ("vae.decode", "VAE.decode"),
    ]


def test_a_compiled_function_is_its_only_part() -> None:
    """The target is a bare function."""
    compiled = torch.compile(Block().forward, backend="eager")

    assert [(one.name, one.region) for one in compiled_modules(compiled, set())] == [("forward", "Block.forward")]


def test_a_function_in_the_compile_log_has_run(pipeline: Pipeline) -> None:
    """Also when Dynamo was reset afterwards, or skipped the function."""
    pipeline.vae.decode = torch.compile(pipeline.vae.decode, backend="eager")

    assert [one.has_run for one in compiled_modules(pipeline, {"VAE.decode"})] == [True]


def test_a_separately_compiled_layer_of_torch_has_run(pipeline: Pipeline) -> None:
    """Dynamo compiles its own wrapper around the layer; the log still contains the layer's name."""
    pipeline.unet[2] = torch.compile(pipeline.unet[2], backend="eager")
    with CompileLog() as log:
        start = log.mark()
        pipeline.unet(X)
        regions = [frame.region for frame in log.since(start, Subject(pipeline="any")).frames]

    assert regions == ["Linear.forward"]
    assert compiled_modules(pipeline, set(regions)) == (
        CompiledModule(name="unet Linear", region="Linear.forward", instances=1, has_run=True),
    )


def test_a_module_with_orig_mod_but_no_compiled_code_is_not_compiled(pipeline: Pipeline) -> None:
    """Accelerate stores the original of a copied module as `_orig_mod`, the name used by torch's wrapper."""
    vars(pipeline.unet)["_orig_mod"] = nn.Sequential()

    assert compiled_modules(pipeline, set()) == ()


@pytest.mark.parametrize("kind", ["in place", "method", "wrapped"])
def test_a_compiled_part_is_replaced_within_the_block(pipeline: Pipeline, kind: str) -> None:
    """The replacement receives the path and both calls; afterwards the compiled call is restored."""
    if kind == "in place":
        pipeline.unet.compile(backend="eager")
    elif kind == "method":
        pipeline.vae.decode = torch.compile(pipeline.vae.decode, backend="eager")
    else:
        pipeline.unet = torch.compile(pipeline.unet, backend="eager")

    def call() -> Any:
        return pipeline.vae.decode(X) if kind == "method" else pipeline.unet(X)

    (part,) = compiled_parts(pipeline)
    expected = call()
    with part.replaced(lambda path, compiled, eager: lambda x: (path, compiled(x), eager(x))):
        path, compiled, eager = call()

    assert path == part.path
    assert torch.equal(compiled, expected)
    assert torch.equal(eager, expected)
    assert torch.equal(call(), expected)
