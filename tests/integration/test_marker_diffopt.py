"""`@pytest.mark.diffopt` sets the pipeline and recipe of a test; an invalid marker is an error at collection."""

import re

import pytest

MARKED = """
import pytest

@pytest.mark.diffopt({arguments})
def test_it(diffopt_pipeline, diffopt_recipe):
    pass
"""


def collect(project: pytest.Pytester, text: str) -> pytest.RunResult:
    """Collect one test file."""
    project.makepyfile(test_it=text)
    return project.runpytest_inprocess("--collect-only", "-q")


def test_lists_parametrize(project: pytest.Pytester) -> None:
    """Each pair of pipeline and recipe is a test; its id shows both without blanks and quotes."""
    result = collect(
        project,
        MARKED.format(arguments='pipeline="sdxl", recipe=["fp32", "bf16 + sdpa", "compile(mode=\'max-autotune\')"]'),
    )

    result.stdout.fnmatch_lines(
        [
            "test_it.py::test_it[[]sdxl-fp32[]]",
            "test_it.py::test_it[[]sdxl-bf16+sdpa[]]",
            "test_it.py::test_it[[]sdxl-compile(mode=max-autotune)[]]",
        ],
        consecutive=True,
    )


REFERENCE_ALONE = """
import pytest

@pytest.mark.diffopt(pipeline="sdxl", recipe="lora + bf16")
def test_adapter(diffopt_pipeline, diffopt_reference_recipe):
    assert str(diffopt_reference_recipe) == "lora + fp32"

@pytest.mark.diffopt(pipeline="sdxl", recipe="bf16")
def test_plain(diffopt_pipeline, diffopt_reference_recipe):
    assert str(diffopt_reference_recipe) == "fp32"
"""


def test_a_test_of_the_reference_alone_has_that_of_its_recipe(project: pytest.Pytester) -> None:
    """The optimized pipeline draws with the adapter, so its reference has it too; a plain reference is no parameter."""
    project.makepyfile(test_it=REFERENCE_ALONE)
    result = project.runpytest_inprocess("-v")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["test_it.py::test_adapter[[]sdxl-lora+bf16[]] PASSED*", "test_it.py::test_plain[[]sdxl[]] PASSED*"]
    )


def test_the_closest_marker_overrides_each_keyword(project: pytest.Pytester) -> None:
    """A function's marker overrides the keywords of the module's marker and keeps the others."""
    result = collect(
        project,
        """
import pytest

pytestmark = pytest.mark.diffopt(pipeline="sdxl", recipe="fp32")

class TestClass:
    pytestmark = pytest.mark.diffopt(recipe="bf16")

    def test_class(self, diffopt_pipeline, diffopt_recipe):
        pass

    @pytest.mark.diffopt(recipe="fp16")
    def test_function(self, diffopt_pipeline, diffopt_recipe):
        pass

def test_module(diffopt_pipeline, diffopt_recipe):
    pass
""",
    )

    result.stdout.fnmatch_lines(
        [
            "test_it.py::TestClass::test_class[[]sdxl-bf16[]]",
            "test_it.py::TestClass::test_function[[]sdxl-fp16[]]",
            "test_it.py::test_module[[]sdxl-fp32[]]",
        ]
    )


def test_tests_are_ordered_so_that_each_pipeline_is_built_once(project: pytest.Pytester) -> None:
    """All tests of one recipe run before the first test of the next."""
    result = collect(
        project,
        """
import pytest

pytestmark = pytest.mark.diffopt(pipeline="sdxl", recipe=["fp32", "bf16"])

def test_a(optimized_pipeline):
    pass

def test_b(optimized_pipeline):
    pass
""",
    )

    result.stdout.fnmatch_lines(
        [f"test_it.py::test_{name}[[]sdxl-{recipe}[]]" for recipe in ("fp32", "bf16") for name in "ab"],
        consecutive=True,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ('pipeline="sdlx"', "unknown pipeline: 'sdlx' (did you mean 'sdxl'?); known: *"),
        ('pipeline="kandinsky"', "unknown pipeline: 'kandinsky'; known: *"),
        (
            'recipe="bf61"',
            ("unknown optimization: 'bf61' (did you mean 'bf16'?); known: *"),
        ),
        (
            'recipes="bf16"',
            (
                "unknown keyword of @pytest.mark.diffopt: 'recipes' (did you mean 'recipe'?); "
                "it takes the keywords pipeline, recipe, ladder, level, scale, batch"
            ),
        ),
        (
            '"sdxl"',
            (
                "@pytest.mark.diffopt takes no positional arguments, got: ('sdxl',); "
                "it takes the keywords pipeline, recipe, ladder, level, scale, batch"
            ),
        ),
        ('pipeline="sdxl", scale="huge"', "@pytest.mark.diffopt(scale=...) must be one of tiny, full, got: 'huge'"),
        ("pipeline=[]", "@pytest.mark.diffopt(pipeline=...) takes a text or a list of texts, got: []"),
        ("recipe=7", "@pytest.mark.diffopt(recipe=...) takes a text or a list of texts, got: 7"),
        (
            'recipe="compile(mod=1)"',
            (
                "unknown keyword of compile: 'mod' (did you mean 'mode'?); "
                "it takes: backend, dynamic, dynamic_shapes, fullgraph, isolate_recompiles, mode, regional, target"
            ),
        ),
        (
            "recipe=\"sdpa(backend='flesh')\"",
            "invalid value for sdpa: Invalid enum value 'flesh' - at `$.backend`",
        ),
        (
            'recipe="fp16 + bf16"',
            "bf16 and fp16 contradict each other (a pipeline has one precision), got: fp16 + bf16",
        ),
    ],
)
def test_an_invalid_marker_is_an_error_at_collection(project: pytest.Pytester, arguments: str, message: str) -> None:
    """One line shows the test, the value and the closest known one; there is no traceback and no test runs."""
    result = collect(project, MARKED.format(arguments=arguments))

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.re_match_lines([re.escape(f"diffopt: test_it.py::test_it: {message}").replace(r"\*", ".*") + "$"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*pytest_diffopt/*")


def test_a_marker_without_a_pipeline_is_an_error_of_the_fixture(project: pytest.Pytester) -> None:
    """The message shows both solutions: name a pipeline, or override the fixtures."""
    project.makepyfile(
        test_it="""
import pytest

@pytest.mark.diffopt(recipe="fp32")
def test_it(optimized_pipeline):
    pass
"""
    )
    result = project.runpytest_inprocess()

    result.assert_outcomes(errors=1)
    assert (
        "diffopt: the marker must name the pipeline: @pytest.mark.diffopt(pipeline=...); "
        "or override optimized_pipeline, pipeline_inputs and pipeline_variations with your own" in result.outlines
    )
    result.stdout.no_fnmatch_line("*pytest_diffopt/*")


def test_both_markers_are_registered(project: pytest.Pytester) -> None:
    """`--markers` shows their help texts."""
    result = project.runpytest_inprocess("--markers")

    result.stdout.fnmatch_lines(
        [
            (
                "@pytest.mark.diffopt(pipeline, recipe, scale, batch): what this test runs with, each one or a list; "
                "diffopt(pipeline, ladder, level): every level of a ladder, or only the named ones"
            ),
            (
                "@pytest.mark.gpu(memory_gib, capability, count): "
                "this diffopt test needs --diffopt-gpu and a GPU that has at least this"
            ),
        ]
    )
