"""How operations are computed on the CPU: what an operation reads, writes and draws, and special cases."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import torch


class Kind(Enum):
    """How an operation is treated."""

    GENERIC = auto()
    COPY = auto()
    SCALAR_READ = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """The numbers that the host code of a CUDA operation reads back, which its kernels should have computed.

    Attributes:
        numbers: the numbers in the order in which they are read, from the arguments on the CPU.
        reads: the arguments whose values they depend on.
    """

    numbers: Callable[[tuple[Any, ...]], list[int]]
    reads: Callable[[tuple[Any, ...]], list[torch.Tensor]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is known of an operation.

    Attributes:
        name: `aten::add`.
        kind: how it is treated.
        written: the positions of the parameters that it writes to.
        written_names: the names of the parameters that it writes to.
        makes: the positions of the results that are new tensors, and not what it wrote to.
        overwrites: whether it writes without reading what was there.
        is_random: whether it draws random numbers.
        takes_generator: whether it has a parameter `generator`.
        compute: what computes its result on the CPU.
        answers: the numbers that its CUDA kernel's host code reads back, if any.
        is_seen_inside: whether the operations that it calls are computed one by one, because it reads their results.
    """

    name: str
    kind: Kind
    written: frozenset[int]
    written_names: frozenset[str]
    makes: frozenset[int]
    overwrites: bool
    is_random: bool
    takes_generator: bool
    compute: Callable[..., Any]
    answers: Answers | None
    is_seen_inside: bool


# They call other operations and read what these computed: a size, a bound, whether a solver failed.
_SEEN_INSIDE = frozenset(
    {
        "_linalg_check_errors",
        "_linalg_eigvals",
        "allclose",
        "histc",
        "index_fill.int_Tensor",
        "index_fill_.int_Tensor",
        "isin",
        "linalg_eig",
        "linalg_lstsq",
        "linalg_matrix_exp",
        "linalg_matrix_sqrth",
        "linalg_pinv",
        "linalg_polar",
        "linspace",
        "logspace",
        "masked_fill.Tensor",
        "masked_fill_.Tensor",
        "segment_reduce",
    }
)
_COPIES = frozenset({"_to_copy", "copy_"})
_OVERWRITING = frozenset(
    {"copy_", "fill_", "zero_", "uniform_", "normal_", "random_", "exponential_", "bernoulli_", "cauchy_", "geometric_"}
)


def plan_for(operation: Any) -> Plan:
    """Return the plan of an operation."""
    schema = operation._schema  # noqa: SLF001 - public nowhere, and used by every dispatch mode in torch
    name = schema.name.partition("::")[2]
    written = {
        index: parameter.name
        for index, parameter in enumerate(schema.arguments)
        if parameter.alias_info is not None and parameter.alias_info.is_write
    }
    return Plan(
        name=schema.name,
        kind=_kind(name),
        written=frozenset(written),
        written_names=frozenset(written.values()),
        makes=frozenset(index for index, one in enumerate(schema.returns) if one.alias_info is None),
        overwrites=name in _OVERWRITING or "out" in written.values(),
        is_random=torch.Tag.nondeterministic_seeded in operation.tags,
        takes_generator=any(parameter.name == "generator" for parameter in schema.arguments),
        compute=_computation(operation, name, tuple(parameter.name for parameter in schema.arguments)),
        answers=_ANSWERS.get(name),
        is_seen_inside=not _SEEN_INSIDE.isdisjoint({name, f"{name}.{schema.overload_name}"}),
    )


def _kind(name: str) -> Kind:
    if name in _COPIES:
        return Kind.COPY
    return Kind.SCALAR_READ if name == "_local_scalar_dense" else Kind.GENERIC


# ---- operations without a CPU kernel of the same name


def _computation(operation: Any, name: str, parameters: tuple[str, ...]) -> Callable[..., Any]:
    if name.startswith("_scaled_dot_product") and name.endswith("attention"):
        return _attention(parameters)
    equivalent: Callable[..., Any] = _EQUIVALENTS.get(name, operation)
    return equivalent


def _attention(parameters: tuple[str, ...]) -> Callable[..., Any]:
    def attend(*args: Any, **kwargs: Any) -> tuple[torch.Tensor]:
        given = dict(zip(parameters, args, strict=False)) | kwargs
        return (
            torch.nn.functional.scaled_dot_product_attention(
                given["query"],
                given["key"],
                given["value"],
                attn_mask=given.get("attn_bias", given.get("attn_mask")),
                is_causal=given.get("is_causal", False),
                scale=given.get("scale"),
            ),
        )

    return attend


def _batch_norm(  # noqa: PLR0913, PLR0917 - torch's own signature
    input_: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    mean: torch.Tensor | None,
    variance: torch.Tensor | None,
    training: bool,  # noqa: FBT001 - torch's own signature
    momentum: float,
    epsilon: float,
) -> Any:
    return torch.native_batch_norm(input_, weight, bias, mean, variance, training, momentum, epsilon)


def _conv(input_: torch.Tensor, weight: torch.Tensor, *settings: Any) -> torch.Tensor:
    padding, stride, dilation, groups = settings[:4]
    return torch.convolution(input_, weight, None, stride, padding, dilation, False, [0] * len(padding), groups)  # noqa: FBT003


def _grid_sampler(input_: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    return torch.grid_sampler_2d(input_, grid, 0, 0, True)  # noqa: FBT003 - bilinear, zeros outside, aligned corners


_EQUIVALENTS: dict[str, Callable[..., Any]] = {
    "cudnn_batch_norm": _batch_norm,
    "cudnn_convolution": _conv,
    "cudnn_grid_sampler": _grid_sampler,
}


# ---- operations whose host code reads a number back that their kernels computed


def _true_count(args: tuple[Any, ...]) -> list[int]:
    return [int(args[0].count_nonzero())]


def _masks(args: tuple[Any, ...]) -> list[torch.Tensor]:
    return [index for index in args[1] if index is not None and index.dtype in (torch.bool, torch.uint8)]


def _mask_counts(args: tuple[Any, ...]) -> list[int]:
    return [int(mask.count_nonzero()) for mask in _masks(args)]


def _selected_count(args: tuple[Any, ...]) -> list[int]:
    _, mask = torch.broadcast_tensors(args[0], args[1])  # type: ignore[no-untyped-call]
    return [int(mask.count_nonzero())]


def _unique_count(args: tuple[Any, ...]) -> list[int]:
    return [int(torch.unique(args[0]).numel())] * 2


def _consecutive_count(args: tuple[Any, ...]) -> list[int]:
    dim = args[3] if len(args) > 3 else None  # noqa: PLR2004 - the parameter `dim`
    found = torch.unique_consecutive(args[0], dim=dim)
    return [found.numel() if dim is None else found.shape[dim]] * 2


def _row_count(args: tuple[Any, ...]) -> list[int]:
    return [torch.unique(args[0], dim=args[1]).shape[args[1]]] * 2


def _repeats(args: tuple[Any, ...]) -> list[int]:
    return [int(args[0].sum()), 1]  # the output's size, and that no repeat is negative


def _is_equal(args: tuple[Any, ...]) -> list[int]:
    return [int(torch.equal(args[0], args[1]))]


def _range(args: tuple[Any, ...]) -> list[int]:
    return [int(args[0].min()), int(args[0].max())] if args[0].numel() else []


def _first(args: tuple[Any, ...]) -> list[torch.Tensor]:
    return [args[0]]


def _both(args: tuple[Any, ...]) -> list[torch.Tensor]:
    return [args[0], args[1]]


def _second(args: tuple[Any, ...]) -> list[torch.Tensor]:
    return [args[1]]


_BY_MASK = Answers(numbers=_mask_counts, reads=_masks)
_UNIQUE = Answers(numbers=_unique_count, reads=_first)

_ANSWERS = {
    "nonzero": Answers(numbers=_true_count, reads=_first),
    "index": _BY_MASK,
    "index_put": _BY_MASK,
    "index_put_": _BY_MASK,
    "_index_put_impl_": _BY_MASK,
    "masked_select": Answers(numbers=_selected_count, reads=_second),
    "_unique2": _UNIQUE,
    "_unique": _UNIQUE,
    "unique_dim": Answers(numbers=_row_count, reads=_first),
    "unique_consecutive": Answers(numbers=_consecutive_count, reads=_first),
    "repeat_interleave": Answers(numbers=_repeats, reads=_first),
    "equal": Answers(numbers=_is_equal, reads=_both),
    "bincount": Answers(numbers=_range, reads=_first),
}
