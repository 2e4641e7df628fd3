"""Every error that this package raises on purpose.

A message says the rule, the value that broke it, where, and what to do. The plugin turns each of them into pytest's own
kind of failure, so a user never meets a traceback for something that a user did.
"""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Write ` (did you mean 'sdxl'?)` for an unknown name, or nothing where no known one is near."""
    nearest = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""


class DiffoptError(Exception):
    """Something a user asked for cannot be done; the message says why and what to do."""


class MarkerError(DiffoptError):
    """A marker cannot be read."""


class RequirementError(DiffoptError):
    """What `--diffopt-require` asks for cannot be read."""


class RecipeError(DiffoptError):
    """A recipe is misspelt, contradicts itself, or cannot be applied to this pipeline."""


class RecipeWarning(UserWarning):
    """A recipe can be applied, and is known to make no sense as it stands."""


class PipelineError(DiffoptError):
    """A pipeline is unknown, cannot be built, or failed while it was watched."""


class BaselineError(DiffoptError):
    """A baseline cannot be read, trusted or written."""


class BrokenBaselineError(BaselineError):
    """A baseline's content cannot be trusted; accepting a new one fixes that."""


class SimulationError(DiffoptError):
    """The simulated GPU cannot do what was asked of it."""


class ProbeError(DiffoptError):
    """A probe cannot see what it was asked to watch."""
