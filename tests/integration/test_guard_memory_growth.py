"""Calls that leave memory fail their test; memory that is built once, or released, passes."""

import pytest

CASE = """
import gc
import pytest
import small_pipeline
import torch
from pytest_diffopt import PipelineInputs, assert_memory_stable

kept = []
cache = {{}}

def of_prompt(prompt, device):
    if prompt not in cache:
        cache[prompt] = torch.zeros(65536, device=device)
    return cache[prompt]

class Pipeline(small_pipeline.SmallPipeline):
    table = None

    def __call__(self, prompt="", **keywords):
        {inject}
        return super().__call__(prompt, **keywords)

@pytest.fixture
def optimized_pipeline():
    return small_pipeline.build(pipeline=Pipeline)

CALLS = [
    PipelineInputs({{"prompt": "a red circle"}}),
    PipelineInputs({{"prompt": "a blue square"}}).varied("more steps", num_inference_steps=5),
    PipelineInputs({{"prompt": "a green cross"}}, label="another prompt"),
]

def test_memory(optimized_pipeline):
    before = gc.get_threshold(), gc.get_freeze_count() > 0
    try:
        assert_memory_stable(optimized_pipeline, {calls}{options})
    finally:
        assert (gc.get_threshold(), gc.get_freeze_count() > 0) == before
        kept.clear()
        cache.clear()
"""
KEPT_IN_EACH_CALL = "kept.append(torch.zeros(16384, device=self.device))"
KEPT_FOR_EACH_PROMPT = "of_prompt(prompt, self.device)"


def run(
    project: pytest.Pytester, inject: str, *arguments: str, calls: str = "CALLS", options: str = ""
) -> pytest.RunResult:
    """Run one assertion on a pipeline whose calls begin with a line of code."""
    project.makepyfile(test_it=CASE.format(inject=inject, calls=calls, options=options))
    return project.runpytest_inprocess(*arguments)


def test_memory_kept_in_each_call_fails(own_pipeline: pytest.Pytester) -> None:
    """64 KiB in each call: how much after which call, and the line that allocated it."""
    result = run(own_pipeline, KEPT_IN_EACH_CALL)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: live memory grew by 192 KiB over 3 calls (0 B allowed)",
            "  * KiB before, * KiB after the same call",
            "  after more steps      64.0 KiB more",
            "  after another prompt  64.0 KiB more",
            "  after call 1, again   64.0 KiB more",
            "  more is held, by the line that allocated it:",
            "    192 KiB  test_it.py:19  kept.append(torch.zeros(16384, device=self.device))",
            "seen by the simulated GPU, pipeline Pipeline (weights: the user's own)",
            "release what a call leaves: no list, hook or unbounded cache may keep its tensors; to accept this: "
            "max_growth_bytes=196608 with the reason in a comment",
        ],
        consecutive=True,
    )


def test_a_cache_that_grows_with_each_prompt_fails(own_pipeline: pytest.Pytester) -> None:
    """Repeating one call does not grow it; calls with three prompts do."""
    result = run(own_pipeline, KEPT_FOR_EACH_PROMPT)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: live memory grew by 512 KiB over 3 calls (0 B allowed)",
            "  after more steps      256 KiB more",
            "  after another prompt  256 KiB more",
            "  more is held, by the line that allocated it:",
            "    512 KiB  test_it.py:12  cache[[]prompt[]] = torch.zeros(65536, device=device)",
        ]
    )


@pytest.mark.parametrize(
    ("inject", "calls", "options"),
    [
        ("pass", "CALLS", ""),
        ("self.table = self.table if self.table is not None else torch.zeros(65536, device=self.device)", "CALLS", ""),
        ("last = [torch.zeros(65536, device=self.device)]; last.append(last)", "CALLS", ""),
        (KEPT_FOR_EACH_PROMPT, "CALLS[:1]", ""),
        (KEPT_FOR_EACH_PROMPT, "CALLS", ", max_growth_bytes=2 * 262144"),
    ],
    ids=["clean", "built once", "a reference cycle", "one prompt", "allowed"],
)
def test_memory_that_does_not_grow_passes(own_pipeline: pytest.Pytester, inject: str, calls: str, options: str) -> None:
    """What is built at first use stays; a cycle is garbage; an allowed cache is bounded by its limit."""
    result = run(own_pipeline, inject, "-v", calls=calls, options=options)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["passed * memory *live memory * KiB, * over *"])


def test_a_call_inside_a_change_is_made_inside_it(own_pipeline: pytest.Pytester) -> None:
    """The growth is attributed to the call with the change."""
    inject = "kept.append(torch.zeros(16384, device=self.device)) if getattr(self, 'leaks', False) else None"
    calls = (
        "[CALLS[0], CALLS[0].within('leaking', lambda pipeline: __import__('unittest.mock', fromlist=['patch'])"
        ".patch.object(pipeline, 'leaks', True, create=True))]"
    )
    result = run(own_pipeline, inject, calls=calls)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["diffopt: live memory grew by 64.0 KiB over 2 calls (0 B allowed)", "  after leaking  64.0 KiB more"]
    )


def test_a_call_that_runs_elsewhere_is_unwatched(own_pipeline: pytest.Pytester) -> None:
    """No operation ran on the simulated GPU, so no memory was watched."""
    own_pipeline.makepyfile(
        test_it="""
import torch
from pytest_diffopt import assert_memory_stable

def test_memory():
    assert_memory_stable(lambda: torch.ones(3) + 1, [{}])
"""
    )
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["diffopt: no operation of the call ran on the simulated GPU: nothing was watched"])


@pytest.mark.parametrize(
    ("calls", "options", "message"),
    [
        ("[]", "", "assert_memory_stable needs at least one call, got: none; pass the keywords of each call in a list"),
        (
            "CALLS[0]",
            "",
            "assert_memory_stable takes a list of calls, got: the keywords of one call; "
            "pass [pipeline_inputs] or pipeline_variations",
        ),
        (
            "CALLS",
            ", max_growth_bytes=-1",
            "assert_memory_stable(max_growth_bytes=...) must be at least 0, got: -1",
        ),
    ],
    ids=["no call", "one call's keywords", "negative"],
)
def test_invalid_arguments_are_errors(own_pipeline: pytest.Pytester, calls: str, options: str, message: str) -> None:
    """Each message has the rule, the value and what to pass instead."""
    result = run(own_pipeline, "pass", calls=calls, options=options)

    result.assert_outcomes(failed=1)
    assert f"diffopt: {message}" in result.outlines


def test_an_error_of_the_pipeline_is_noted(own_pipeline: pytest.Pytester) -> None:
    """The note names what was measured."""
    result = run(own_pipeline, "raise ValueError('broken')")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*diffopt: raised * while measuring memory, pipeline Pipeline *"])
