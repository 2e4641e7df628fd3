"""How many independent values a series of dependent ones is worth: pure functions.

Times of calls that follow one another are alike: the GPU is warm or cool, another process runs or does not. The
standard error of their mean is then larger than that of as many independent values.

Source:
    The initial monotone sequence estimator of the asymptotic variance of a mean; Geyer, "Practical Markov Chain Monte
    Carlo", Statistical Science 7 (1992), section 3.3. It needs no batch size and assumes a stationary, reversible
    series. Stopping at a sum of neighbouring autocorrelations that is not positive cuts off the noise of large lags.
"""

import statistics
from collections.abc import Iterator, Sequence

_ROUNDING = 1e-12


def effective_count(values: Sequence[float]) -> float:
    """Return the number of independent values whose mean has the standard error of the mean of these.

    Neighbours that differ more than independent values do, as in a series that alternates, are counted as independent,
    so that the result is never larger than the number of values.

    Args:
        values: at least two values, in the order in which they were measured.
    """
    count, middle = len(values), statistics.fmean(values)
    around = [value - middle for value in values]
    spread = sum(one * one for one in around)
    if spread <= count * (_ROUNDING * middle) ** 2:  # equal values, which may differ from their mean by its rounding
        return float(count)
    inflation = 2 * sum(_initial_monotone(around, spread)) - 1
    return max(2.0, count / max(1.0, inflation))


def _initial_monotone(around: Sequence[float], spread: float) -> Iterator[float]:
    """Yield the sums of two neighbouring autocorrelations from lag 0 on, none larger than the one before."""
    smallest = float("inf")
    for lag in range(0, len(around) // 2, 2):
        total = sum(_products(around, lag)) / spread + sum(_products(around, lag + 1)) / spread
        if total <= 0:
            return
        smallest = min(smallest, total)
        yield smallest


def _products(around: Sequence[float], lag: int) -> Iterator[float]:
    return (one * other for one, other in zip(around, around[lag:], strict=False))
