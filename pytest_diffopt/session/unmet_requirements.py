"""What a session did not prove although its tests passed."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pytest_diffopt.guards.failure_text import counted
from pytest_diffopt.guards.verdict import UNPROVEN
from pytest_diffopt.session.ledger import Ledger
from pytest_diffopt.session.required_verdicts import Requirement, parse_requirements
from pytest_diffopt.session.settings import InconclusivePolicy, Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class UnmetRequirement:
    """Something that was not proven.

    Attributes:
        text: what was not proven and why, in one line.
        is_failure: whether the run fails; otherwise it is only reported.
    """

    text: str
    is_failure: bool


def find_unmet_requirements(ledger: Ledger, settings: Settings) -> list[UnmetRequirement]:
    """Return the unmet requirements of the session, failures first."""
    if settings.is_paired_worker:  # another process judges
        return []
    found = [
        *_lost_workers(ledger),
        *_gpu_unused(ledger, settings),
        *_unmet(ledger, settings),
        *_undecided(ledger, settings),
    ]
    return sorted(found, key=lambda unmet_requirement: not unmet_requirement.is_failure)


def _lost_workers(ledger: Ledger) -> Iterator[UnmetRequirement]:
    if ledger.lost_workers:
        workers = counted(len(ledger.lost_workers), "worker")
        yield UnmetRequirement(
            text=f"lost {workers} before the end ({'; '.join(ledger.lost_workers)})",
            is_failure=bool(ledger.broken),  # the test that ran there, unless a plugin ran it again
        )


def _gpu_unused(ledger: Ledger, settings: Settings) -> Iterator[UnmetRequirement]:
    """Report that `--diffopt-gpu` had no effect; a failure only if diffopt tests were collected."""
    if not settings.use_gpu:
        return
    option, device = ("--diffopt-null-gpu", "null GPU") if settings.null_gpu else ("--diffopt-gpu", "GPU")
    skipped = [case.skip_reason for case in ledger.skipped()]
    reasons = "; ".join(reasons_of(skipped))
    if not ledger.cases:
        yield UnmetRequirement(text=f"{option} was given, but no diffopt test ran", is_failure=False)
    elif len(skipped) == len(ledger.cases):
        text = f"{option} was given, but no diffopt test ran on the {device} ({reasons})"
        yield UnmetRequirement(text=text, is_failure=True)
    elif skipped:
        text = f"{len(skipped)} of {len(ledger.cases)} diffopt tests proved nothing ({reasons})"
        yield UnmetRequirement(text=text, is_failure=False)


def _unmet(ledger: Ledger, settings: Settings) -> Iterator[UnmetRequirement]:
    if settings.required:
        yield from unmet(parse_requirements(settings.required), ledger, option="--diffopt-require")


def unmet(requirements: Iterable[Requirement], ledger: Ledger, *, option: str) -> Iterator[UnmetRequirement]:
    """Yield the requirements that a ledger does not meet.

    Args:
        requirements: the required numbers of verdicts.
        ledger: the verdicts.
        option: the option that requires them, for messages.
    """
    for requirement in requirements:
        count = requirement.count(ledger)
        if count < requirement.number:
            text = f"{option} asks for {requirement}, got: {counted(count, 'verdict')}"
            yield UnmetRequirement(text=text, is_failure=True)


def _undecided(ledger: Ledger, settings: Settings) -> Iterator[UnmetRequirement]:
    counts = ledger.counts()
    parts = [f"{counts[outcome]} {outcome}" for outcome in sorted(UNPROVEN) if counts[outcome]]
    if parts:
        number = sum(counts[outcome] for outcome in UNPROVEN)
        yield UnmetRequirement(
            text=f"{counted(number, 'verdict')} decided nothing: {', '.join(parts)}",
            is_failure=settings.inconclusive is InconclusivePolicy.FAIL,
        )


def reasons_of(reasons: Iterable[str]) -> list[str]:
    """Return each reason once with its count, the most frequent first."""
    return [f"{number}x {reason}" if number > 1 else reason for reason, number in Counter(reasons).most_common()]
