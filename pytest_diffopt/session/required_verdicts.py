"""`--diffopt-require "gpu>=20, latency>=3"`: the number of verdicts that a run must give to pass."""

import re
from dataclasses import dataclass

from pytest_diffopt.errors import RequirementError, did_you_mean
from pytest_diffopt.guards.verdict import UNPROVEN, Outcome, Verdict
from pytest_diffopt.records import Concern, Device
from pytest_diffopt.session.ledger import Ledger

_OPTION = "--diffopt-require"
_EXAMPLE = 'takes "gpu>=20, latency>=3"'
_REQUIREMENT = re.compile(r"(?P<name>[a-z-]+)\s*>=\s*(?P<number>[0-9]{1,9})")
_CONCERNS = {concern.value.replace(" ", "-"): concern for concern in Concern}
_DEVICES = {"gpu": Device.CUDA} | {device.value: device for device in Device}
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
_KNOWN = (*_DEVICES, *_CONCERNS, *_OUTCOMES)
# Such a verdict compared nothing, so it does not count for its device or concern.
_EMPTY = UNPROVEN | {Outcome.MISSING, Outcome.UNWATCHED}


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """A required number of verdicts of one kind.

    Attributes:
        name: a device, a concern or an outcome, as the user wrote it.
        number: the least number of verdicts.
    """

    name: str
    number: int

    def __str__(self) -> str:
        """Return the requirement as the user writes it."""
        return f"{self.name}>={self.number}"

    def count(self, ledger: Ledger) -> int:
        """Return the number of verdicts; of a device or a concern, only those that compared something count."""
        return sum(self._covers(entry.verdict) for entry in ledger.entries)

    def _covers(self, verdict: Verdict) -> bool:
        if self.name in _OUTCOMES:
            return verdict.outcome is _OUTCOMES[self.name]
        is_named = _DEVICES.get(self.name) is verdict.subject.device or _CONCERNS.get(self.name) is verdict.concern
        return is_named and verdict.outcome not in _EMPTY


def parse_requirements(text: str, *, option: str = _OPTION) -> tuple[Requirement, ...]:
    """Parse `gpu>=20, latency>=3`.

    Args:
        text: what the user wrote.
        option: the option, for messages.

    Raises:
        RequirementError: a part has another form, an unknown name or the number 0, or a name is repeated.
    """
    requirements = tuple(_requirement(part.strip(), option) for part in text.split(","))
    names = [requirement.name for requirement in requirements]
    for name in names:
        if names.count(name) > 1:
            msg = f"{option} names {name!r} twice, got: {text!r}"
            raise RequirementError(msg)
    return requirements


def _requirement(part: str, option: str) -> Requirement:
    found = _REQUIREMENT.fullmatch(part)
    if found is None:
        msg = f"{option} {_EXAMPLE}, got: {part!r}"
        raise RequirementError(msg)
    if found["name"] not in _KNOWN:
        msg = (
            f"{option} knows no {found['name']!r}{did_you_mean(found['name'], _KNOWN)}; "
            f"it takes a device ({', '.join(_DEVICES)}), a concern ({', '.join(_CONCERNS)}) "
            f"or an outcome ({', '.join(_OUTCOMES)})"
        )
        raise RequirementError(msg)
    if int(found["number"]) < 1:
        msg = f"{option} must ask for at least 1, got: {part!r}"
        raise RequirementError(msg)
    return Requirement(name=found["name"], number=int(found["number"]))
