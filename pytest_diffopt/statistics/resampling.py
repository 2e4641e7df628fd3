"""Apply a sequential rule to many sessions that are resampled from measured times.

Source: Künsch, "The Jackknife and the Bootstrap for General Stationary Observations", Annals of Statistics 17 (1989):
consecutive blocks are drawn together, which preserves their correlation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from pytest_diffopt.records import PairedBlock
from pytest_diffopt.statistics.robust_ratio import logs_of
from pytest_diffopt.statistics.sequential import PAIRS_OF_PROCESSES, PAIRS_OF_TIMES, Decision, SequentialRule, looks

Array = npt.NDArray[np.float64]

#: The number of consecutive blocks that are drawn together.
_RUN = 8
_SIDES = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """The fractions of many sessions with each result.

    Attributes:
        slower: the fraction in which head was found slower.
        as_fast: the fraction in which head was found not slower, or faster.
        mean_count: the mean number of blocks until the decision, or until the end of an undecided session.
    """

    slower: float
    as_fast: float
    mean_count: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ResampledSessions:
    """Sessions that are drawn once from measured blocks, and judged by any rule.

    Attributes:
        base: logarithms of base's times, shape (sessions, pairs of times).
        head: logarithms of head's times, same shape.
        count: the largest number of blocks of a session.
    """

    base: Array
    head: Array
    count: int

    @classmethod
    def drawn_from(
        cls, measured: Sequence[Sequence[PairedBlock]], *, count: int, sessions: int = 2000, seed: int = 0
    ) -> Self:
        """Resample sessions from measured blocks.

        Args:
            measured: blocks in the order of their measurement, one sequence per pair of processes. A session is drawn
                from as many pairs as the gate starts, because two processes of the same code differ slightly.
            count: the largest number of blocks of a session.
            sessions: the number of sessions.
            seed: the seed of the resampling.
        """
        generator = np.random.default_rng(seed)
        logs = [logs_of(blocks) for blocks in measured]
        drawn = np.stack([_session(generator, logs, count) for _ in range(sessions)])
        return cls(base=drawn[..., 0], head=drawn[..., 1], count=count)

    def shares(self, rule: SequentialRule, *, slowdown: float = 0.0) -> Shares:
        """Judge each session as the paired gate does.

        Args:
            rule: the rule that decides.
            slowdown: the injected slowdown, as a fraction.
        """
        head, each = self.head + np.log1p(slowdown), _blocks_of_each(self.count)
        decisions, needed = np.zeros(len(head), dtype=int), np.full(len(head), self.count)
        for number in sorted({*looks(self.count), *range(each, self.count, each)}):
            is_open = np.flatnonzero(decisions == Decision.OPEN)
            if not len(is_open):
                break
            pairs, of_pairs = PAIRS_OF_TIMES * number, _split(number, each)
            decisions[is_open] = rule.decide(
                self.base[is_open, :pairs], head[is_open, :pairs], blocks_of_pairs=of_pairs
            )
            needed[is_open] = number
        return Shares(
            slower=float((decisions == Decision.SLOWER).mean()),
            as_fast=float(np.isin(decisions, (Decision.NOT_SLOWER, Decision.FASTER)).mean()),
            mean_count=float(needed.mean()),
        )


def _session(generator: np.random.Generator, measured: Sequence[Array], count: int) -> Array:
    """Draw equally many blocks from one pair of processes after the other."""
    chosen = generator.choice(len(measured), size=PAIRS_OF_PROCESSES, replace=len(measured) < PAIRS_OF_PROCESSES)
    parts = [_run_of(generator, measured[pair], _blocks_of_each(count)) for pair in chosen]
    return np.concatenate(parts)[: PAIRS_OF_TIMES * count]


def _run_of(generator: np.random.Generator, logs: Array, count: int) -> Array:
    blocks = logs.reshape(-1, PAIRS_OF_TIMES, _SIDES)
    starts = generator.integers(len(blocks), size=-(-count // _RUN))
    places = (starts[:, None] + np.arange(_RUN)).ravel()[:count] % len(blocks)
    drawn: Array = blocks[places].reshape(-1, _SIDES)
    return drawn


def _blocks_of_each(count: int) -> int:
    return -(-count // PAIRS_OF_PROCESSES)


def _split(number: int, each: int) -> tuple[int, ...]:
    """Return the number of blocks of each pair of processes when `number` blocks are timed in all."""
    whole, rest = divmod(number, each)
    return (each,) * whole + (rest,)
