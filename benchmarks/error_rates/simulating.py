"""Simulate sessions of the paired gate: times of processes, from which the gate's own functions decide."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from benchmarks.error_rates.cells import MARGIN, Cell, Shape
from pytest_diffopt.statistics.robust_ratio import median_log_ratio
from pytest_diffopt.statistics.sequential import Decision, SequentialRule

Array = npt.NDArray[np.float64]
Times = npt.NDArray[np.floating[Any]]

#: The simulated true slowdowns: none, the null boundary (half of the margin), the boundary of misses, 2 and 3 %.
SLOWDOWNS: Mapping[str, float] = {
    "same code": 0.0,
    "half of the margin": MARGIN / 2,
    "one and a half of the margin": 1.5 * MARGIN,
    "2 %": 0.02,
    "3 %": 0.03,
}
_MOST_VALUES = 4_000_000
_T_DEGREES = 3
_DEPENDENCE_WARMUP = 50


def simulated_log_ratios(cell: Cell, generator: np.random.Generator, tests: int) -> Array:
    """Return the gate's log-ratio of each pair of processes for tests of the same code, shape (tests, pairs).

    Args:
        cell: how times are distributed.
        generator: the source of random numbers.
        tests: the number of tests.
    """
    size = (tests, cell.looks[-1])
    of_process = _process_differences(cell, generator, size).astype(np.float32)
    # Only the difference of both times matters, so all of the noise is given to head.
    noise = np.float32(cell.noise) * _noise(cell, generator, (*size, cell.times))
    base_drift, head_drift = _drifts(cell, generator, size)
    return median_log_ratio(base_drift, noise + head_drift + of_process[..., None])


def sessions_judged(cell: Cell, rule: SequentialRule, *, sessions: int, seed: int) -> dict[str, Counter[str]]:
    """Return for each true slowdown how many sessions or tests ended how.

    Keys of each counter: `sessions`, `alarms` (sessions in which any test was called slower), `tests`, the names of
    `Decision`, and `pairs 5` for each number of pairs of processes after which tests ended.

    Args:
        cell: how times are distributed, and how many tests a session has that are not slower.
        rule: the rule that decides about each test.
        sessions: the number of sessions.
        seed: the seed of the random numbers.
    """
    seen: dict[str, Counter[str]] = {name: Counter() for name in SLOWDOWNS}
    generator, in_session = np.random.default_rng(seed), cell.tests - cell.slower_tests
    for part in _parts(sessions, in_session * cell.looks[-1] * cell.times):
        log_ratios = simulated_log_ratios(cell, generator, part * in_session)
        for name, slowdown in SLOWDOWNS.items():
            ended = rule.run(log_ratios + math.log1p(slowdown))
            is_slower = (ended.decisions == Decision.SLOWER).reshape(part, in_session)
            seen[name].update(sessions=part, alarms=int(is_slower.any(axis=1).sum()), tests=part * in_session)
            seen[name].update({one.name: int((ended.decisions == one).sum()) for one in Decision})
            seen[name].update({f"pairs {one}": int((ended.pairs == one).sum()) for one in cell.looks})
    return seen


def _parts(sessions: int, values_of_each: int) -> Iterator[int]:
    """Split a number of sessions, so that the values of each part fit into memory."""
    most = max(1, _MOST_VALUES // values_of_each)
    while sessions > 0:
        yield min(most, sessions)
        sessions -= most


def _process_differences(cell: Cell, generator: np.random.Generator, size: tuple[int, int]) -> Array:
    """Return the difference of two processes, each of which has its own lasting speed."""
    base, head = (_shaped(cell.shape, generator, size) for _ in range(2))
    differences: Array = (head - base) * cell.spread / math.sqrt(2)
    return differences if not cell.dependence else _dependent(differences, cell.dependence, generator, cell.spread)


def _shaped(shape: Shape, generator: np.random.Generator, size: tuple[int, int]) -> Array:
    """Return values of a distribution with a standard deviation of 1."""
    match shape:
        case Shape.NORMAL:
            return generator.normal(size=size)
        case Shape.LOG_NORMAL:
            return np.exp(generator.normal(size=size)) / math.sqrt((math.e - 1) * math.e)
        case Shape.T3:
            return generator.standard_t(_T_DEGREES, size) / math.sqrt(_T_DEGREES / (_T_DEGREES - 2))
        case Shape.UNIFORM:
            return generator.uniform(-math.sqrt(3), math.sqrt(3), size)
        case Shape.TWO_KINDS:
            return generator.choice([-1.0, 1.0], size)


def _dependent(values: Array, correlation: float, generator: np.random.Generator, spread: float) -> Array:
    """Replace independent values by a stationary series along the pairs of processes."""
    before = generator.normal(0, spread, (len(values), _DEPENDENCE_WARMUP))
    series = _autoregressive(np.concatenate([before, values], axis=1), correlation)
    return np.asarray(series[:, _DEPENDENCE_WARMUP:], dtype=np.float64)


def _noise(cell: Cell, generator: np.random.Generator, size: tuple[int, ...]) -> Times:
    values: Times = generator.standard_normal(
        size, dtype=np.float32
    )  # half of the memory, and precise enough for a noise
    return values if not cell.correlation else _autoregressive(values, cell.correlation)


def _autoregressive(values: Times, correlation: float) -> Times:
    """Return a stationary series along the last axis; its first value has the variance of all others."""
    scaled = values * math.sqrt(1 - correlation**2)
    scaled[..., 0] = values[..., 0]
    series: Times = lfilter([1.0], [1.0, -correlation], scaled, axis=-1)
    return series


def _drifts(cell: Cell, generator: np.random.Generator, size: tuple[int, int]) -> tuple[Times, Times]:
    """Return how much later times of base and of head are slower, in the mirrored order of the gate's blocks."""
    if not cell.drift:
        return np.zeros(1, np.float32), np.zeros(1, np.float32)
    order = np.where(generator.random((*size, cell.times // 2)) < 0.5, 1.0, -1.0)  # noqa: PLR2004 - equally likely
    # A block takes four times: first-second-second-first. Its two pairs of adjacent times are one time apart each.
    one_time = cell.drift / (2 * cell.times)
    apart = np.stack([order, -order], axis=-1).reshape(*size, -1) * one_time / 2
    line = np.linspace(0, cell.drift, cell.times)
    return line - apart, line + apart
