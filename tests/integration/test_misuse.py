"""A misused assertion or command ends with one sentence and without a traceback."""

import pytest

from pytest_diffopt.__main__ import main

HINT = 'pass the object itself, such as the fixture optimized_pipeline of @pytest.mark.diffopt(pipeline="sdxl")'
PROJECT = """
import pytest
import small_pipeline
from pytest_diffopt import AllowedSyncs, PipelineInputs, assert_no_syncs, assert_repeatable

def test_name():
    assert_no_syncs("sdxl")

def test_texts(optimized_pipeline):
    assert_no_syncs(optimized_pipeline, allow_syncs=["scheduler.py:step"])

def test_one_allowance(optimized_pipeline):
    assert_no_syncs(optimized_pipeline, allow_syncs=AllowedSyncs(where="a.py:f", per_step=1, reason="needed"))

def test_dictionary(count_baseline, optimized_pipeline):
    count_baseline.check(optimized_pipeline, {"num_inference_steps": 4})

def test_dictionary_of_a_function():
    def denoise(steps=1):
        return steps
    assert_repeatable(denoise, {"steps": 2})

def test_list():
    PipelineInputs([1])
"""
SENTENCES = [
    f"diffopt: the target of assert_no_syncs must be a pipeline, module or function, got: 'sdxl': {HINT}",
    "diffopt: assert_no_syncs(allow_syncs=...) must be a list of AllowedSyncs, got: ['scheduler.py:step']: "
    'write [AllowedSyncs(where="file.py:function", per_step=1, reason="...")]',
    "diffopt: assert_no_syncs(allow_syncs=...) must be a list of AllowedSyncs, got: "
    "AllowedSyncs(where='a.py:f', per_step=1, reason='needed', first_step=None): "
    'write [AllowedSyncs(where="file.py:function", per_step=1, reason="...")]',
    "diffopt: count_baseline.check takes the call's keywords as **inputs, got: a dictionary as an argument of the "
    "call: write count_baseline.check(pipeline, **inputs)",
    "diffopt: assert_repeatable takes the call's keywords as **inputs, got: a dictionary as an argument of the call: "
    "write assert_repeatable(pipeline, **inputs)",
    "diffopt: PipelineInputs(...) must be a mapping of keywords to values, got: [1]: "
    'write {"prompt": ..., "num_inference_steps": 4}',
]


def test_a_misused_assertion_is_one_sentence(own_pipeline: pytest.Pytester) -> None:
    """It has the rule, the value and what to write instead."""
    own_pipeline.makepyfile(test_it=PROJECT)
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(failed=len(SENTENCES))
    result.stdout.fnmatch_lines([sentence.replace("[", "[[]") for sentence in SENTENCES])
    assert not any("Error" in line and "Traceback" in line for line in result.outlines)
    assert not any(line.startswith(">") for line in result.outlines)  # a line of code of a traceback


def test_a_correct_use_of_the_same_is_not_refused(own_pipeline: pytest.Pytester) -> None:
    """A dictionary that a function takes as its argument, and keywords as documented."""
    own_pipeline.makepyfile(
        test_it="""
        import torch
        from pytest_diffopt import PipelineInputs, assert_repeatable

        def total(sizes):
            return torch.tensor([float(sum(sizes.values()))])

        def test_a_function_of_a_dictionary():
            assert_repeatable(total, {"a": 1})

        def test_keywords(optimized_pipeline, pipeline_inputs):
            assert_repeatable(optimized_pipeline, **pipeline_inputs)
            assert_repeatable(optimized_pipeline, PipelineInputs(pipeline_inputs, seed=None))
        """
    )
    own_pipeline.runpytest_inprocess().assert_outcomes(passed=2)


@pytest.mark.usefixtures("_everything_imported")
@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("my_module.fn", "my_module.fn has no colon: write my_module:fn to call a function"),
        ("a.b.c", "a.b.c has no colon: write a.b:c to call a function"),
        ("my_module:", "my_module: must be module:function, such as my_module:build"),
        (":fn", ":fn must be module:function, such as my_module:build"),
        ("", "the target must be a registered pipeline, a folder or module:function, got: ''"),
    ],
)
def test_a_mistyped_target_of_the_profile(capsys: pytest.CaptureFixture[str], target: str, problem: str) -> None:
    """The most likely correction is in the message."""
    assert main(["profile", target]) == 2
    assert capsys.readouterr().err == f"error: {problem}\n"


@pytest.mark.parametrize("command", [["report"], ["summary"], ["merge", "--into=merged"], ["profile"]])
def test_a_nul_character_in_a_path(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    """No file has such a name; Python's own error is a traceback."""
    assert main([*command, "a\0b"]) == 2
    assert capsys.readouterr().err == "error: an argument must not contain a NUL character, got: 'a\\x00b'\n"


def test_a_nul_character_in_the_ini_file(pytester: pytest.Pytester) -> None:
    """It is a usage error and not an internal one."""
    pytester.makeini("[pytest]\ndiffopt_report = a\0b")
    result = pytester.runpytest_inprocess()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: diffopt_report must not contain a NUL character, got: 'a\\x00b'"])


def test_a_latency_without_a_gpu_and_without_a_baseline(own_pipeline: pytest.Pytester) -> None:
    """On the CPU the call is timed as on a GPU: the message has the latency, where it was seen, and the command."""
    own_pipeline.makepyfile(
        test_it="""
        import pytest

        def test_latency(latency_baseline, optimized_pipeline, pipeline_inputs):
            latency_baseline.check(optimized_pipeline, **pipeline_inputs)

        @pytest.mark.gpu
        def test_on_a_gpu(latency_baseline, optimized_pipeline, pipeline_inputs):
            latency_baseline.check(optimized_pipeline, **pipeline_inputs)
        """
    )
    result = own_pipeline.runpytest_inprocess("-rs", "--diffopt-max-seconds=0.1")

    result.assert_outcomes(failed=1, skipped=1)
    result.stdout.re_match_lines(
        [
            r"diffopt: no latency baseline has been accepted: .* steps/s$",
            r"seen on .*, pipeline SmallPipeline \(weights: the user's own\)$",
            r"to accept it: pytest .*test_it\.py::test_latency .*--diffopt-update missing$",
            r"$",
            r"test_it\.py:4: in test_latency$",
            r"    latency_baseline\.check\(optimized_pipeline, \*\*pipeline_inputs\)$",
            r"SKIPPED \[1\] test_it\.py:.*: needs a GPU: run with --diffopt-gpu$",
        ],
    )
