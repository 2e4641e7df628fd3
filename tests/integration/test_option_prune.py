"""`--diffopt-prune` removes baselines that no test owns, and refuses an incomplete collection."""

from pathlib import Path

import pytest

COUNTS = """
import pytest

@pytest.mark.parametrize("size", [{sizes}])
def test_counts(optimized_pipeline, pipeline_inputs, count_baseline, size):
    count_baseline.check(optimized_pipeline, size=size, **pipeline_inputs)
"""


@pytest.fixture
def two_baselines(own_pipeline: pytest.Pytester) -> pytest.Pytester:
    """Return a project with a baseline whose test was removed, and another test file."""
    own_pipeline.makepyfile(test_it=COUNTS.format(sizes="16, 32"), test_other=COUNTS.format(sizes="16"))
    own_pipeline.runpytest_inprocess("--diffopt-update=missing").assert_outcomes(passed=3)
    own_pipeline.makepyfile(test_it=COUNTS.format(sizes="16"))
    return own_pipeline


def names(project: pytest.Pytester) -> list[str]:
    """Return the names of the stored baselines."""
    return sorted(f"{path.parent.name}/{path.name}" for path in (project.path / "baselines").rglob("*.json"))


def test_a_baseline_without_a_test_is_removed_and_listed(two_baselines: pytest.Pytester) -> None:
    """The other baselines are kept."""
    result = two_baselines.runpytest_inprocess("--diffopt-prune")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["removed baselines/simulated/test_it/test_counts[[]32].json", "1 baseline removed"], consecutive=True
    )
    assert names(two_baselines) == ["test_it/test_counts[16].json", "test_other/test_counts[16].json"]


def test_files_that_were_not_collected_keep_their_baselines(two_baselines: pytest.Pytester) -> None:
    """Only the collected test files are pruned."""
    two_baselines.runpytest_inprocess("--diffopt-prune", "test_other.py").assert_outcomes(passed=1)

    assert len(names(two_baselines)) == 3


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-k", "counts"], ""),
        (["-k", "not 16"], "2 tests deselected (-k, -m, --deselect, --lf)"),
        (["test_it.py::test_counts"], "single tests named on the command line"),
    ],
)
def test_a_partial_collection_is_refused(two_baselines: pytest.Pytester, arguments: list[str], reason: str) -> None:
    """Tests that were not collected would count as removed."""
    result = two_baselines.runpytest_inprocess("--diffopt-prune", *arguments)

    if not reason:
        result.assert_outcomes(passed=2)
        return
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: diffopt: --diffopt-prune removes the baselines of tests that are not collected, "
            f"so it needs whole test files, got: {reason}"
        ]
    )
    assert len(names(two_baselines)) == 3


def test_a_folder_outside_of_the_project_is_pruned_too(own_pipeline: pytest.Pytester, tmp_path: Path) -> None:
    """Its files are listed with their absolute path."""
    option = f"--diffopt-baselines={tmp_path / 'elsewhere'}"
    own_pipeline.makepyfile(test_it=COUNTS.format(sizes="16, 32"))
    own_pipeline.runpytest_inprocess(option, "--diffopt-update=missing").assert_outcomes(passed=2)
    own_pipeline.makepyfile(test_it=COUNTS.format(sizes="16"))
    result = own_pipeline.runpytest_inprocess(option, "--diffopt-prune")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"removed {tmp_path}/elsewhere/simulated/test_it/test_counts[[]32].json"])


IMAGES = """
import pytest

@pytest.mark.parametrize("size", [{sizes}])
def test_image(optimized_pipeline, pipeline_inputs, image_baseline, size):
    image_baseline.check(optimized_pipeline, size=size, **pipeline_inputs)
"""


@pytest.mark.parametrize("is_broken", [False, True], ids=["whole", "broken"])
def test_references_are_removed_with_their_document(own_pipeline: pytest.Pytester, *, is_broken: bool) -> None:
    """References of other cases are kept; those of an invalid document are kept and reported."""
    far = own_pipeline.path / "far"
    option = f"--diffopt-references={far.as_uri()}"
    own_pipeline.makepyfile(test_it=IMAGES.format(sizes="16, 32") + COUNTS.format(sizes="16, 32"))
    own_pipeline.runpytest_inprocess(option, "--diffopt-update=missing").assert_outcomes(passed=4)
    before = {path.name for path in far.rglob("*") if path.is_file()}
    own_pipeline.makepyfile(test_it=IMAGES.format(sizes="16") + COUNTS.format(sizes="16"))
    if is_broken:
        document = own_pipeline.path / "baselines/cpu/test_it/test_image[32].json"
        document.write_text(document.read_text().replace('"margin"', '"margins"'))
    result = own_pipeline.runpytest_inprocess(option, "--diffopt-prune")
    after = {path.name for path in far.rglob("*") if path.is_file()}

    result.assert_outcomes(passed=2)
    assert after == (before if is_broken else {name for name in before if name.startswith("test_image[16]")})
    if is_broken:
        result.stdout.fnmatch_lines(
            ["kept the files of baselines/cpu/test_it/test_image[[]32].json: it cannot be read", "2 baselines removed"]
        )
    else:
        result.stdout.fnmatch_lines([f"removed {far.as_uri()}/cpu/test_it/test_image[[]32].0-*.png"])
        result.stdout.fnmatch_lines(["removed baselines/cpu/test_it/test_image[[]32].json"])
