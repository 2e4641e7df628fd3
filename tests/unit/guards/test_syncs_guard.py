"""A sync that is not allowed fails, and so does an allowance that is not needed."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pytest_diffopt.guards.syncs import AllowedSyncs, judge_syncs
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, ObservedSync, SyncRecord
from pytest_diffopt.records.code_location import CodeLocation
from tests.unit.guards.guard_examples import SEEN, SUBJECT

STEP = CodeLocation(
    file="diffusers/schedulers/scheduling_ddim.py",
    line=449,
    function="step",
    source="alpha_prod_t = self.alphas_cumprod[timestep]",
)
GATE = CodeLocation(file="models/own.py", line=7, function="gate", source="if x.max() > 1:")
BARE = CodeLocation(file="models/own.py", line=9, function="bare")
STALE_HINT = "remove or lower it in allow_syncs, so that the sync cannot return unnoticed"


def observed_syncs(where: CodeLocation, per_step: Mapping[int, int], operation: str = ".item()") -> list[ObservedSync]:
    """Return this many syncs of a line in each of these steps."""
    return [
        ObservedSync(kind="read by the host", operation=operation, where=where, step=step)
        for step, count in per_step.items()
        for _ in range(count)
    ]


def record(
    *syncs: ObservedSync,
    num_steps: int = 4,
    unmodelled: tuple[str, ...] = (),
    placeholders: tuple[CodeLocation, ...] = (),
) -> SyncRecord:
    """Return the record of a loop of four steps with these syncs."""
    return SyncRecord(
        subject=SUBJECT,
        num_steps=num_steps,
        syncs=syncs,
        seen_by="the simulated GPU",
        unmodelled=unmodelled,
        placeholders=placeholders,
    )


def allowance(
    where: str = "scheduling_ddim.py:step", *, per_step: int = 2, first_step: int | None = None
) -> AllowedSyncs:
    """Return an allowance for the syncs of DDIM."""
    return AllowedSyncs(where=where, per_step=per_step, first_step=first_step, reason="DDIM reads its alphas")


def judge(*syncs: ObservedSync, allow: tuple[AllowedSyncs, ...] = (), num_steps: int = 4) -> Verdict:
    """Judge a loop with these syncs."""
    return judge_syncs(record(*syncs, num_steps=num_steps), allow=allow)


ALWAYS_TWICE = observed_syncs(STEP, {0: 2, 1: 2, 2: 2, 3: 2})


def test_a_loop_that_never_syncs_passes() -> None:
    """There is no explanation."""
    verdict = judge()

    assert verdict.outcome is Outcome.PASSED
    assert verdict.concern is Concern.SYNCS
    assert verdict.summary == "0 syncs in 4 steps"
    assert verdict.explanation == ()
    assert verdict.figures == {"syncs": 0, "steps": 4, "first_step": 0}


def test_syncs_of_offload_hooks_are_printed_and_allowed() -> None:
    """Of the step with the most of them, with the bytes over the bus; on a GPU, where they are not known, without."""
    offloaded = replace(
        record(),
        offload_syncs=(8, 12, 12, 12),
        bytes_to_device=(1024, 2048, 2048, 2048),
        bytes_to_host=(0, 512, 512, 512),
    )
    cost = "offload hooks, not counted: 12 syncs in step 1"

    verdict = judge_syncs(offloaded)
    assert verdict.outcome is Outcome.PASSED
    assert verdict.summary == f"0 syncs in 4 steps; {cost}, 2.00 KiB to the GPU, 512 B to the host"
    assert verdict.figures == {"syncs": 0, "steps": 4, "first_step": 0, "offload_syncs": 44}
    assert judge_syncs(replace(offloaded, bytes_to_device=(), bytes_to_host=())).summary.endswith(f"; {cost}")


def test_a_failure_prints_the_syncs_of_offload_hooks_apart() -> None:
    """They are not among the syncs that are to be accepted."""
    offloaded = replace(record(*observed_syncs(GATE, {1: 1})), offload_syncs=(0, 1, 0, 0))
    verdict = judge_syncs(offloaded)

    assert verdict.outcome is Outcome.REGRESSED
    assert "  offload hooks, not counted: 1 sync in step 1" in verdict.explanation
    assert verdict.explanation[0].endswith("1 sync per step (0 allowed)")


def test_a_loop_of_one_step_is_written_in_the_singular() -> None:
    """In the summary."""
    assert judge(num_steps=1).summary == "0 syncs in 1 step"


def test_a_sync_fails_with_its_place_its_source_and_an_allowance() -> None:
    """How often, the operation, the place, its source line, the instrument, and the allowance as code."""
    verdict = judge(*ALWAYS_TWICE)

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.summary == "2 syncs in the first step, up to 2 in each later one"
    assert verdict.explanation == (
        "diffopt: the denoise loop synchronizes the CPU with the GPU: 2 syncs per step (0 allowed)",
        "  2/step  .item()  diffusers/schedulers/scheduling_ddim.py:449  in step  (read by the host)",
        "                   alpha_prod_t = self.alphas_cumprod[timestep]",
        f"seen on the simulated GPU, steps 0-3 of 4, {SEEN}",
        'to accept this: allow_syncs=[AllowedSyncs(where="scheduling_ddim.py:step", per_step=2, reason="...")]',
    )
    assert verdict.figures == {"syncs": 8, "steps": 4, "first_step": 2}


def test_the_allowance_of_the_hint_makes_the_guard_pass() -> None:
    """The hint is valid Python, and the same loop passes with it."""
    syncs = [*observed_syncs(STEP, {0: 5, 1: 2, 2: 2, 3: 2}), *observed_syncs(GATE, {0: 1})]
    hint = judge(*syncs).explanation[-1]
    code = hint.removeprefix("to accept this: allow_syncs=")
    allow = eval(code, {"AllowedSyncs": AllowedSyncs})  # noqa: S307 - that it can be evaluated is what is promised

    assert code == (
        '[AllowedSyncs(where="scheduling_ddim.py:step", per_step=2, first_step=5, reason="..."), '
        'AllowedSyncs(where="own.py:gate", per_step=0, first_step=1, reason="...")]'
    )
    assert judge(*syncs, allow=tuple(allow)).outcome is Outcome.PASSED


def test_places_are_aligned_with_the_most_frequent_first() -> None:
    """A place without a known source line has no second line."""
    verdict = judge(*observed_syncs(BARE, {0: 1}, ".nonzero()"), *ALWAYS_TWICE, *observed_syncs(GATE, {2: 1}, "bool()"))

    assert verdict.explanation[1:-2] == (
        "  2/step       .item()     diffusers/schedulers/scheduling_ddim.py:449  in step  (read by the host)",
        "                           alpha_prod_t = self.alphas_cumprod[timestep]",
        "  1 in step 0  .nonzero()  models/own.py:9  in bare  (read by the host)",
        "  1/step       bool()      models/own.py:7  in gate  (read by the host)",
        "                           if x.max() > 1:",
    )


def test_syncs_in_the_first_step_alone_are_reported() -> None:
    """A scheduler that prepares itself synchronizes only once."""
    verdict = judge(*observed_syncs(STEP, {0: 1}))

    assert verdict.summary == "1 sync in the first step, up to 0 in each later one"
    assert verdict.explanation == (
        "diffopt: the denoise loop synchronizes the CPU with the GPU: 1 sync in the first step (0 allowed)",
        "  1 in step 0  .item()  diffusers/schedulers/scheduling_ddim.py:449  in step  (read by the host)",
        "                        alpha_prod_t = self.alphas_cumprod[timestep]",
        f"seen on the simulated GPU, step 0 of 4, {SEEN}",
        (
            "to accept this: allow_syncs=[AllowedSyncs("
            'where="scheduling_ddim.py:step", per_step=0, first_step=1, reason="...")]'
        ),
    )


def test_an_allowance_covers_its_function() -> None:
    """Allowed syncs pass, and the summary still counts them."""
    verdict = judge(*ALWAYS_TWICE, allow=(allowance(),))

    assert verdict.outcome is Outcome.PASSED
    assert verdict.summary == "2 syncs in the first step, up to 2 in each later one"
    assert verdict.explanation == ()


@pytest.mark.parametrize("where", ["scheduling_ddim.py:set_timesteps", "other.py:step"])
def test_an_allowance_covers_nothing_else(where: str) -> None:
    """Neither another function of the file nor the same function name in another file."""
    assert judge(*ALWAYS_TWICE, allow=(allowance(where),)).explanation[0] == (
        "diffopt: the denoise loop synchronizes the CPU with the GPU: 2 syncs per step (0 allowed)"
    )


def test_more_than_the_allowance_fails_with_the_limit() -> None:
    """The step above the limit is shown with all its syncs; steps within the limit are not."""
    verdict = judge(*observed_syncs(STEP, {0: 2, 1: 2, 2: 3, 3: 2}), allow=(allowance(),))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation == (
        "diffopt: the denoise loop synchronizes the CPU with the GPU: 3 syncs per step (2 allowed)",
        "  3/step  .item()  diffusers/schedulers/scheduling_ddim.py:449  in step  (read by the host)",
        "                   alpha_prod_t = self.alphas_cumprod[timestep]",
        f"seen on the simulated GPU, step 2 of 4, {SEEN}",
        (
            "to accept this: allow_syncs=[AllowedSyncs("
            'where="scheduling_ddim.py:step", per_step=3, first_step=0, reason="...")]'
        ),
    )


def test_the_first_step_has_a_limit_of_its_own() -> None:
    """It may have more syncs than the others; above its own limit the message shows that limit."""
    allow = (allowance(per_step=2, first_step=3),)

    assert judge(*observed_syncs(STEP, {0: 3, 1: 2, 2: 2, 3: 2}), allow=allow).outcome is Outcome.PASSED
    assert judge(*observed_syncs(STEP, {0: 4, 1: 2, 2: 2, 3: 2}), allow=allow).explanation[0] == (
        "diffopt: the denoise loop synchronizes the CPU with the GPU: 4 syncs in the first step (3 allowed)"
    )


def test_allowed_syncs_are_left_out_of_a_failure() -> None:
    """The failure and the hint cover only the syncs that are not allowed."""
    verdict = judge(*ALWAYS_TWICE, *observed_syncs(GATE, {1: 1}), allow=(allowance(),))

    assert verdict.explanation == (
        "diffopt: the denoise loop synchronizes the CPU with the GPU: 1 sync per step (0 allowed)",
        "  1/step  .item()  models/own.py:7  in gate  (read by the host)",
        "                   if x.max() > 1:",
        f"seen on the simulated GPU, step 1 of 4, {SEEN}",
        'to accept this: allow_syncs=[AllowedSyncs(where="own.py:gate", per_step=1, first_step=0, reason="...")]',
    )


def test_an_unused_allowance_fails() -> None:
    """A fixed sync must not return unnoticed; the failure shows the reason of the allowance."""
    verdict = judge(allow=(allowance(),))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation == (
        "diffopt: 1 sync allowance is no longer needed",
        "  scheduling_ddim.py:step no longer synchronizes; remove the allowance (its reason: DDIM reads its alphas)",
        f"seen on the simulated GPU, {SEEN}",
        STALE_HINT,
    )


def test_an_allowance_that_grants_too_much_fails() -> None:
    """The failure shows the number of syncs and the limit."""
    verdict = judge(*observed_syncs(STEP, {0: 1, 1: 1, 2: 1, 3: 1}), allow=(allowance(), allowance("own.py:gate")))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation == (
        "diffopt: 2 sync allowances are no longer needed",
        "  own.py:gate no longer synchronizes; remove the allowance (its reason: DDIM reads its alphas)",
        "  scheduling_ddim.py:step synchronizes less often: 1/step (2 allowed)",
        f"seen on the simulated GPU, {SEEN}",
        STALE_HINT,
    )


@pytest.mark.parametrize(
    ("per_step", "outcome"),
    [
        ({0: 2, 1: 2, 2: 2, 3: 2}, Outcome.PASSED),
        ({0: 2, 1: 0, 2: 0, 3: 0}, Outcome.PASSED),  # without a limit of its own, the first step counts as any
        ({0: 0, 1: 2, 2: 0, 3: 0}, Outcome.PASSED),  # some later step needs it all
        ({0: 1, 1: 1, 2: 1, 3: 1}, Outcome.REGRESSED),
    ],
)
def test_an_allowance_is_needed_if_any_step_reaches_its_limit(per_step: dict[int, int], outcome: Outcome) -> None:
    """Steps may differ; an allowance is too wide only if no step reaches its limit."""
    assert judge(*observed_syncs(STEP, per_step), allow=(allowance(per_step=2),)).outcome is outcome


@pytest.mark.parametrize(
    ("per_step", "outcome"),
    [
        ({0: 3, 1: 2, 2: 1}, Outcome.PASSED),
        ({0: 2, 1: 2, 2: 2}, Outcome.REGRESSED),
        ({0: 3, 1: 1, 2: 1}, Outcome.REGRESSED),
    ],
)
def test_an_allowance_for_the_first_step_must_be_used_in_full(per_step: dict[int, int], outcome: Outcome) -> None:
    """Each of its two limits can become too wide."""
    assert judge(*observed_syncs(STEP, per_step), allow=(allowance(per_step=2, first_step=3),)).outcome is outcome


def test_in_a_loop_of_one_step_only_the_first_limit_can_be_too_wide() -> None:
    """There is no later step that could reach the other limit."""
    verdict = judge(*observed_syncs(STEP, {0: 3}), allow=(allowance(per_step=2, first_step=3),), num_steps=1)

    assert verdict.outcome is Outcome.PASSED


def test_limits_of_the_instrument_are_reported() -> None:
    """Operations without a model and reads of placeholder values are listed with the syncs."""
    syncs = observed_syncs(GATE, {0: 1, 1: 1})
    seen = record(*syncs, unmodelled=("own::sort", "torchao::dequantize"), placeholders=(GATE, STEP))

    assert judge_syncs(seen).explanation[3:5] == (
        "  not modelled, so not counted: own::sort, torchao::dequantize",
        (
            "  placeholder values were read, so later code may take a different branch than on a GPU: "
            "models/own.py:7, diffusers/schedulers/scheduling_ddim.py:449"
        ),
    )


@pytest.mark.parametrize("where", ["", "step", "scheduling_ddim.py:", ":step", "a.py:b:c"])
def test_an_allowance_must_name_a_function_of_a_file(where: str) -> None:
    """The message has the required form and the value."""
    with pytest.raises(ValueError, match="where") as error:
        AllowedSyncs(where=where, per_step=1, reason="why")

    assert str(error.value) == f"AllowedSyncs(where=...) must be 'file.py:function', got: {where!r}"


@pytest.mark.parametrize("reason", ["", "  "])
def test_an_allowance_must_have_a_reason(reason: str) -> None:
    """An empty reason raises."""
    with pytest.raises(ValueError, match="reason") as error:
        AllowedSyncs(where="a.py:step", per_step=1, reason=reason)

    message = f"AllowedSyncs(reason=...) must give a reason for the syncs in a.py:step, got: {reason!r}"
    assert str(error.value) == message


@pytest.mark.parametrize(("per_step", "first_step"), [(0, None), (-1, None), (0, 0), (-1, 2), (2, -1)])
def test_an_allowance_must_have_a_positive_limit(per_step: int, first_step: int | None) -> None:
    """Zero everywhere and negative numbers raise."""
    with pytest.raises(ValueError, match="positive") as error:
        AllowedSyncs(where="a.py:step", per_step=per_step, first_step=first_step, reason="why")

    assert str(error.value) == (
        "AllowedSyncs(per_step=..., first_step=...) must allow a positive number of syncs, got: "
        f"AllowedSyncs(where='a.py:step', per_step={per_step}, reason='why', first_step={first_step})"
    )


def test_an_allowance_for_the_first_step_alone_is_valid() -> None:
    """`per_step=0` is valid with a `first_step`."""
    only_first = AllowedSyncs(where="a.py:step", per_step=0, first_step=1, reason="why")

    assert [only_first.limit(step) for step in range(3)] == [1, 0, 0]
