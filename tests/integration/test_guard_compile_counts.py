"""Compile counts are compared exactly: one graph more fails, and one graph less must be accepted."""

import pytest

COMPILED = """
import pytest
import small_pipeline

class UNet(small_pipeline.SmallUNet):
    def forward(self, latents, timestep):
        {line}
        return super().forward(latents, timestep)

@pytest.fixture
def optimized_pipeline():
    pipeline = small_pipeline.build(UNet)
    pipeline.unet.compile(backend="eager", dynamic=False)
    return pipeline

def test_before(optimized_pipeline, pipeline_inputs):
    {before}

def test_compilation(optimized_pipeline, pipeline_inputs, compile_baseline):
    compile_baseline.check(optimized_pipeline, **pipeline_inputs)
"""


def run(project: pytest.Pytester, line: str, *options: str, before: str = "pass") -> pytest.RunResult:
    """Run the test with a line in the compiled forward."""
    project.makepyfile(test_it=COMPILED.format(line=line, before=before))
    return project.runpytest_inprocess("--tb=short", *options)


def test_a_missing_baseline_fails(own_pipeline: pytest.Pytester) -> None:
    """The failure has the command that accepts the counts."""
    result = run(own_pipeline, "pass")

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: no compilation baseline has been accepted: 1 function: 1 graph, 0 breaks, 0 recompiles, "
            "* operations, * guards",
            "seen on any machine, traced without a GPU, pipeline SmallPipeline (weights: the user's own)",
            "to accept it: pytest test_it.py::test_compilation --diffopt-update missing",
        ],
        consecutive=True,
    )


def test_the_same_code_passes(own_pipeline: pytest.Pytester) -> None:
    """Down to the last operator and guard."""
    run(own_pipeline, "pass", "--diffopt-update=missing")
    result = run(own_pipeline, "pass")

    result.assert_outcomes(passed=2)


def test_one_break_more_fails_with_old_and_new(own_pipeline: pytest.Pytester) -> None:
    """Each figure of the function that changed."""
    run(own_pipeline, "latents = latents + 1", "--diffopt-update=missing")
    result = run(own_pipeline, "latents = latents + 1; print('drawing')")

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the compile counts differ from the accepted ones",
            "  UNet.forward  graphs 1 -> 2",
            "  UNet.forward  breaks 0 -> 1",
            "  UNet.forward  guards * -> *",
            "seen while compiling pipeline SmallPipeline (weights: the user's own)",
            "to accept this: pytest test_it.py::test_compilation --diffopt-update all",
        ],
        consecutive=True,
    )


def test_one_break_less_fails_until_it_is_accepted(own_pipeline: pytest.Pytester) -> None:
    """A gain that is not accepted could be lost again unnoticed."""
    run(own_pipeline, "latents = latents + 1; print('drawing')", "--diffopt-update=missing")
    result = run(own_pipeline, "latents = latents + 1")

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the compile counts improved",
            "  UNet.forward  graphs 2 -> 1",
            "  UNet.forward  breaks 1 -> 0",
            "  UNet.forward  guards * -> *",
            "seen while compiling *",
            "to keep the gain: pytest test_it.py::test_compilation --diffopt-update all",
        ],
        consecutive=True,
    )


def test_a_function_that_is_no_longer_compiled_fails(own_pipeline: pytest.Pytester) -> None:
    """Fewer graphs are no gain then."""
    run(own_pipeline, "pass", "--diffopt-update=missing")
    text = (
        COMPILED.format(line="pass", before="pass")
        .replace("class UNet", "class Renamed")
        .replace("(UNet)", "(Renamed)")
    )
    own_pipeline.makepyfile(test_it=text)
    result = own_pipeline.runpytest_inprocess("--tb=short")

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        ["diffopt: the compile counts differ from the accepted ones", "  UNet.forward is no longer compiled"]
    )


def test_compilations_after_the_first_call_do_not_count(own_pipeline: pytest.Pytester) -> None:
    """Whatever other tests compile in between."""
    own_pipeline.makeconftest("")
    text = COMPILED.replace("@pytest.fixture\n", "@pytest.fixture(scope='module')\n")
    text = text.replace("import small_pipeline\n", "import small_pipeline\nfrom pytest_diffopt import *\n", 1)
    text += "\n@pytest.fixture\ndef pipeline_inputs():\n    return small_pipeline.inputs()\n"
    before = "assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)"
    own_pipeline.makepyfile(test_it=text.format(line="pass", before=before))
    own_pipeline.runpytest_inprocess("--diffopt-update=missing")
    more = before + "; optimized_pipeline(**pipeline_inputs | {'size': 24})"
    own_pipeline.makepyfile(test_it=text.format(line="pass", before=more))
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(passed=2)


def test_a_call_that_fullgraph_ends_is_reported_as_a_break(own_pipeline: pytest.Pytester) -> None:
    """There are no counts to compare."""
    text = COMPILED.format(line="print('drawing')", before="pass").replace("dynamic=False", "fullgraph=True")
    own_pipeline.makepyfile(test_it=text)
    result = own_pipeline.runpytest_inprocess("--tb=short")

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["diffopt: 1 graph break (0 allowed)", "  test_it.py:6  in forward"])
