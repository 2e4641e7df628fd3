"""Whatever is compiled in a pipeline is found, whoever compiled it, and whether it ran."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from pytest_diffopt.probes.compilation import CompileLog
from pytest_diffopt.probes.compiled_modules import compiled_modules, compiled_names, compiled_parts
from pytest_diffopt.records import CompiledModule, Subject

X = torch.ones(1, 2)


class Block(nn.Module):
    """What repeats."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Double."""
        return x * 2


class VAE(nn.Module):
    """A module whose method is compiled."""

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """Halve."""
        return x / 2


class Pipeline:
    """Anything with components."""

    def __init__(self) -> None:
        self.unet: Any = nn.Sequential(Block(), Block(), nn.Linear(2, 2))
        self.vae: Any = VAE()

    @property
    def components(self) -> dict[str, Any]:
        """Return them as diffusers does."""
        return {"unet": self.unet, "vae": self.vae, "scheduler": None}


@pytest.fixture(autouse=True)
def _forget_compiled_code() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def pipeline() -> Pipeline:
    """Make one, not compiled yet."""
    return Pipeline()


def test_nothing_compiled_is_nothing_found(pipeline: Pipeline) -> None:
    """Also of a bare function."""
    assert compiled_modules(pipeline, set()) == ()
    assert compiled_names(print) == ()


def test_blocks_of_one_kind_stand_together(pipeline: Pipeline) -> None:
    """With how many they are, and whether any ran."""
    for block in pipeline.unet[:2]:
        block.compile(backend="eager")
    before = compiled_modules(pipeline, set())
    pipeline.unet(X)

    assert before == (CompiledModule(name="unet Block", region="Block.forward", instances=2, has_run=False),)
    assert [one.has_run for one in compiled_modules(pipeline, set())] == [True]
    assert compiled_names(pipeline) == ("unet.0", "unet.1")


def test_a_method_a_whole_module_and_a_wrapped_module_are_found(pipeline: Pipeline) -> None:
    """Compiled in place, by attribute, and by what `torch.compile` gives."""
    pipeline.vae.decode = torch.compile(pipeline.vae.decode, backend="eager")
    pipeline.unet = torch.compile(pipeline.unet, backend="eager")

    assert [(one.name, one.region) for one in compiled_modules(pipeline, set())] == [
        ("unet", "Sequential.forward"),
        ("vae.decode", "VAE.decode"),
    ]


def test_a_compiled_function_is_its_own_part() -> None:
    """A bare target."""
    compiled = torch.compile(Block().forward, backend="eager")

    assert [(one.name, one.region) for one in compiled_modules(compiled, set())] == [("forward", "Block.forward")]


def test_a_function_that_was_seen_being_compiled_has_run(pipeline: Pipeline) -> None:
    """Also where Dynamo was reset since, or gave it up."""
    pipeline.vae.decode = torch.compile(pipeline.vae.decode, backend="eager")

    assert [one.has_run for one in compiled_modules(pipeline, {"VAE.decode"})] == [True]


def test_a_layer_of_torch_that_is_compiled_by_itself_has_run(pipeline: Pipeline) -> None:
    """Dynamo compiles a wrapper of its own around it, and the log names the layer all the same."""
    pipeline.unet[2] = torch.compile(pipeline.unet[2], backend="eager")
    with CompileLog() as log:
        start = log.mark()
        pipeline.unet(X)
        regions = [frame.region for frame in log.since(start, Subject(pipeline="any")).frames]

    assert regions == ["Linear.forward"]
    assert compiled_modules(pipeline, set(regions)) == (
        CompiledModule(name="unet Linear", region="Linear.forward", instances=1, has_run=True),
    )


def test_a_module_that_only_remembers_another_is_not_compiled(pipeline: Pipeline) -> None:
    """Accelerate notes the module that it made a copy of under the name that torch's wrapper has for it."""
    vars(pipeline.unet)["_orig_mod"] = nn.Sequential()

    assert compiled_modules(pipeline, set()) == ()


@pytest.mark.parametrize("kind", ["in place", "method", "wrapped"])
def test_something_else_answers_within_the_block(pipeline: Pipeline, kind: str) -> None:
    """It is told the path and both calls; afterwards all is as before."""
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
