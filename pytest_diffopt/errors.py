"""Every error that this package raises on purpose.

A message says the rule, the value that broke it, where, and what to do.
"""


class DiffoptError(Exception):
    """Something a user asked for cannot be done; the message says why and what to do."""


class SimulationError(DiffoptError):
    """The simulated GPU cannot do what was asked of it."""
