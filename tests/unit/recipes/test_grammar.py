"""A recipe has one canonical form, and an invalid recipe is an error with the reason."""

from typing import get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes.attention import Sdpa, VanillaAttention
from pytest_diffopt.recipes.compilation import Compile
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.layout import ChannelsLast
from pytest_diffopt.recipes.precision import Bf16, Fp16, Fp32, Tf32
from pytest_diffopt.recipes.projections import FuseQkv
from pytest_diffopt.recipes.recipe import Recipe
from pytest_diffopt.recipes.registry import registered_optimizations

KNOWN = (
    "distilled, tiny_autoencoder, fp16_safe_vae, lora, scheduler, begin_index, fp32, tf32, bf16, fp16, vae_upcast, "
    "vanilla_attention, attn_processor_2_0, sdpa, attention_backend, channels_last, pointwise_linears, fuse_qkv, "
    "int8_dynamic, int8_weight_only, int4_weight_only, fp8_dynamic, quantized_on_load, vae_tiling, vae_slicing, "
    "layerwise_casting, first_block_cache, pyramid_attention_broadcast, faster_cache, taylorseer_cache, mag_cache, "
    "sea_cache, text_kv_cache, cache_dit, context_parallel, tensor_parallel, model_offload, sequential_offload, "
    "group_offload, inductor, compile_cache, compile_artifacts, compile"
)
COMPILE_TAKES = "it takes: backend, dynamic, dynamic_shapes, fullgraph, isolate_recompiles, mode, regional, target"
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
    """Parse an invalid recipe and return the message."""
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text)
    return str(caught.value)


def test_names_become_optimizations_in_order() -> None:
    """The article's recipe is parsed as written."""
    recipe = parse_recipe('bf16 + sdpa + channels_last + fuse_qkv + compile(mode="max-autotune")')

    assert recipe == Recipe(
        optimizations=(Bf16(), Sdpa(), ChannelsLast(), FuseQkv(), Compile(mode="max-autotune")),
    )


@settings(max_examples=60, deadline=None, database=None)
@given(recipe=recipes)
def test_every_recipe_can_be_written_and_read_back(recipe: Recipe) -> None:
    """This includes keywords with quotes and backslashes."""
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
def test_a_recipe_has_one_canonical_form(text: str, canonical: str) -> None:
    """Blanks, quotes, brackets, defaults and the order of keywords do not matter."""
    assert str(parse_recipe(text)) == canonical


def test_known_names_are_in_the_order_of_application() -> None:
    """Messages and docs show the same order."""
    assert ", ".join(registered_optimizations()) == KNOWN


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
def test_an_unknown_name_is_an_error_with_the_closest_and_all_known(text: str, message: str) -> None:
    """A name is suggested only if it is similar."""
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
def test_a_part_that_is_neither_a_name_nor_a_call_with_keywords_is_refused(text: str, part: str) -> None:
    """Positional arguments, other operators and attributes are not allowed."""
    assert refusal(text) == f"each part of a recipe must be a name or name(keyword=value), got: {part} in {text!r}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            'compile(mode="fast")',
            "invalid value for compile: Invalid enum value 'fast' - at `$.mode`",
        ),
        (
            "compile(fullgraph=1)",
            "invalid value for compile: Expected `bool`, got `int` - at `$.fullgraph`",
        ),
        (
            "compile(target='unet')",
            "invalid value for compile: Expected `array`, got `str` - at `$.target`",
        ),
        (
            "compile(target=[1])",
            "invalid value for compile: Expected `str`, got `int` - at `$.target[0]`",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(text: str, reason: str) -> None:
    """The message shows the expected type, the given type and the keyword."""
    assert refusal(text) == reason


@pytest.mark.parametrize(("text", "keyword"), [("sdpa(backend=flash)", "backend=flash"), ("sdpa(backend={[]})",) * 2])
def test_a_value_that_is_not_a_literal_is_refused(text: str, keyword: str) -> None:
    """A keyword accepts strings, numbers, booleans and lists of them."""
    keyword = keyword.removeprefix("sdpa(").removesuffix(")")

    assert refusal(text) == f"a keyword's value must be a literal, got: {keyword!r} in {text!r}"


def test_a_repeated_keyword_is_refused() -> None:
    """Neither value silently overrides the other."""
    text = 'compile(mode="default", mode="max-autotune")'

    assert refusal(text) == f"a keyword can be given once, got mode 2 times in {text!r}"


def test_compiling_nothing_is_refused() -> None:
    """`verify` could not detect a missing optimization without a target."""
    assert refusal("compile(target=[])") == "compile(target=...) must name at least one module or method, got: []"


@pytest.mark.parametrize("text", ["", "   ", "bf16 +", "bf16 + + ", "compile("])
def test_a_text_that_is_not_an_expression_is_refused(text: str) -> None:
    """The message shows the expected form, the text and the error of Python's parser."""
    assert refusal(text).startswith(f"a recipe must look like `bf16 + sdpa + compile`, got: {text!r} (")


def test_an_empty_text_is_an_error_with_the_expected_form() -> None:
    """The whole message is compared."""
    assert refusal("") == "a recipe must look like `bf16 + sdpa + compile`, got: '' (invalid syntax)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "channels_last + bf16",
            (
                "bf16 must come before channels_last, got: channels_last + bf16; "
                "the right order is: bf16 + channels_last"
            ),
        ),
        (
            "channels_last + compile + sdpa + bf16",
            (
                "sdpa must come before compile, got: channels_last + compile + sdpa + bf16; "
                "the right order is: bf16 + sdpa + channels_last + compile"
            ),
        ),
        ("bf16 + fp16", "bf16 and fp16 contradict each other (a pipeline has one precision), got: bf16 + fp16"),
        ("bf16 + fp32", "fp32 and bf16 contradict each other (a pipeline has one precision), got: bf16 + fp32"),
        (
            "bf16 + tf32",
            "bf16 and tf32 contradict each other (tf32 speeds up float32 matmuls, and none remains), got: bf16 + tf32",
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
                "(fused projections use a processor that calls SDPA), got: vanilla_attention + fuse_qkv"
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
    """Wrong order, contradiction and repetition are errors with the correction or the reason."""
    assert refusal(text) == message


def test_a_recipe_without_optimizations_is_refused() -> None:
    """The plain recipe has the name fp32."""
    with pytest.raises(RecipeError) as caught:
        Recipe(optimizations=())

    assert str(caught.value) == "a recipe must name at least one optimization; the plain one is fp32"


def test_a_test_id_has_no_blanks_and_quotes() -> None:
    """A test id can be typed on a command line."""
    recipe = Recipe(optimizations=(Bf16(), VanillaAttention(), Compile(mode="max-autotune", target=("unet",))))

    assert recipe.test_id == "bf16+vanilla_attention+compile(target=[unet],mode=max-autotune)"


@pytest.mark.parametrize(("text", "compiles"), [("bf16 + compile", True), ("bf16", False)])
def test_compiles_is_true_for_recipes_with_compile(text: str, *, compiles: bool) -> None:
    """Only such pipelines are warmed up after they are built."""
    assert parse_recipe(text).compiles is compiles


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\udc80f16", "it contains a character that is not allowed in Python source"),
        ("bf16 + " * 5000 + "sdpa", "it is nested too deeply"),
        ("compile(mode=" + "-" * 5000 + "1)", "it is nested too deeply"),
    ],
)
def test_errors_of_pythons_parser_are_reported(text: str, problem: str) -> None:
    """The parser raises other errors than SyntaxError too."""
    with pytest.raises(RecipeError) as refused:
        parse_recipe(text)

    shown = repr(text) if len(text) <= 80 else f"{text[:80]!r}..."
    assert str(refused.value) == f"a recipe must look like `bf16 + sdpa + compile`, got: {shown} ({problem})"
