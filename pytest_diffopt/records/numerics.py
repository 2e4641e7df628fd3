"""Differences of compiled results from eager ones, and of quantized layers from their dequantized weights."""

from dataclasses import dataclass
from enum import StrEnum

from pytest_diffopt.records.subject import Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class Float64Errors:
    """Root mean squares of the errors of one output against float64.

    Attributes:
        compiled: error of the compiled output.
        eager: error of the eager output.
        allowed: twice the eager error, and one unit in the last place of the dtype (8 for float32).
        is_as_exact: whether the compiled output is at least as exact as the eager one, also in its largest error.
    """

    compiled: float
    eager: float
    allowed: float
    is_as_exact: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputDifference:
    """Difference of one output of a compiled module from the same output in eager mode, over all calls.

    Attributes:
        module: path in the pipeline (`unet.down_blocks.1`).
        output: name of the output (`[0]`, `.sample`); empty for a single output.
        dtype: dtype of the output.
        calls: number of compared calls.
        values: number of compared values.
        differing_values: number of values outside of the tolerance.
        max_error: largest absolute difference.
        max_relative_error: `max_error` divided by the largest absolute value of the eager output.
        relative_tolerance: allowed difference, as a fraction of the largest absolute value of the eager output.
        absolute_tolerance: allowed difference in addition to that.
        problem: why the outputs cannot be compared ("shape (2, 4) became (2, 5)"); empty otherwise.
        float64: errors against the same call in float64, of the worst call; None where there is no such call.
    """

    module: str
    output: str
    dtype: str
    calls: int
    values: int
    differing_values: int
    max_error: float
    max_relative_error: float
    relative_tolerance: float
    absolute_tolerance: float
    problem: str = ""
    float64: Float64Errors | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class UncompiledCalls:
    """Calls of a compiled module in which no compiled graph ran, so that eager was compared with eager.

    Attributes:
        module: path in the pipeline.
        uncompiled: number of such calls.
        calls: number of all its calls.
    """

    module: str
    uncompiled: int
    calls: int


class NumericsReference(StrEnum):
    """What outputs are compared with."""

    EAGER = "eager"
    DEQUANTIZED = "the dequantized weights"


@dataclass(frozen=True, kw_only=True, slots=True)
class NumericsRecord:
    """Every output of every compiled module or quantized layer, compared with its reference.

    Attributes:
        differences: one entry per output.
        silent: compiled modules that were never called, so that none of their outputs was compared; of quantized layers
            only if none was called.
        uncompiled: compiled modules that ran uncompiled in some of their calls.
        reference: what the outputs are compared with.
    """

    subject: Subject
    differences: tuple[OutputDifference, ...]
    silent: tuple[str, ...] = ()
    uncompiled: tuple[UncompiledCalls, ...] = ()
    reference: NumericsReference = NumericsReference.EAGER
