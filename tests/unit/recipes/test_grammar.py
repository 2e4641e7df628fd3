"""A recipe has one text, and a text that is no recipe is told why."""

from typing import get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes.attention import Sdpa, VanillaAttention
from pytest_diffopt.recipes.compilation import Compile
from pytest_diffopt.recipes.grammar import known_optimizations, parse_recipe
from pytest_diffopt.recipes.layout import ChannelsLast
from pytest_diffopt.recipes.precision import Bf16, Fp16, Fp32, Tf32
from pytest_diffopt.recipes.projections import FuseQkv
from pytest_diffopt.recipes.recipe import Recipe

KNOWN = (
    "distilled, tiny_autoencoder, fp16_safe_vae, scheduler, begin_index, fp32, tf32, bf16, fp16, vae_upcast, "
    "vanilla_attention, attn_processor_2_0, sdpa, attention_backend, channels_last, pointwise_linears, fuse_qkv, "
    "int8_dynamic, int8_weight_only, int4_weight_only, fp8_dynamic, inductor, compile_cache, compile"
)
COMPILE_TAKES = "it takes: backend, dynamic, fullgraph, mode, regional, target"
BACKENDS = [*get_args(get_args(get_type_hints(Sdpa)["backend"])[0]), None]
MODES = [*get_args(get_args(get_type_hints(Compile)["mode"])[0]), None]

any_compile = st.builds(
    Compile,
    target=st.lists(st.text(), min_size=1).map(tuple),
    mode=st.sampled_from(MODES),
    fullgraph=st.booleans(),
    dynamic=st.sampled_from([None, True, False]),
    regional=st.booleans(),
    backend=st.none() | st.sampled_from(["eager", "aot_eager", "inductor"]),
)
stages = st.tuples(
    st.sampled_from([(), (Fp32(),), (Fp32(), Tf32()), (Tf32(),), (Bf16(),), (Fp16(),)]),
    st.one_of(st.just(()), st.builds(lambda backend: (Sdpa(backend=backend),), st.sampled_from(BACKENDS))),
    st.sampled_from([(), (ChannelsLast(),)]),
    st.sampled_from([(), (FuseQkv(),)]),
    st.one_of(st.just(()), any_compile.map(lambda one: (one,))),
)
recipes = stages.map(lambda parts: sum(parts, ())).filter(bool).map(lambda stack: Recipe(optimizations=stack))


def refusal(text: str) -> str:
    """Read what is no recipe, and return the message."""
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text)
    return str(caught.value)


def test_names_become_optimizations_in_order() -> None:
    """The article's own stack is read as written."""
    recipe = parse_recipe('bf16 + sdpa + channels_last + fuse_qkv + compile(mode="max-autotune")')

    assert recipe == Recipe(
        optimizations=(Bf16(), Sdpa(), ChannelsLast(), FuseQkv(), Compile(mode="max-autotune")),
    )


@settings(max_examples=60, deadline=None, database=None)
@given(recipe=recipes)
def test_every_recipe_can_be_written_and_read_back(recipe: Recipe) -> None:
    """Whatever its keywords hold, quotes and backslashes too."""
    assert parse_recipe(str(recipe)) == recipe


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("bf16+sdpa", "bf16 + sdpa"),
        ("  bf16  ", "bf16"),
        ("bf16()", "bf16"),
        ("(bf16 + sdpa) + compile", "bf16 + sdpa + compile"),
        ("compile(mode='max-autotune')", 'compile(mode="max-autotune")'),
        ("compile(mode=None, fullgraph=False)", "compile"),
        ("compile(target=('unet',))", 'compile(target=["unet"])'),
        ('compile(fullgraph=True, mode="default")', 'compile(mode="default", fullgraph=True)'),
        ("compile(backend='eager')", 'compile(backend="eager")'),
        (r'compile(target=["a\"b\\c"])', r'compile(target=["a\"b\\c"])'),
        ("compile(target=['été'])", 'compile(target=["été"])'),
    ],
)
def test_a_recipe_has_one_text(text: str, canonical: str) -> None:
    """Blanks, quotes, brackets, defaults and the order of keywords make no difference."""
    assert str(parse_recipe(text)) == canonical


def test_the_known_names_stand_in_the_order_of_application() -> None:
    """The order is the one that messages and pages show."""
    assert ", ".join(known_optimizations()) == KNOWN


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bf61", f"unknown optimization: 'bf61' (did you mean 'bf16'?); known: {KNOWN}"),
        ("bf16 + quantum", f"unknown optimization: 'quantum'; known: {KNOWN}"),
        ("compile(mod=1)", f"unknown keyword of compile: 'mod' (did you mean 'mode'?); {COMPILE_TAKES}"),
        ("compile(**{})", f"unknown keyword of compile: '**'; {COMPILE_TAKES}"),
        ("sdpa(x=1)", "unknown keyword of sdpa: 'x'; it takes: backend"),
        ("bf16(x=1)", "unknown keyword of bf16: 'x'; it takes none"),
    ],
)
def test_an_unknown_name_is_reported_with_the_nearest_and_all_known(text: str, message: str) -> None:
    """A nearest one is suggested only where one is near."""
    assert refusal(text) == message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("compile('max-autotune')", "\"compile('max-autotune')\""),
        ("compile(max-autotune)", "'compile(max - autotune)'"),
        ("bf16 - sdpa", "'bf16 - sdpa'"),
        ("bf16 + 1", "'1'"),
        ("torch.compile()", "'torch.compile()'"),
        ("bf16 + (sdpa if x else y)", "'sdpa if x else y'"),
    ],
)
def test_a_part_that_is_no_name_and_no_call_with_keywords_is_refused(text: str, part: str) -> None:
    """Nothing is evaluated: a positional argument, a sum of anything else or an attribute is no part of a recipe."""
    assert refusal(text) == f"each part of a recipe is a name or name(keyword=value), got: {part} in {text!r}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            'compile(mode="fast")',
            "compile was given a value that it cannot take: Invalid enum value 'fast' - at `$.mode`",
        ),
        (
            "compile(fullgraph=1)",
            "compile was given a value that it cannot take: Expected `bool`, got `int` - at `$.fullgraph`",
        ),
        (
            "compile(target='unet')",
            "compile was given a value that it cannot take: Expected `array`, got `str` - at `$.target`",
        ),
        (
            "compile(target=[1])",
            "compile was given a value that it cannot take: Expected `str`, got `int` - at `$.target[0]`",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(text: str, reason: str) -> None:
    """What was expected, what was given, and of which keyword."""
    assert refusal(text) == reason


@pytest.mark.parametrize(("text", "keyword"), [("sdpa(backend=flash)", "backend=flash"), ("sdpa(backend={[]})",) * 2])
def test_a_value_that_is_no_literal_is_refused(text: str, keyword: str) -> None:
    """A keyword takes a text, a number, a truth value or a list of them."""
    keyword = keyword.removeprefix("sdpa(").removesuffix(")")

    assert refusal(text) == f"a keyword of a recipe takes a literal, got: {keyword!r} in {text!r}"


def test_a_keyword_that_stands_twice_is_refused() -> None:
    """Neither of the two values may win silently."""
    text = 'compile(mode="default", mode="max-autotune")'

    assert refusal(text) == f"a recipe gives each keyword once, got mode 2 times in {text!r}"


def test_compiling_nothing_is_refused() -> None:
    """An optimization that is asked to do nothing could never be found missing."""
    assert refusal("compile(target=[])") == "compile(target=...) must name at least one module or method, got: []"


@pytest.mark.parametrize("text", ["", "   ", "bf16 +", "bf16 + + ", "compile("])
def test_a_text_that_is_no_expression_is_refused(text: str) -> None:
    """What a recipe reads like, what was given, and where Python's parser stumbled."""
    assert refusal(text).startswith(f"a recipe reads like `bf16 + sdpa + compile`, got: {text!r} (")


def test_an_empty_text_says_how_a_recipe_reads() -> None:
    """The whole message, with the parser's own word."""
    assert refusal("") == "a recipe reads like `bf16 + sdpa + compile`, got: '' (invalid syntax)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "channels_last + bf16",
            (
                "bf16 must stand before channels_last, got: channels_last + bf16; "
                "the right order is: bf16 + channels_last"
            ),
        ),
        (
            "channels_last + compile + sdpa + bf16",
            (
                "sdpa must stand before compile, got: channels_last + compile + sdpa + bf16; "
                "the right order is: bf16 + sdpa + channels_last + compile"
            ),
        ),
        ("bf16 + fp16", "bf16 and fp16 contradict each other (a pipeline has one precision), got: bf16 + fp16"),
        ("bf16 + fp32", "fp32 and bf16 contradict each other (a pipeline has one precision), got: bf16 + fp32"),
        (
            "bf16 + tf32",
            "bf16 and tf32 contradict each other (tf32 speeds up float32 matmuls, and none is left), got: bf16 + tf32",
        ),
        (
            "vanilla_attention + sdpa",
            (
                "vanilla_attention and sdpa contradict each other (a layer has one attention processor), "
                "got: vanilla_attention + sdpa"
            ),
        ),
        (
            "vanilla_attention + fuse_qkv",
            (
                "vanilla_attention and fuse_qkv contradict each other "
                "(fused projections bring a processor that calls SDPA), got: vanilla_attention + fuse_qkv"
            ),
        ),
        ("bf16 + bf16", "a recipe names each optimization once, got bf16 2 times: bf16 + bf16"),
        (
            "sdpa + sdpa(backend='math') + sdpa",
            'a recipe names each optimization once, got sdpa 3 times: sdpa + sdpa(backend="math") + sdpa',
        ),
    ],
)
def test_a_stack_that_breaks_a_rule_is_refused(text: str, message: str) -> None:
    """Order, contradiction and repetition, each with what would be right or why it is wrong."""
    assert refusal(text) == message


def test_a_recipe_without_optimizations_is_refused() -> None:
    """The plain recipe has a name."""
    with pytest.raises(RecipeError) as caught:
        Recipe(optimizations=())

    assert str(caught.value) == "a recipe must name at least one optimization; the plain one is fp32"


def test_the_text_of_a_test_id_has_no_blanks_and_quotes() -> None:
    """A test id can be typed on a command line."""
    recipe = Recipe(optimizations=(Bf16(), VanillaAttention(), Compile(mode="max-autotune", target=("unet",))))

    assert recipe.test_id == "bf16+vanilla_attention+compile(target=[unet],mode=max-autotune)"


@pytest.mark.parametrize(("text", "compiles"), [("bf16 + compile", True), ("bf16", False)])
def test_a_recipe_tells_whether_it_compiles(text: str, *, compiles: bool) -> None:
    """Who builds a pipeline warms it up only then."""
    assert parse_recipe(text).compiles is compiles


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\udc80f16", "it holds what no line of Python can hold"),
        ("bf16 + " * 5000 + "sdpa", "it is nested too deeply"),
        ("compile(mode=" + "-" * 5000 + "1)", "it is nested too deeply"),
    ],
)
def test_what_python_itself_gives_up_on_is_refused(text: str, problem: str) -> None:
    """Its parser has errors of other kinds than a misspelt line."""
    with pytest.raises(RecipeError) as refused:
        parse_recipe(text)

    assert str(refused.value) == f"a recipe reads like `bf16 + sdpa + compile`, got: {text!r} ({problem})"
