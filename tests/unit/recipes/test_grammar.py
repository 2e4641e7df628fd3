"""The text of a recipe becomes a recipe, and the recipe writes the same text again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes.grammar import known_optimizations, parse_recipe
from pytest_diffopt.recipes.recipe import Recipe

MODES = ["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]


@st.composite
def recipe_texts(draw: st.DrawFn) -> str:
    """Write a valid recipe: at most one optimization a stage, in order, none that contradict each other."""
    precision = draw(st.sampled_from(["", "fp32", "tf32", "bf16", "fp16", "fp32 + tf32"]))
    attention = draw(st.sampled_from(["", "vanilla_attention", "sdpa", 'sdpa(backend="flash")']))
    layout = draw(st.sampled_from(["", "channels_last"]))
    projections = "" if attention == "vanilla_attention" else draw(st.sampled_from(["", "fuse_qkv"]))
    parts = [precision, attention, layout, projections, draw(compilations())]
    return " + ".join(filter(None, parts)) or "fp32"


@st.composite
def compilations(draw: st.DrawFn) -> str:
    """Write `compile` with any of its keywords, or nothing."""
    keywords = {
        "target": draw(st.sampled_from(["", '["denoiser"]', '["vae.decode", "unet"]'])),
        "mode": draw(st.sampled_from(["", *(f'"{mode}"' for mode in MODES)])),
        "fullgraph": draw(st.sampled_from(["", "True"])),
        "dynamic": draw(st.sampled_from(["", "True", "False"])),
        "regional": draw(st.sampled_from(["", "True"])),
        "backend": draw(st.sampled_from(["", '"eager"', '"inductor"'])),
    }
    given_keywords = ", ".join(f"{name}={value}" for name, value in keywords.items() if value)
    return draw(st.sampled_from(["", f"compile({given_keywords})" if given_keywords else "compile"]))


@settings(max_examples=200, deadline=None, database=None)
@given(recipe_texts())
def test_a_recipe_writes_the_text_that_it_was_read_from(text: str) -> None:
    """The canonical text is the one that people write, and reading it again gives an equal recipe."""
    recipe = parse_recipe(text)

    assert str(recipe) == text
    assert parse_recipe(str(recipe)) == recipe


@settings(max_examples=200, deadline=None, database=None)
@given(st.text(max_size=40))
def test_any_text_is_a_recipe_or_a_recipe_error(text: str) -> None:
    """Nothing that a person may mistype ends in an error of another kind, and nothing is evaluated."""
    try:
        recipe = parse_recipe(text)
    except RecipeError:
        return
    assert isinstance(recipe, Recipe)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("bf16+sdpa", "bf16 + sdpa"),
        (" bf16 + compile() ", "bf16 + compile"),
        ("compile(mode='default', fullgraph=False)", 'compile(mode="default")'),
        ("compile(target=('unet',))", 'compile(target=["unet"])'),
    ],
)
def test_other_spellings_have_one_canonical_text(text: str, canonical: str) -> None:
    """Blanks, quotes and defaults make no difference."""
    assert str(parse_recipe(text)) == canonical


def test_the_id_has_no_blanks_and_quotes() -> None:
    """Ids are typed on command lines."""
    recipe = parse_recipe('bf16 + compile(mode="max-autotune")')

    assert recipe.test_id == "bf16+compile(mode=max-autotune)"


def test_only_recipes_with_compile_compile() -> None:
    """A recipe that compiles is warmed up before its tests."""
    assert parse_recipe("bf16 + compile").compiles
    assert not parse_recipe("bf16 + sdpa").compiles


def test_every_known_name_is_a_recipe() -> None:
    """The names that an error message lists can be written as they stand."""
    for name in known_optimizations():
        assert str(parse_recipe(name)) == name
