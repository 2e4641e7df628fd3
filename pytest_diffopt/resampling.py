"""What a sequential rule would say of many sessions like those that were measured: drawn again from their own values.

Source: Künsch, "The Jackknife and the Bootstrap for General Stationary Observations", Annals of Statistics 17 (1989):
values that follow each other are drawn together, so that what makes them alike is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_diffopt.statistics import anytime_half_width

#: So many values that followed each other are drawn together.
_RUN = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """Of many sessions, the share that ended in each way.

    Attributes:
        above: the bound came to lie wholly above the limit first.
        below: it came to lie wholly below first.
        mean_count: how many values a session needed, or had.
    """

    above: float
    below: float
    mean_count: float


def sequential_shares(  # noqa: PLR0913 - a rule, and how to draw
    measured: Sequence[Sequence[float]],
    *,
    shift: float,
    limit: float,
    count: int,
    confidence: float,
    sessions: int = 2000,
    seed: int = 0,
) -> Shares:
    """Draw sessions from measured values and look at each after every value, as the rule does.

    Args:
        measured: values in the order in which they were measured, one sequence for each pair of processes; a session is
            drawn from one of them, because two processes of the same code differ a little.
        shift: what is added to every value: a slowdown that was not there.
        limit: what the bound must clear.
        count: how many values a session has at most.
        confidence: of the bound.
        sessions: how many are drawn.
        seed: of the draw.
    """
    import numpy as np  # noqa: PLC0415 - only who calibrates waits for it

    generator = np.random.default_rng(seed)
    drawn = np.stack([_session(generator, measured, count) for _ in range(sessions)]) + shift
    numbers = np.arange(1, count + 1)
    means = drawn.cumsum(axis=1) / numbers
    squares = np.maximum(0.0, (drawn**2).cumsum(axis=1) - numbers * means**2)
    # The half width is the standard deviation times a factor that depends on the number of values alone.
    factors = np.array([anytime_half_width(1.0, count=int(number), confidence=confidence) for number in numbers])
    deviations = np.sqrt(squares / np.maximum(1, numbers - 1))
    half_widths = np.where(np.isfinite(factors), deviations * np.where(np.isfinite(factors), factors, 0.0), np.inf)
    first_above, first_below = _first(means - half_widths > limit), _first(means + half_widths < limit)
    return Shares(
        above=float((first_above < first_below).mean()),
        below=float((first_below < first_above).mean()),
        mean_count=float(np.minimum(np.minimum(first_above, first_below) + 1, count).mean()),
    )


def _session(generator: Any, measured: Sequence[Sequence[float]], count: int) -> Any:
    import numpy as np  # noqa: PLC0415 - as above

    values = np.asarray(measured[int(generator.integers(len(measured)))])
    starts = generator.integers(len(values), size=-(-count // _RUN))
    places = (starts[:, None] + np.arange(_RUN)).ravel()[:count] % len(values)
    return values[places]


def _first(happened: Any) -> Any:
    """Return where each row is first true; behind its end where it never is."""
    import numpy as np  # noqa: PLC0415 - as above

    return np.where(happened.any(axis=1), happened.argmax(axis=1), happened.shape[1])
