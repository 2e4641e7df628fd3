"""The exception of an assertion whose verdict fails a test."""

from typing import Any

from pytest_diffopt.guards.verdict import Verdict


class DiffoptAssertionError(AssertionError):
    """A guard's verdict fails the test. Its text is the explanation that the report shows.

    Attributes:
        verdict: the verdict, with its outcome and figures.
    """

    def __init__(self, text: str, verdict: Verdict) -> None:
        super().__init__(text)
        self.verdict = verdict

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the verdict too: a process pool sends an exception to the process that asked for the result."""
        return type(self), (str(self), self.verdict)


# Tracebacks and reports show the name from which it is imported.
DiffoptAssertionError.__module__ = "pytest_diffopt"
