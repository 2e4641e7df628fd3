"""The value of an option after a blank does not become pytest's root folder."""

import pytest

TEST = """
import pytest

@pytest.mark.diffopt
def test_it():
    pass
"""


@pytest.mark.usefixtures("warm_processes")
def test_a_folder_outside_of_the_project_is_refused(
    pytester: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The keys of all baselines would be others, and an ini file elsewhere would be read."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    pytester.makepyfile(test_it=TEST)
    refused = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--diffopt-baselines", str(elsewhere))

    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(
        [
            f"ERROR: diffopt: pytest takes {elsewhere} in `--diffopt-baselines {elsewhere}` for a path of tests, and "
            f"made * its root folder: write --diffopt-baselines={elsewhere}"
        ]
    )


@pytest.mark.usefixtures("warm_processes")
@pytest.mark.parametrize("ini", ["", "[pytest]"])
@pytest.mark.parametrize("value", ["--diffopt-baselines={}", "--diffopt-baselines {} --rootdir ."])
def test_other_forms_keep_the_root_folder(
    pytester: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory, ini: str, value: str
) -> None:
    """An equals sign, or a root folder that is given."""
    if ini:
        pytester.makeini(ini)
    pytester.makepyfile(test_it=TEST)
    options = value.format(tmp_path_factory.mktemp("elsewhere")).split()
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *options, "test_it.py")

    result.assert_outcomes(passed=1)
    assert f"rootdir: {pytester.path}" in result.outlines
