"""The cells of the table: how times are distributed, and how a session is judged."""

from dataclasses import dataclass
from enum import StrEnum

from pytest_diffopt.guards.paired_latency import PairedRule
from pytest_diffopt.statistics.sequential import LOOKS, SequentialRule

#: The default margin of the paired gate.
MARGIN = 0.01


class Shape(StrEnum):
    """The distribution of what one process adds to the logarithm of its times, for its whole lifetime.

    `TWO_KINDS`: half of the processes are faster than the others, and all of a kind are alike.
    """

    NORMAL = "normal"
    LOG_NORMAL = "log-normal"
    T3 = "t3"
    UNIFORM = "uniform"
    TWO_KINDS = "two kinds"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One row of the table.

    Attributes:
        noise: standard deviation of the ratio of two adjacent times, as a fraction.
        spread: standard deviation of the difference of two processes of the same code, as a fraction.
        shape: distribution of that difference.
        drift: how much slower the machine becomes while a pair of processes is timed, as a fraction; each pair of
            processes starts from the same speed.
        correlation: correlation of the noise of neighbouring pairs of times of one pair of processes.
        dependence: correlation of neighbouring pairs of processes, which the rule assumes to be 0.
        tests: number of tests of a session.
        slower_tests: number of them that are truly slower and have already failed.
        looks: numbers of pairs of processes after which a test is judged.
        times: pairs of times of each pair of processes.
    """

    noise: float = 0.014
    spread: float = 0.004
    shape: Shape = Shape.NORMAL
    drift: float = 0.0
    correlation: float = 0.0
    dependence: float = 0.0
    tests: int = 1
    slower_tests: int = 0
    looks: tuple[int, ...] = LOOKS
    times: int = 16

    @property
    def rule(self) -> SequentialRule:
        """The gate's own rule for one test of such a session."""
        rule = PairedRule.for_case(margin=MARGIN, num_cases=self.tests, num_regressed=self.slower_tests).sequential
        return SequentialRule(margin=rule.margin, false_alarms=rule.false_alarms, looks=self.looks)

    @property
    def is_assumed(self) -> bool:
        """Whether the assumptions of the rule hold."""
        return not self.dependence

    @property
    def name(self) -> str:
        """A readable, unique name."""
        processes = f"processes {100 * self.spread:g} %"
        parts = [
            f"noise {100 * self.noise:g} %",
            processes if self.shape is Shape.NORMAL else f"{processes} {self.shape}",
            *([f"drift {100 * self.drift:g} %"] if self.drift else []),
            *([f"correlation {self.correlation:g}"] if self.correlation else []),
            *([f"pairs of processes depend, {self.dependence:g}"] if self.dependence else []),
            *([f"{self.tests} tests"] if self.tests > 1 else []),
            *([f"{self.slower_tests} of them slower"] if self.slower_tests else []),
            *([f"{len(self.looks)} looks"] if self.looks != LOOKS else []),
            *([f"{self.times} times"] if self.times != Cell().times else []),
        ]
        return ", ".join(parts)


def evenly_spaced(number: int) -> tuple[int, ...]:
    """Return this many looks from the first default one to the last."""
    first, last = LOOKS[0], LOOKS[-1]
    return tuple(sorted({round(first + (last - first) * one / (number - 1)) for one in range(number)}))


_NOISES = (0.0005, 0.005, 0.014, 0.05)
_SPREADS = (0.0, 0.0025, 0.005, 0.01, 0.015, 0.02)
_SHAPES = tuple(shape for shape in Shape if shape is not Shape.NORMAL)

CELLS: tuple[Cell, ...] = (
    *(Cell(noise=noise, spread=spread) for noise in _NOISES for spread in _SPREADS),
    *(Cell(spread=spread, shape=shape) for shape in _SHAPES for spread in (0.005, 0.01, 0.02)),
    *(Cell(noise=0.0005, spread=spread, shape=Shape.TWO_KINDS) for spread in (0.005, 0.01)),
    *(Cell(drift=drift) for drift in (0.05, 0.5)),
    *(Cell(correlation=one) for one in (0.5, 0.9, 0.99)),
    Cell(noise=0.05, correlation=0.9, drift=0.5, spread=0.01, shape=Shape.T3),
    *(Cell(times=times) for times in (2, 64)),
    *(Cell(tests=tests, spread=spread) for tests in (5, 20) for spread in (0.004, 0.015)),
    Cell(tests=100, spread=0.015),
    *(Cell(tests=20, spread=0.01, shape=shape) for shape in (Shape.T3, Shape.LOG_NORMAL, Shape.TWO_KINDS)),
    *(Cell(tests=20, slower_tests=10, spread=spread) for spread in (0.004, 0.015)),
    *(Cell(looks=evenly_spaced(number), spread=0.01) for number in (2, 10, 20)),
    *(Cell(dependence=one, spread=0.01) for one in (0.2, 0.5)),
)

#: A part of the cells that is simulated within seconds, in the tests.
QUICK_CELLS: tuple[Cell, ...] = (
    Cell(noise=0.05, spread=0.015),
    Cell(noise=0.0005, spread=0.01, shape=Shape.TWO_KINDS),
    Cell(spread=0.01, shape=Shape.T3),
)
