"""`--diffopt-report DIR` writes the whole ledger into `report.json`."""

import json

import pytest

TWO_VERDICTS = """
import numpy as np
import pytest
from pytest_diffopt import assert_images_similar, assert_repeatable

IMAGE = np.linspace(0, 1, 16 * 16 * 3).reshape(1, 16, 16, 3)

@pytest.mark.diffopt(recipe="fp32")
def test_good(optimized_pipeline, pipeline_inputs):
    assert_repeatable(optimized_pipeline, **pipeline_inputs)

def test_bad(optimized_pipeline):
    assert_images_similar(1 - IMAGE, IMAGE)

def test_equal(optimized_pipeline):
    assert_images_similar(IMAGE, IMAGE)
"""
KEYS_OF_REPORT = ["broken", "counts", "schema_version", "shards", "skipped", "unmet_requirements", "verdicts"]
WITHOUT_VERDICTS = """
import pytest
from pytest_diffopt import assert_repeatable

@pytest.mark.diffopt(recipe="fp32")
@pytest.mark.gpu
def test_on_a_gpu(optimized_pipeline):
    assert_repeatable(lambda: 1)

def test_without_diffopt():
    pytest.skip("not a diffopt test")

@pytest.fixture
def broken():
    raise OSError("no weights here")

def test_with_broken_setup(broken):
    assert_repeatable(lambda: 1)
"""


def test_the_report_contains_every_verdict_and_its_record(own_pipeline: pytest.Pytester) -> None:
    """Verdicts are in the order of the tests, each with its record; the environment is listed once."""
    own_pipeline.makepyfile(test_it=TWO_VERDICTS)
    result = own_pipeline.runpytest_inprocess("--diffopt-report=out/report")
    text = (own_pipeline.path / "out/report/report.json").read_text(encoding="utf-8")
    report = json.loads(text)

    result.assert_outcomes(passed=2, failed=1)
    assert sorted(report) == KEYS_OF_REPORT
    (shard,) = report["shards"]
    assert report["schema_version"] == 3
    assert (shard["name"], shard["scale"]) == ("", "tiny")
    assert report["counts"] == {"passed": 2, "regressed": 1}
    assert sorted(shard["environment"]) == ["device", "device_slug", "versions"]
    assert {"python", "torch", "diffusers"} <= set(shard["environment"]["versions"])
    good, bad, _equal = report["verdicts"]
    assert good == {
        "nodeid": "test_it.py::test_good",
        "verdict": {
            "concern": "repeatability",
            "outcome": "passed",
            "subject": {
                "pipeline": "SmallPipeline",
                "scale": "",
                "recipe": "fp32",
                "weights": "the user's own",
                "device": "cpu",
                "rank": "",
            },
            "summary": "equal bits",
            "explanation": [],
            "figures": {"differing_values": 0, "max_error": 0.0},
            "changes": [],
            "environment_changes": [],
        },
        "record": {
            "subject": good["verdict"]["subject"],
            "differing_values": 0,
            "values": 768,
            "max_error": 0.0,
            "call": "",
            "in_second_process": False,
            "output": "images",
        },
        "shard": "",
    }
    assert bad["verdict"]["outcome"] == "regressed"
    assert bad["verdict"]["explanation"][0] == "diffopt: 1 of 1 image differs from the reference"


def test_non_finite_numbers_are_strings(own_pipeline: pytest.Pytester) -> None:
    """Equal images have an infinite PSNR, and strict JSON parsers refuse `Infinity`."""
    own_pipeline.makepyfile(test_it=TWO_VERDICTS)
    own_pipeline.runpytest_inprocess("--diffopt-report=report")
    report = json.loads((own_pipeline.path / "report/report.json").read_text(encoding="utf-8"))

    assert report["verdicts"][2]["verdict"]["figures"]["psnr_db"] == "inf"


def test_the_ini_option_writes_a_report(own_pipeline: pytest.Pytester) -> None:
    """`diffopt_report = DIR` is relative to the root folder."""
    own_pipeline.makeini("[pytest]\ndiffopt_report = report")
    own_pipeline.makepyfile(test_it=TWO_VERDICTS)
    own_pipeline.runpytest_inprocess()

    assert (own_pipeline.path / "report/report.json").is_file()


def test_a_run_without_verdicts_writes_an_empty_report(project: pytest.Pytester) -> None:
    """A missing file would look like a run that never happened."""
    project.makepyfile(test_it="def test_other(): pass")
    project.runpytest_inprocess("--diffopt-report=report")
    report = json.loads((project.path / "report/report.json").read_text(encoding="utf-8"))

    assert report["verdicts"] == []


def test_tests_without_a_verdict_are_reported_with_their_reason(own_pipeline: pytest.Pytester) -> None:
    """Skipped diffopt tests, and every failure without a failing verdict, including collection errors."""
    own_pipeline.makepyfile(test_it=WITHOUT_VERDICTS, test_more="import nowhere_to_be_found")
    own_pipeline.runpytest_inprocess("--diffopt-report=report", "--continue-on-collection-errors")
    report = json.loads((own_pipeline.path / "report/report.json").read_text(encoding="utf-8"))
    (skipped,), (uncollected, failed) = report["skipped"], report["broken"]

    assert (skipped["nodeid"], skipped["skip_reason"]) == (
        "test_it.py::test_on_a_gpu",
        "needs a GPU: run with --diffopt-gpu",
    )
    assert uncollected["nodeid"] == "test_more.py"
    assert "No module named 'nowhere_to_be_found'" in uncollected["details"]
    assert (failed["nodeid"], failed["reason"]) == (
        "test_it.py::test_with_broken_setup",
        "OSError: no weights here",
    )
    assert "def broken():" in failed["details"]


def test_a_folder_that_is_a_file_is_an_error(project: pytest.Pytester) -> None:
    """The run fails with the option, the value and the reason, without a traceback."""
    (project.path / "report").write_text("", encoding="utf-8")
    project.makepyfile(test_it="def test_other(): pass")
    result = project.runpytest_inprocess("--diffopt-report=report")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        f"ERROR: diffopt: --diffopt-report must name a folder that can be written, got: {project.path / 'report'} "
        "(File exists)" in result.errlines
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_an_unwritable_folder_is_an_error(project: pytest.Pytester) -> None:
    """A path below a file cannot be created by any user, including root."""
    (project.path / "file").write_text("", encoding="utf-8")
    project.makepyfile(test_it="def test_other(): pass")
    result = project.runpytest_inprocess("--diffopt-report=file/report")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "ERROR: diffopt: --diffopt-report must name a folder that can be written, "
        f"got: {project.path / 'file/report'} (Not a directory)" in result.errlines
    )
