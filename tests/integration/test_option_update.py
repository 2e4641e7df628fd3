"""`--diffopt-update` is the only option that writes baselines, and is refused in CI by default."""

import pytest

COUNTS = """
def test_counts(optimized_pipeline, pipeline_inputs, count_baseline):
    count_baseline.check(optimized_pipeline, **pipeline_inputs)
"""


def test_missing_writes_only_missing_baselines(own_pipeline: pytest.Pytester) -> None:
    """Existing baselines are unchanged to the byte."""
    own_pipeline.makepyfile(test_it=COUNTS)
    own_pipeline.runpytest_inprocess("--diffopt-update=missing")
    (path,) = (own_pipeline.path / "baselines").rglob("*.json")
    path.write_text(path.read_text().replace('"reason": "', '"reason": "by hand, '))
    before = path.read_bytes()
    result = own_pipeline.runpytest_inprocess("--diffopt-update=missing")

    result.assert_outcomes(passed=1)
    assert path.read_bytes() == before


def test_an_unknown_choice_is_refused(own_pipeline: pytest.Pytester) -> None:
    """The message lists the choices."""
    result = own_pipeline.runpytest_inprocess("--diffopt-update=some")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*argument --diffopt-update: invalid choice: 'some'*missing*all*"])


def test_a_folder_that_cannot_be_written_is_an_error(own_pipeline: pytest.Pytester) -> None:
    """A file has the path of the folder of baselines."""
    own_pipeline.makepyfile(test_it=COUNTS)
    (own_pipeline.path / "baselines").write_text("")
    result = own_pipeline.runpytest_inprocess("--diffopt-update=missing", "--tb=short")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["diffopt: cannot * the baseline *: Not a directory *"])


def test_two_tests_that_own_one_file_are_refused(own_pipeline: pytest.Pytester) -> None:
    """Names that differ only in case share a file on some machines: they are refused before any test runs."""
    own_pipeline.makepyfile(test_it=COUNTS + COUNTS.replace("test_counts", "test_COUNTS"))
    result = own_pipeline.runpytest_inprocess()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: diffopt: two tests own one baseline: test_it.py::test_counts and test_it.py::test_COUNTS; "
            "rename one of them"
        ]
    )


def test_a_second_check_in_one_test_is_refused(own_pipeline: pytest.Pytester) -> None:
    """It would overwrite the baseline of the first."""
    own_pipeline.makepyfile(
        test_it="""
        def test_both(optimized_pipeline, pipeline_inputs, count_baseline, memory_baseline):
            count_baseline.check(optimized_pipeline, **pipeline_inputs)
            memory_baseline.check(optimized_pipeline, **pipeline_inputs)
        """
    )
    result = own_pipeline.runpytest_inprocess("--diffopt-update=missing", "--tb=short")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["diffopt: test_it.py::test_both uses the baseline * for counts and for memory*"])


@pytest.mark.usefixtures("warm_processes")
def test_two_xdist_workers_write_all_their_baselines(project: pytest.Pytester) -> None:
    """The next run passes with them; the test's own clock replaces the timer."""
    project.makepyfile(
        test_it="""
        import itertools
        import pytest
        from pytest_diffopt.probes import latency

        @pytest.fixture(autouse=True)
        def clock(monkeypatch):
            readings = itertools.count(step=10_000_000)
            monkeypatch.setattr(latency.measure_latency, "__kwdefaults__", {
                **latency.measure_latency.__kwdefaults__, "clock": lambda: next(readings)})

        @pytest.mark.parametrize("case", range(8))
        def test_latency(case, latency_baseline):
            latency_baseline.check(lambda: None)
        """
    )
    options = ("-n2", "--diffopt-max-seconds=1")
    accepting = project.runpytest_subprocess("--diffopt-update=missing", *options, timeout=600)
    later = project.runpytest_subprocess(*options, timeout=600)

    accepting.assert_outcomes(passed=8)
    later.assert_outcomes(passed=8)
    assert len(list((project.path / "baselines").rglob("*.json"))) == 8
