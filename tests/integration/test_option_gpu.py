"""`--gpu` selects the real GPU; without a usable one it is an error."""

import pytest
import torch

GPU_TEST = """
import pytest

@pytest.mark.gpu
@pytest.mark.diffopt(pipeline="sdxl", recipe="fp32")
def test_on_the_gpu(diffopt_pipeline):
    pass
"""

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="tests the behavior without a GPU")


def test_without_the_option_gpu_tests_are_skipped(project: pytest.Pytester) -> None:
    """The reason names the option."""
    project.makepyfile(test_it=GPU_TEST)
    result = project.runpytest_inprocess("-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * needs a GPU: run with --gpu"])


@without_gpu
def test_without_a_usable_gpu_the_option_is_an_error(project: pytest.Pytester) -> None:
    """The run ends at once with a usage error, which shows the build of torch."""
    project.makepyfile(test_it=GPU_TEST)
    result = project.runpytest_inprocess("--gpu")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [(f"ERROR: diffopt: --gpu needs a GPU that torch can use, but found none: torch {torch.__version__} is *")]
    )


@without_gpu
def test_gpu_tests_can_be_listed_without_a_gpu(project: pytest.Pytester) -> None:
    """No test runs, so none can pass without a check."""
    project.makepyfile(test_it=GPU_TEST)
    result = project.runpytest_inprocess("--gpu", "--collect-only", "-q", "--diffopt-scale", "full")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["test_it.py::test_on_the_gpu[[]sdxl]", "1 test collected*"])


@without_gpu
def test_the_ini_option_requires_a_gpu_too(project: pytest.Pytester) -> None:
    """`diffopt_gpu = true` enables `--gpu` in every run."""
    project.makeini("[pytest]\ndiffopt_gpu = true")
    project.makepyfile(test_it=GPU_TEST)
    result = project.runpytest_inprocess()

    assert result.ret == pytest.ExitCode.USAGE_ERROR


@without_gpu
def test_a_project_without_diffopt_tests_needs_no_gpu(project: pytest.Pytester) -> None:
    """`--gpu` may be meant for other tests; only diffopt tests require a GPU."""
    project.makepyfile(test_it="def test_other(): pass")
    result = project.runpytest_inprocess("--gpu")

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(("arguments", "expected"), [([], "False"), (["--gpu"], "True")])
def test_a_conftest_can_define_the_option(project: pytest.Pytester, arguments: list[str], expected: str) -> None:
    """The plugin does not define it a second time, and reads the value of the conftest's option."""
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


def test_the_option_is_in_the_help(project: pytest.Pytester) -> None:
    """Although it is defined after every initial conftest."""
    result = project.runpytest_inprocess("--help")

    result.stdout.fnmatch_lines(["*--gpu *use the real GPU(s)*"])
