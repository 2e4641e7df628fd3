"""`--gpu`: the only way to a real GPU, and never a green row of skips."""

import pytest
import torch

GPU_TEST = """
import pytest

@pytest.mark.gpu
@pytest.mark.diffopt(pipeline="sdxl", recipe="fp32")
def test_on_the_gpu(diffopt_pipeline):
    pass
"""

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens where there is no GPU")


def test_without_it_gpu_tests_are_skipped_with_the_way_to_run_them(project: pytest.Pytester) -> None:
    """A test that needs a GPU says so instead of failing."""
    project.makepyfile(test_it=GPU_TEST)
    result = project.runpytest_inprocess("-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * needs a GPU: run with --gpu"])


@without_gpu
def test_without_a_usable_gpu_the_run_is_an_error(project: pytest.Pytester) -> None:
    """Asked for a GPU where there is none, the run ends at once, with a usage error that says what torch sees."""
    project.makepyfile(test_it=GPU_TEST)
    result = project.runpytest_inprocess("--gpu")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [(f"ERROR: diffopt: --gpu needs a GPU that torch can use, but found none: torch {torch.__version__} is *")]
    )


@without_gpu
def test_what_a_gpu_would_run_can_be_listed_without_one(project: pytest.Pytester) -> None:
    """Nothing is run, so nothing can be green that was not checked."""
    project.makepyfile(test_it=GPU_TEST)
    result = project.runpytest_inprocess("--gpu", "--collect-only", "-q", "--diffopt-scale", "full")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["test_it.py::test_on_the_gpu[[]sdxl]", "1 test collected*"])


@without_gpu
def test_the_ini_counterpart_asks_for_the_gpu_too(project: pytest.Pytester) -> None:
    """`diffopt_gpu = true` is `--gpu` for every run."""
    project.makeini("[pytest]\ndiffopt_gpu = true")
    project.makepyfile(test_it=GPU_TEST)
    result = project.runpytest_inprocess()

    assert result.ret == pytest.ExitCode.USAGE_ERROR


@without_gpu
def test_a_project_without_diffopt_tests_needs_no_gpu(project: pytest.Pytester) -> None:
    """`--gpu` may mean something else to other tests; only ours insist on a GPU."""
    project.makepyfile(test_it="def test_other(): pass")
    result = project.runpytest_inprocess("--gpu")

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(("arguments", "expected"), [([], "False"), (["--gpu"], "True")])
def test_a_conftest_that_defines_it_already_is_respected(
    project: pytest.Pytester, arguments: list[str], expected: str
) -> None:
    """Two definitions would end pytest with a ValueError; the user's stands and its value is used."""
    project.makeconftest(
        """
def pytest_addoption(parser):
    parser.addoption("--gpu", action="store_true", help="the user's own")
"""
    )
    project.makepyfile(
        test_it=f"""
def test_value(pytestconfig):
    assert pytestconfig.getoption("--gpu") is {expected}
"""
    )
    result = project.runpytest_inprocess(*arguments)

    result.assert_outcomes(passed=1)


def test_it_is_in_the_help(project: pytest.Pytester) -> None:
    """`--help` lists it, though it is defined after every initial conftest."""
    result = project.runpytest_inprocess("--help")

    result.stdout.fnmatch_lines(["*--gpu *use the real GPU(s)*"])
