"""Inductor's flags are set while the pipeline is compiled, and its cache is reused by the next run."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._inductor.config as inductor_config
from torch import nn

from pytest_diffopt.errors import RecipeError, RecipeWarning
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.recipe import call_context


class Denoiser(nn.Module):
    """A custom module, because Dynamo skips torch's own modules."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute something."""
        return torch.relu(self.layer(x))


class Pipeline:
    """The part of a pipeline that the optimizations use, and a call."""

    def __init__(self) -> None:
        self.unet = Denoiser()
        self.device = torch.device("cpu")

    @property
    def components(self) -> dict[str, nn.Module]:
        """The modules by name."""
        return {"unet": self.unet}

    def __call__(self) -> torch.Tensor:
        """Call the compiled module."""
        with torch.no_grad():
            result: torch.Tensor = self.unet(torch.ones(2, 4))
        return result


@pytest.fixture(autouse=True)
def _forget_compiled_code() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def refusal(text: str) -> str:
    """Parse an invalid recipe and return the message."""
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            "{'use_mixed_mm': True}",
            (
                "inductor flag 'use_mixed_mm' has no effect since torch 2.7: remove it; "
                "prologue_fusion, which is on by default, fuses the cast into the matmul"
            ),
        ),
        (
            "{'force_mixed_mm': True}",
            (
                "inductor flag 'force_mixed_mm' has no effect since torch 2.5: remove it; "
                "prologue_fusion, which is on by default, fuses the cast into the matmul"
            ),
        ),
        (
            "{'conv_1x1_as_m': True}",
            f"torch {torch.__version__} has no inductor flag 'conv_1x1_as_m' (did you mean 'conv_1x1_as_mm'?)",
        ),
        ("{'conv_1x1_as_mm': 1}", "inductor flag 'conv_1x1_as_mm' takes bool, got: 1"),
        ("{}", 'inductor(flags=...) must name at least one flag, as in {"conv_1x1_as_mm": True}, got: {}'),
    ],
)
def test_a_flag_that_would_be_ignored_is_refused(flags: str, message: str) -> None:
    """The message names the flag, the version that removed it and the replacement."""
    assert refusal(f"inductor(flags={flags})") == message


def test_the_flags_of_the_article_are_accepted() -> None:
    """Five of the article's six flags still have an effect."""
    names = [
        "conv_1x1_as_mm",
        "coordinate_descent_tuning",
        "epilogue_fusion",
        "coordinate_descent_check_all_directions",
        "force_fuse_int_mm_with_mul",
    ]

    assert parse_recipe(f"inductor(flags={dict.fromkeys(names, True)})")


def test_flags_are_set_only_during_calls() -> None:
    """Compilation happens in a call; after it the flags are restored."""
    pipeline = Pipeline()
    parse_recipe("inductor(flags={'conv_1x1_as_mm': True}) + compile(target=['unet'], backend='eager')").apply(pipeline)
    with call_context(pipeline):
        during = inductor_config.conv_1x1_as_mm

    assert (during, inductor_config.conv_1x1_as_mm) == (True, False)


def test_flags_without_a_compilation_are_reported() -> None:
    """The flags had no effect, because nothing was compiled."""
    pipeline = Pipeline()
    recipe = parse_recipe("inductor(flags={'conv_1x1_as_mm': True}) + compile(target=['unet'], backend='eager')")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline)[0].missing == ("nothing was compiled since the recipe was applied",)


def test_flags_without_compile_warn() -> None:
    """Only a compiler reads them."""
    with pytest.warns(RecipeWarning, match="inductor has no benefit without compile: only a compiler reads it"):
        parse_recipe("inductor(flags={'conv_1x1_as_mm': True})").apply(Pipeline())


def test_a_cache_needs_a_folder(tmp_path: Path) -> None:
    """The folder must be named and writable."""
    (tmp_path / "file").touch()

    assert refusal("compile_cache") == "compile_cache(folder=...) must name a folder, got: ''"
    with pytest.raises(RecipeError, match="must name a writable folder"):
        parse_recipe(f"compile_cache(folder={str(tmp_path / 'file')!r}) + compile").apply(Pipeline())


def test_an_empty_cache_is_reported(tmp_path: Path) -> None:
    """Only Inductor stores compiled graphs."""
    pipeline = Pipeline()
    recipe = parse_recipe(f"compile_cache(folder={str(tmp_path)!r}) + compile(target=['unet'], backend='eager')")
    recipe.apply(pipeline)
    pipeline()

    assert recipe.verify(pipeline)[0].found == f"0 compiled graphs in {tmp_path}"
    assert recipe.verify(pipeline)[0].missing == (
        f"{tmp_path} contains no compiled graph; only the inductor backend stores any",
    )


def test_a_cache_that_is_not_in_use_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run does not find compiled code in another folder."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/elsewhere")
    (state,) = parse_recipe(f"compile_cache(folder={str(tmp_path)!r})").verify(Pipeline())

    assert state.missing[1] == "compiled code is stored in /elsewhere while the pipeline runs"


def test_inductor_stores_its_graph_and_reuses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second compilation is a cache hit; outside of calls Inductor uses another folder."""
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    text = f"compile_cache(folder={str(tmp_path)!r}) + compile(target=['unet'], backend='inductor')"
    states, hits = [], []
    for _ in range(2):
        torch.compiler.reset()
        pipeline, recipe = Pipeline(), parse_recipe(text)
        recipe.apply(pipeline)
        before = _cache_hits()
        pipeline()
        states.append(recipe.verify(pipeline)[0])
        hits.append(_cache_hits() - before)

    assert [(state.found, state.missing) for state in states] == [(f"1 compiled graphs in {tmp_path}", ())] * 2
    assert hits[0] == 0 < hits[1]
    assert os.environ.get("TORCHINDUCTOR_CACHE_DIR") != str(tmp_path)


def _cache_hits() -> int:
    counters: Any = torch._dynamo.utils.counters
    return int(counters["inductor"]["fxgraph_cache_hit"] + counters["aot_autograd"]["autograd_cache_hit"])
