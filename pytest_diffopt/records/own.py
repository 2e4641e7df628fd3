"""What a guard outside this package measured."""

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_diffopt.records.subject import Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnRecord:
    """The figures of a guard outside this package.

    Attributes:
        subject: what was measured.
        guard: the name of the guard.
        figures: what it measured, with units in the names.
    """

    subject: Subject
    guard: str
    figures: Mapping[str, float]
