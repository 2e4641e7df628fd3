"""The verdict on a record without evidence: nothing ran where the probe watched, so nothing may pass."""

from collections.abc import Iterable, Mapping, Sequence

from pytest_diffopt.guards.failure_text import explain
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, DenoiserEvidence, Subject

_COMPUTE_THERE = (
    "the call must compute on the device of its pipeline: pass its tensors as arguments instead of holding them "
    "elsewhere, and do not move the models or latents to a fixed device"
)
_COMPILE_WHAT_RUNS = (
    "compile what this call uses: the compiled functions captured no operator (a graph break, torch.compiler.disable), "
    "or were compiled before and are no longer called"
)


def unwatched(
    concern: Concern,
    subject: Subject,
    operations: Sequence[int],
    *,
    seen_by: str,
    denoiser: DenoiserEvidence | None = None,
) -> Verdict | None:
    """Return the verdict `UNWATCHED` if a step, or the whole call, ran no operation on the watched device.

    The same verdict if the denoiser ran none in a step: the scheduler alone is not the loop.

    Args:
        concern: the concern of the guard.
        subject: what was called.
        operations: the number of operations of each step on the watched device; one entry for a call without a loop.
        seen_by: the watched device, for messages.
        denoiser: what the denoisers ran in each step; None without a denoiser.

    Returns:
        The verdict; None if every step ran operations.
    """
    empty = [number for number, count in enumerate(operations) if not count]
    if not empty:
        return _denoiser_elsewhere(concern, subject, denoiser, seen_by) if denoiser else None
    what = "the call" if len(operations) == 1 else _steps(empty, len(operations))
    return unproven(
        concern,
        subject,
        f"no operation of {what} ran on {seen_by}: nothing was watched",
        facts=["operations per step: " + ", ".join(map(str, operations))] if any(operations) else [],
        hint=_COMPUTE_THERE,
        figures={"operations": sum(operations), "unwatched_steps": len(empty)},
    )


def _denoiser_elsewhere(concern: Concern, subject: Subject, denoiser: DenoiserEvidence, seen_by: str) -> Verdict | None:
    """Return the verdict on a loop whose denoiser ran nothing on the watched device; None if it ran there."""
    if denoiser.is_watched:
        return None
    names = tuple(denoiser.calls)
    if not any(denoiser.names_by_step):
        return unproven(
            concern,
            subject,
            "the denoiser was never called in the denoise loop: its operations were not watched",
            facts=[f"the pipeline has {', '.join(names)}"],
            hint=f"the loop must call the pipeline's denoiser as a module ({names[0]}(...)), not one of its "
            "methods or another model",
        )
    steps = _steps(denoiser.unwatched_steps, denoiser.num_steps)
    return unproven(
        concern,
        subject,
        f"no operation of the denoiser ran on {seen_by} in {steps}: its operations were not watched",
        facts=[
            *denoiser.elsewhere,
            *(f"operations of {name} per step: {', '.join(map(str, denoiser.operations[name]))}" for name in names),
        ],
        hint=_COMPUTE_THERE,
        figures={
            "operations": sum(map(sum, denoiser.operations.values())),
            "unwatched_steps": len(denoiser.unwatched_steps),
        },
    )


def unproven(  # noqa: PLR0913 - the parts of a failure
    concern: Concern,
    subject: Subject,
    headline: str,
    *,
    facts: Iterable[str] = (),
    hint: str,
    figures: Mapping[str, float] | None = None,
) -> Verdict:
    """Return the verdict `UNWATCHED`: what was to be judged did not run where the probe watched.

    Args:
        concern: the concern of the guard.
        subject: what was called.
        headline: what did not run, and where; also the line for tables.
        facts: what ran instead.
        hint: what to do.
        figures: the figures of the verdict.
    """
    return Verdict(
        concern=concern,
        outcome=Outcome.UNWATCHED,
        subject=subject,
        summary=headline,
        explanation=explain(headline, facts, seen=f"in {subject}", hint=hint),
        figures=figures or {},
    )


def no_graph_ran(concern: Concern, subject: Subject, calls: str, facts: Iterable[str]) -> Verdict:
    """Return the verdict `UNWATCHED` on calls that ran no compiled graph, although something was compiled.

    Args:
        concern: the concern of the guard.
        subject: what was called.
        calls: the calls, for the headline (`the call`).
        facts: what was compiled, or which calls ran no graph.
    """
    headline = f"no compiled graph ran in {calls}: nothing was checked"
    return unproven(concern, subject, headline, facts=facts, hint=_COMPILE_WHAT_RUNS, figures={"graph_calls": 0})


def _steps(empty: Sequence[int], number: int) -> str:
    if len(empty) == number:
        return "the denoise loop"
    return f"denoise step{'s' if len(empty) > 1 else ''} {', '.join(map(str, empty))}"
