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
    result.stdout.fnmatch_lines(["SKIPPED * needs a GPU: run with --diffopt-gpu"])


@without_gpu
def test_without_a_usable_gpu_the_option_is_an_error(project: pytest.Pytester) -> None:
    """The run ends at once with a usage error, which shows the build of torch."""
    project.makepyfile(test_it=GPU_TEST)
    result = project.runpytest_inprocess("--gpu")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: diffopt: --diffopt-gpu needs a GPU that torch can use, but found none: torch {torch.__version__} *"]
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


#: Another project's option, in each form in which a real project defines it.
FLAG = "action='store_true'"
VALUE = "default=None, help='the GPU model'"
LIST = "nargs='+', type=int, required=False"


@pytest.mark.parametrize(
    ("definition", "arguments", "value"),
    [
        (FLAG, [], "False"),
        (FLAG, ["--gpu"], "True"),
        (VALUE, [], "None"),
        (VALUE, ["--gpu", "a100"], "'a100'"),
        (VALUE, ["--gpu=a100"], "'a100'"),
        (LIST, ["--gpu", "0", "1"], "[0, 1]"),
        ("dest='diffopt_gpus', action='count', default=0", ["--gpu", "--gpu"], "2"),
    ],
)
@pytest.mark.parametrize("place", ["conftest", "plugin"])
def test_an_option_of_the_project_keeps_its_value(
    injected: pytest.Pytester, place: str, definition: str, arguments: list[str], value: str
) -> None:
    """The plugin does not read it: a `--gpu` of the project selects no GPU for diffopt tests."""
    option = f"def pytest_addoption(parser):\n    parser.addoption('--gpu', {definition})\n"
    injected.makepyfile(
        **{
            place: option,
            "test_it": f"""
                def test_value(pytestconfig):
                    assert pytestconfig.getoption("--gpu") == {value}
                    assert not pytestconfig.getoption("--diffopt-gpu")
            """,
        }
    )
    plugin = ["-p", "plugin"] if place == "plugin" else []
    injected.syspathinsert()
    result = injected.runpytest_inprocess(*plugin, "test_it.py", *arguments)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["diffopt: device cpu *"])
    result.stdout.no_fnmatch_line("*not proven*")


def test_an_action_of_the_project_runs_as_often_as_without_the_plugin(injected: pytest.Pytester) -> None:
    """Looking for the option does not parse it: its action may have effects."""
    injected.makeconftest(
        """
        import argparse

        class Note(argparse.Action):
            def __call__(self, parser, namespace, values, option_string=None):
                with open("notes", "a") as file:
                    file.write(f"{values}\\n")

        def pytest_addoption(parser):
            parser.addoption("--gpu", action=Note)
        """
    )
    injected.makepyfile(test_it="def test_it(): pass")
    notes = injected.path / "notes"
    injected.runpytest_inprocess("--gpu", "7").assert_outcomes(passed=1)
    found = notes.read_text(encoding="utf-8")
    notes.unlink()
    injected.runpytest_inprocess("--gpu", "7", "-p", "no:diffopt").assert_outcomes(passed=1)

    assert found == notes.read_text(encoding="utf-8")


def test_a_conftest_below_the_root_can_define_the_option(injected: pytest.Pytester) -> None:
    """Pytest loads it during the collection; then its default is its value, as without the plugin."""
    folder = injected.mkpydir("sub").joinpath("deeper")
    folder.mkdir()
    folder.joinpath("conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--gpu', default='none', dest='their_gpu')\n"
    )
    folder.joinpath("test_it.py").write_text(
        "def test_value(pytestconfig):\n    assert pytestconfig.getoption('their_gpu') == 'none'\n"
    )

    injected.runpytest_inprocess().assert_outcomes(passed=1)


@without_gpu
def test_beside_an_option_of_the_project_the_long_name_works(injected: pytest.Pytester) -> None:
    """`--diffopt-gpu` is always defined, and every message names it."""
    injected.makeconftest("def pytest_addoption(parser):\n    parser.addoption('--gpu', default=None)\n")
    injected.makepyfile(test_it="import pytest\n\n@pytest.mark.diffopt\ndef test_it(): pass\n")
    result = injected.runpytest_inprocess("--gpu", "a100", "--diffopt-gpu")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: diffopt: --diffopt-gpu needs a GPU that torch can use, but found none: *"])


@without_gpu
@pytest.mark.parametrize("place", ["addopts", "environment"])
def test_the_short_name_works_wherever_pytest_reads_options(
    injected: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """In the ini file and in `PYTEST_ADDOPTS`."""
    if place == "addopts":
        injected.makeini("[pytest]\naddopts = -p no:cacheprovider --gpu")
    else:
        monkeypatch.setenv("PYTEST_ADDOPTS", "--gpu")
    injected.makepyfile(test_it="import pytest\n\n@pytest.mark.diffopt\ndef test_it(): pass\n")
    result = injected.runpytest_inprocess()

    result.stderr.fnmatch_lines(["ERROR: diffopt: --diffopt-gpu needs a GPU that torch can use, but found none: *"])


def test_a_file_may_have_the_name(injected: pytest.Pytester) -> None:
    """After `--` it is no option."""
    injected.makepyfile(test_it="def test_it(): pass")
    result = injected.runpytest_inprocess("test_it.py", "--", "--gpu")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: file or directory not found: --gpu"])


def test_the_option_is_in_the_help(project: pytest.Pytester) -> None:
    """With its short name."""
    result = project.runpytest_inprocess("--help")

    result.stdout.fnmatch_lines(["*--diffopt-gpu *use the real GPU(s); short: --gpu*"])
