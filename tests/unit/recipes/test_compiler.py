"""Inductor's flags hold while something is compiled, and its cache spares the next run the work."""

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
    """Dynamo leaves torch's own modules alone, so it is one of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute something."""
        return torch.relu(self.layer(x))


class Pipeline:
    """What the optimizations ask of a pipeline, and a call."""

    def __init__(self) -> None:
        self.unet = Denoiser()
        self.device = torch.device("cpu")

    @property
    def components(self) -> dict[str, nn.Module]:
        """The modules by name."""
        return {"unet": self.unet}

    def __call__(self) -> torch.Tensor:
        """Call what is compiled."""
        with torch.no_grad():
            result: torch.Tensor = self.unet(torch.ones(2, 4))
        return result


@pytest.fixture(autouse=True)
def _forget_compiled_code() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def refusal(text: str) -> str:
    """Read what is no recipe, and return the message."""
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            "{'use_mixed_mm': True}",
            (
                "inductor flag 'use_mixed_mm' does nothing since torch 2.7: leave it out; "
                "prologue_fusion, which is on by default, fuses the cast into the matmul"
            ),
        ),
        (
            "{'force_mixed_mm': True}",
            (
                "inductor flag 'force_mixed_mm' does nothing since torch 2.5: leave it out; "
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
    """By name, with the version that dropped it and what replaced it, before anything is built."""
    assert refusal(f"inductor(flags={flags})") == message


def test_a_flag_of_this_torch_is_known_to_it() -> None:
    """The article's five that are left."""
    names = [
        "conv_1x1_as_mm",
        "coordinate_descent_tuning",
        "epilogue_fusion",
        "coordinate_descent_check_all_directions",
        "force_fuse_int_mm_with_mul",
    ]

    assert parse_recipe(f"inductor(flags={dict.fromkeys(names, True)})")


def test_flags_hold_during_calls_alone() -> None:
    """Compilation happens in a call; before and after it the flags are what they were."""
    pipeline = Pipeline()
    parse_recipe("inductor(flags={'conv_1x1_as_mm': True}) + compile(target=['unet'], backend='eager')").apply(pipeline)
    with call_context(pipeline):
        during = inductor_config.conv_1x1_as_mm

    assert (during, inductor_config.conv_1x1_as_mm) == (True, False)


def test_flags_of_which_nothing_was_compiled_are_missed() -> None:
    """They were in force, and nobody looked at them."""
    pipeline = Pipeline()
    recipe = parse_recipe("inductor(flags={'conv_1x1_as_mm': True}) + compile(target=['unet'], backend='eager')")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline)[0].missing == ("nothing was compiled since the recipe was applied",)


def test_flags_alone_are_warned_of() -> None:
    """Nothing but a compiler reads them."""
    with pytest.warns(RecipeWarning, match="inductor without compile makes no sense: nothing but a compiler reads it"):
        parse_recipe("inductor(flags={'conv_1x1_as_mm': True})").apply(Pipeline())


def test_a_cache_needs_a_folder(tmp_path: Path) -> None:
    """One that is named, and can be made."""
    (tmp_path / "file").touch()

    assert refusal("compile_cache") == "compile_cache(folder=...) must name a folder, got: ''"
    with pytest.raises(RecipeError, match="must name a folder that can be written"):
        parse_recipe(f"compile_cache(folder={str(tmp_path / 'file')!r}) + compile").apply(Pipeline())


def test_a_cache_that_kept_nothing_is_missed(tmp_path: Path) -> None:
    """Another backend than Inductor keeps nothing."""
    pipeline = Pipeline()
    recipe = parse_recipe(f"compile_cache(folder={str(tmp_path)!r}) + compile(target=['unet'], backend='eager')")
    recipe.apply(pipeline)
    pipeline()

    assert recipe.verify(pipeline)[0].found == f"0 compiled graphs in {tmp_path}"
    assert recipe.verify(pipeline)[0].missing == (
        f"{tmp_path} holds no compiled graph: only the backend inductor keeps any",
    )


def test_a_cache_that_is_not_the_one_in_use_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code that is kept elsewhere is not found by the next run."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/elsewhere")
    (state,) = parse_recipe(f"compile_cache(folder={str(tmp_path)!r})").verify(Pipeline())

    assert state.missing[1] == "compiled code is kept in /elsewhere while the pipeline runs"


def test_inductor_keeps_its_graph_and_finds_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second compilation of the same code comes from the folder; outside of calls Inductor looks elsewhere."""
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
