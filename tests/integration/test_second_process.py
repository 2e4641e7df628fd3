"""The same call in a second process: a value that differs between processes fails."""

import os

import pytest

from tests.integration.conftest import INI_WITH_RERUNS

REPEATABLE = """
import os
import pytest
import small_pipeline
from pytest_diffopt import assert_repeatable

class Pipeline(small_pipeline.SmallPipeline):
    def __call__(self, **inputs):
        output = super().__call__(**inputs)
        {inject}
        return output

@pytest.fixture
def optimized_pipeline():
    return small_pipeline.build(pipeline=Pipeline)

@pytest.mark.parametrize("steps", [2, 3])
def test_repeatable(optimized_pipeline, pipeline_inputs, steps):
    inputs = pipeline_inputs | {{"num_inference_steps": steps}}
    {before}
    assert_repeatable(optimized_pipeline, second_process=True, {bound}**inputs)
"""
ADDS_A_HASH = "output.images[0, 0, 0, 0] += hash('a red circle') % 1000 / 1000"


def run(project: pytest.Pytester, inject: str, before: str = "pass", bound: str = "") -> pytest.RunResult:
    """Run the test on a pipeline with this line in its call."""
    project.makepyfile(test_it=REPEATABLE.format(inject=inject, before=before, bound=bound))
    return project.runpytest_inprocess("-k", "3")


@pytest.mark.usefixtures("warm_processes")
def test_the_same_image_in_another_process_passes(own_pipeline: pytest.Pytester) -> None:
    """The second process runs the same parameters; each such call of a test has its own second process."""
    before = "assert_repeatable(optimized_pipeline, second_process=True, **pipeline_inputs)"
    run(own_pipeline, "pass", before).assert_outcomes(passed=1, deselected=1)


def test_a_value_that_differs_between_processes_fails(own_pipeline: pytest.Pytester) -> None:
    """Two calls in one process generate the same image; the message names possible causes."""
    result = run(own_pipeline, ADDS_A_HASH, "assert_repeatable(optimized_pipeline, **inputs)")

    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the same call gave a different image in a second process",
            "  1 of 768 values differ (0.1%)",
            "  largest difference 0.* (0 allowed)",
            "seen in pipeline Pipeline (weights: the user's own)",
            (
                "look for what differs between processes: the order of a set, hash() and id(), a seed taken from the "
                "clock or the process ID, a file that one process writes and the other reads; "
                "or allow a bound: max_error=..."
            ),
        ],
        consecutive=True,
    )


@pytest.mark.usefixtures("warm_processes")
def test_a_test_that_does_not_run_alone_is_reported(
    own_pipeline: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message contains the output of the second process, and its command."""
    monkeypatch.setenv("ONLY_HERE", str(os.getpid()))
    result = run(own_pipeline, "pass", "assert os.environ['ONLY_HERE'] == str(os.getpid()), 'not in this process'")

    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the second process ended before the call; its last output:",
            "*not in this process*",
            "  the test must run alone and build its pipeline itself or in its fixtures:",
            "  *-m pytest *--rootdir=*--diffopt-scale=tiny *test_it.py::test_repeatable[[]3]*",
        ]
    )


def test_other_calls_are_refused(own_pipeline: pytest.Pytester) -> None:
    """Each needs a separate assertion."""
    result = run(own_pipeline, "pass", bound="after=[{'prompt': 'another'}], ")

    result.assert_outcomes(failed=1, deselected=1)
    assert (
        "diffopt: second_process=True makes only the test's own call: assert after=... separately, got: 1 call"
    ) in result.outlines


#: A test that needs what the command line gives it, in both processes.
DEPENDS = """
import os
import numpy as np
import pytest
from pytest_diffopt import assert_repeatable

def test_repeatable(pytestconfig, from_plugin, tmp_path):
    assert pytestconfig.getini("images") == "four"
    assert pytestconfig.getoption("--prompt") == "test_it.py"
    assert os.getcwd() == str(pytestconfig.invocation_params.dir)
    assert tmp_path.exists()
    assert_repeatable(lambda: np.full((1, 4, 4, 3), from_plugin), second_process=True)

def test_other():
    assert "DIFFOPT_SECOND_PROCESS_TEST" not in os.environ, "the second process runs one test"
"""
PLUGIN = """
import pytest

def pytest_addoption(parser):
    parser.addoption("--prompt")
    parser.addini("images", "how many")

@pytest.fixture
def from_plugin():
    return 0.5
"""
OUTPUTS = ("--junit-xml=junit.xml", "--diffopt-report=report", "--diffopt-summary=summary.md", "--log-file=log.txt")


@pytest.fixture
def depending(injected: pytest.Pytester) -> pytest.Pytester:
    """Make a project whose tests need a plugin, an ini override and an option."""
    injected.makepyfile(given_plugin=PLUGIN, test_it=DEPENDS)
    injected.makefile(".ini", elsewhere="[pytest]\naddopts = -p no:benchmark\nimages = two\n")
    injected.syspathinsert()
    return injected


def run_depending(depending: pytest.Pytester, *workers: str) -> None:
    """Run the project with options for everything that the second process needs, or must not have."""
    given = ("-p", "given_plugin", "-c", "elsewhere.ini", "-o", "images=four", "--prompt", "test_it.py")
    selection = ("test_it.py", "-k", "test", "--maxfail=3", "--lf")
    result = depending.runpytest_subprocess(*given, *selection, *OUTPUTS, *workers, timeout=600)

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["1 verdict: 1 passed"])
    assert all((depending.path / name).exists() for name in ("junit.xml", "report/report.json", "summary.md"))


@pytest.mark.usefixtures("warm_processes")
def test_the_second_process_has_the_command_line(depending: pytest.Pytester) -> None:
    """Plugins, ini file, ini overrides and options are the user's; it runs one test and writes no output of its own."""
    run_depending(depending)


def test_the_second_process_has_the_command_line_of_an_xdist_worker(depending: pytest.Pytester) -> None:
    """The same, with a real interpreter: the xdist worker of a warm one does not find the plugin of PYTHONPATH."""
    run_depending(depending, "-n", "1")


@pytest.mark.usefixtures("warm_processes")
def test_options_of_the_environment_are_inherited(depending: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """From `PYTEST_ADDOPTS` and `PYTEST_PLUGINS`."""
    monkeypatch.setenv("PYTEST_PLUGINS", "given_plugin")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-o images=four --prompt=test_it.py --junit-xml=junit.xml")
    result = depending.runpytest_subprocess("-c", "elsewhere.ini", timeout=600)

    result.assert_outcomes(passed=2)


@pytest.mark.usefixtures("warm_processes")
def test_it_works_when_the_test_is_run_again(injected: pytest.Pytester) -> None:
    """pytest-rerunfailures runs the failed test again: its calls are counted from the first."""
    pytest.importorskip("pytest_rerunfailures")
    injected.makeini(INI_WITH_RERUNS)
    injected.makepyfile(
        test_it="""
        import os
        import numpy as np
        from pytest_diffopt import assert_repeatable

        ATTEMPTS = []

        def test_repeatable():
            ATTEMPTS.append(1)
            assert_repeatable(lambda: np.zeros((1, 4, 4, 3)), second_process=True)
            assert len(ATTEMPTS) == 2, "the first attempt fails"
        """
    )
    result = injected.runpytest_subprocess("--reruns=1", timeout=600)

    assert result.parseoutcomes() == {"passed": 1, "rerun": 1}
    result.stdout.fnmatch_lines(["1 verdict: 1 passed"])
