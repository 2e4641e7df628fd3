"""Errors that this package raises for invalid use.

A message states the rule, the value that violates it, where, and what to do. The plugin reports these errors as pytest
failures or usage errors without a traceback.
"""

import difflib
from collections.abc import Iterable

from pytest_diffopt.printable import printable_lines


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'sdxl'?)` for an unknown name, or an empty string without a close match."""
    nearest = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""


class DiffoptError(Exception):
    """A request cannot be fulfilled; the message states why and what to do."""

    def __str__(self) -> str:
        """Return the message; no text in it, such as the name of a pipeline, is a command for what prints it."""
        return printable_lines(super().__str__())


class MarkerError(DiffoptError):
    """A marker is invalid."""


class RequirementError(DiffoptError):
    """The value of `--diffopt-require` is invalid."""


class RecipeError(DiffoptError):
    """A recipe is misspelled, contradicts itself, or cannot be applied to this pipeline."""


class RecipeWarning(UserWarning):
    """A recipe can be applied, but has no useful effect in this form."""


class PipelineError(DiffoptError):
    """A pipeline is unknown, cannot be built, or failed during a measurement."""


class BaselineError(DiffoptError):
    """A baseline cannot be read, verified or written."""


class BrokenBaselineError(BaselineError):
    """The content of a baseline is invalid; accept a new baseline to replace it."""


class SimulationError(DiffoptError):
    """The simulated GPU cannot perform an operation."""


class ProbeError(DiffoptError):
    """A probe cannot measure its target."""
