"""The stated limits of the simulated GPU: each explains one disagreement with CUDA, and fails once it has no effect."""

from benchmarks.agreement import Figure, Limit

_FREES = "the null GPU counts `cudaFree` as an allocation, although it waits for the device as on a GPU"
_ONE_OPERATION = (
    "torch's `FlopCounterMode` takes `pinv` for one operation without FLOPs; the simulation counts its product"
)

_LIMITS: tuple[Limit, ...] = (
    Limit(case="row: empty_cache", figures=(Figure.ALL_SYNCS,), reason=_FREES),
    Limit(case="row: pinv", figures=(Figure.FLOPS,), reason=_ONE_OPERATION),
    Limit(case="row: pinv, Hermitian", figures=(Figure.FLOPS,), reason=_ONE_OPERATION),
    Limit(
        case="row: matrix_exp",
        figures=(Figure.SYNCS, Figure.ALL_SYNCS),
        reason="the number depends on the matrix's norm, 2 to 6; the simulation, which need not know it, counts 2",
    ),
)


def limits_for(torch_version: str) -> tuple[Limit, ...]:
    """Return the limits that apply under a version of torch."""
    del torch_version
    return _LIMITS
