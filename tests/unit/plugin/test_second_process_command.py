"""The command line of the second process keeps the user's options, without those that select, distribute or write."""

from pathlib import Path

import pytest

from pytest_diffopt.plugin.second_process import _command_line, _kept

pytest_plugins = ["pytester"]


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["-v", "-p", "mine", "-o", "a=b", "--own", "value"], ["-v", "-p", "mine", "-o", "a=b", "--own", "value"]),
        (["-k", "fast", "-m", "not slow", "-kfast", "--deselect=a", "--deselect", "b"], []),
        (["-n", "2", "-n2", "--dist", "load", "--dist=load", "--numprocesses=3", "-d"], []),
        (["--junit-xml", "a.xml", "--junitxml=b.xml", "--basetemp", "tmp", "--log-file=l", "--html=h"], []),
        (["--pdb", "--trace", "-x"], ["-x"]),
        (["-p", "pytest_diffopt.paired.worker", "-p", "no:cov"], ["-p", "no:cov"]),
        (["--durations=3", "--maxfail", "2"], ["--durations=3", "--maxfail", "2"]),
    ],
)
def test_options_are_dropped_with_their_values(arguments: list[str], kept: list[str]) -> None:
    """In each form of a value."""
    assert list(_kept(arguments)) == kept


def test_named_tests_are_left_out(pytester: pytest.Pytester) -> None:
    """The second process names its own test; an equal value of another option remains."""
    pytester.makepyfile(test_a="", test_b="")
    config = pytester.parseconfig(
        "test_a.py", "-v", "test_b.py::test_it", "-o", "cache_dir=test_a.py", "--tb=short", "--ignore-glob", "test_a.py"
    )
    folder, *arguments = _command_line(config)

    assert Path(folder) == pytester.path
    assert [one for one in arguments if not one.startswith("--basetemp")] == [
        "-v",
        "-o",
        "cache_dir=test_a.py",
        "--tb=short",
        "--ignore-glob",
        "test_a.py",
    ]
