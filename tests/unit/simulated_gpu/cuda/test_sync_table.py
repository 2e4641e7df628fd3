"""Each row of the sync table: a call has the row's number of syncs, of its kind, and with its `is_reported`."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from packaging.version import Version
from torch.nn import functional

from pytest_diffopt._torch_private.version_gate import torch_release
from pytest_diffopt.simulated_gpu import SimulatedGPU, SyncKind
from pytest_diffopt.simulated_gpu.cuda.sync_table import RULES

_TORCH = Version(torch.__version__).release[:2]
READ, IN, OUT, EXPLICIT = SyncKind.READ, SyncKind.COPY_FROM_HOST, SyncKind.COPY_TO_HOST, SyncKind.EXPLICIT
IS_BEFORE_2_15 = torch_release() < (2, 15)
#: Since torch 2.15 a number that is assigned is made on the device.
NUMBER = IN if IS_BEFORE_2_15 else None


class Things:
    """Tensors on the device, made before the call."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.x = torch.arange(12.0).reshape(3, 4).to(device)
        self.v = torch.arange(4.0).to(device)
        self.t = torch.tensor(1).to(device)
        self.s = torch.tensor(2.0).to(device)
        self.yes = torch.tensor(True).to(device)  # noqa: FBT003
        self.idx = torch.tensor([0, 2]).to(device)
        self.mask = torch.tensor([True, False, True]).to(device)
        self.mask2d = torch.arange(12).reshape(3, 4).remainder(2).bool().to(device)
        self.empty = torch.zeros(0).to(device)
        self.square = torch.eye(3).to(device) * 2
        self.long = torch.zeros(2, 3000).to(device)
        self.bytes = torch.tensor([1, 2, 2], dtype=torch.uint8).to(device)
        self.host = torch.ones(3, 4)
        self.host_big = torch.ones(200, 200)
        self.host_pinned = self.host_big.pin_memory()


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One call and its syncs on CUDA.

    Attributes:
        name: the test's id.
        call: the call, which takes `Things`.
        syncs: (kind, is_reported) of each sync, in any order.
        rule: the name of the row that it tests; empty if another case does, or if no row applies.
    """

    name: str
    call: Callable[[Any], object]
    syncs: tuple[tuple[SyncKind, bool], ...] = ()
    rule: str = ""


def case(
    name: str, call: Callable[[Any], object], kind: SyncKind | None = None, times: int = 1, *, rule: str = ""
) -> Case:
    """Return a case with `times` syncs, each reported by the sync debug mode."""
    return Case(name=name, call=call, syncs=((kind, True),) * times if kind else (), rule=rule)


def unreported(name: str, call: Callable[[Any], object], kind: SyncKind, times: int = 1, *, rule: str = "") -> Case:
    """Return a case with `times` syncs, which the sync debug mode does not report."""
    return Case(name=name, call=call, syncs=((kind, False),) * times, rule=rule)


def assign(target: str, index: Callable[[Any], object], value: object) -> Callable[[Any], object]:
    """Return a call that assigns `value` to a part of a tensor."""

    def call(g: Things) -> None:
        getattr(g, target)[index(g)] = value(g) if callable(value) else value

    return call


CREATED_ON_DEVICE: dict[str, tuple[object, ...]] = {
    "zeros": (3,),
    "ones": (3,),
    "empty": (3,),
    "rand": (3,),
    "randn": (3,),
    "arange": (3,),
    "eye": (3,),
    "randperm": (30000,),
    "tril_indices": (3, 3),
    "full": ((3,), 1.0),
    "linspace": (0, 1, 3),
    "scalar_tensor": (1.0,),
    "randint": (3, (2,)),
}


def on(things: Things) -> Any:
    """Return the module of the device, as `torch.cuda` is that of a CUDA GPU."""
    return torch.get_device_module(things.device)


def reduce_at_positions(things: Things) -> None:
    """Reduce along an index, without torch's warning that the function is new."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        things.x.index_reduce(0, things.idx, things.x[:2].clone(), "amax")


def record_and_synchronize(things: Things) -> None:
    """Wait for an event of the current stream."""
    event = on(things).Event()
    event.record(on(things).current_stream())
    event.synchronize()


def free_and_empty_cache(things: Things) -> None:
    """Release memory, and the cache with it."""
    torch.empty(2**25, device=things.device)
    on(things).empty_cache()


def attend(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Run self-attention of a matrix."""
    return functional.scaled_dot_product_attention(x[None, None], x[None, None], x[None, None], mask)


CASES = (
    # copies
    case("to device", lambda g: g.host.to(g.device), IN, rule="blocking copy to the device"),
    case("to device with dtype", lambda g: g.host.to(g.device, torch.float16), IN),
    case("to device from pinned", lambda g: g.host_pinned.to(g.device), IN),
    case("to device from pinned, non-blocking", lambda g: g.host_pinned.to(g.device, non_blocking=True)),
    unreported(
        "to device from pageable, non-blocking",
        lambda g: g.host_big.to(g.device, non_blocking=True),
        IN,
        rule="non-blocking copy to the device from pageable memory",
    ),
    case("small, to device from pageable, non-blocking", lambda g: g.host.to(g.device, non_blocking=True)),
    case("cpu()", lambda g: g.x.cpu(), OUT, rule="blocking conversion to the host"),
    case("to cpu with dtype", lambda g: g.x.to("cpu", torch.float16), OUT),
    case("to cpu, transposed", lambda g: g.x.t().to("cpu"), OUT),
    case("to cpu, non-blocking", lambda g: g.x.to("cpu", non_blocking=True)),
    case("host.copy_(device)", lambda g: g.host.copy_(g.x), OUT, rule="blocking copy to the host"),
    case("device.copy_(host)", lambda g: g.x.copy_(g.host), IN),
    unreported(
        "host.copy_(device), non-blocking",
        lambda g: g.host.copy_(g.x, non_blocking=True),
        OUT,
        rule="non-blocking copy to pageable host memory",
    ),
    case(
        "pinned.copy_(device), non-blocking",
        lambda g: g.host_pinned.copy_(torch.zeros(200, 200, device=g.device), non_blocking=True),
    ),
    case("device.copy_(device)", lambda g: g.x.copy_(g.x * 2)),
    case("same device", lambda g: g.x.to(g.device)),
    case("dtype on device", lambda g: g.x.half()),
    case("empty to cpu", lambda g: g.empty.cpu()),
    case("empty to device", lambda g: torch.zeros(0).to(g.device)),
    case(
        "foreach copy up",
        lambda g: torch._foreach_copy_([g.x, g.x], [g.host, g.host]),
        IN,
        2,
        rule="foreach copy over the bus",
    ),
    case("foreach add", lambda g: torch._foreach_add([g.x], 1.0)),
    # reads
    case("item", lambda g: g.s.item(), READ, rule="item"),
    case("bool", lambda g: bool(g.s > 0), READ),
    case("int", lambda g: int(g.t), READ),
    case("float", lambda g: float(g.s), READ),
    case("format", lambda g: f"{g.s:.2f}", READ),
    case("max with a number", lambda g: max(g.s, 1.0), READ),
    case("in", lambda g: 3.0 in g.x, READ),
    case("is_nonzero", lambda g: g.s.is_nonzero(), READ),
    case("tolist", lambda g: g.x.tolist(), READ, rule="tolist"),
    case("tolist of nothing", lambda g: g.empty.tolist()),
    case("iteration", lambda g: list(g.x)),
    case("iteration over numbers", lambda g: [float(one) for one in g.v], READ, 4),
    case("equal", lambda g: torch.equal(g.x, g.x + 1), READ, rule="equal"),
    case("equal of other shapes", lambda g: torch.equal(g.x, g.v)),
    case("equal of itself", lambda g: torch.equal(g.x, g.x)),
    case("allclose", lambda g: torch.allclose(g.x, g.x), READ, rule="allclose"),
    case("isclose", lambda g: torch.isclose(g.x, g.x)),
    case("any", lambda g: (g.x > 0).any()),
    case("linalg.inv", lambda g: torch.linalg.inv(g.square), READ, rule="linalg check"),
    case("linalg.solve", lambda g: torch.linalg.solve(g.square, g.square), READ),
    case("linalg.cholesky", lambda g: torch.linalg.cholesky(g.square), READ),
    case("inv_ex", lambda g: torch.linalg.inv_ex(g.square)),
    Case(
        name="svd",
        call=lambda g: torch.linalg.svd(g.square),
        syncs=((OUT, True), (READ, True)),
        rule="svd convergence",
    ),
    case("eigh", lambda g: torch.linalg.eigh(g.square), READ, rule="linalg check inside the kernel"),
    Case(name="pinv", call=lambda g: torch.linalg.pinv(g.square), syncs=((OUT, True), (READ, True))),
    case("pinv, Hermitian", lambda g: torch.linalg.pinv(g.square, hermitian=True), READ),
    Case(name="matrix_rank", call=lambda g: torch.linalg.matrix_rank(g.square), syncs=((OUT, True), (READ, True))),
    Case(name="cond", call=lambda g: torch.linalg.cond(g.square), syncs=((OUT, True), (READ, True))),
    Case(name="svdvals", call=lambda g: torch.linalg.svdvals(g.square), syncs=((OUT, True), (READ, True))),
    case("cholesky_ex", lambda g: torch.linalg.cholesky_ex(g.square)),
    case(
        "cholesky_ex, check_errors",
        lambda g: torch.linalg.cholesky_ex(g.square, check_errors=True),
        READ,
        rule="linalg check on request",
    ),
    case("inv_ex, check_errors", lambda g: torch.linalg.inv_ex(g.square, check_errors=True), READ),
    case("solve_ex, check_errors", lambda g: torch.linalg.solve_ex(g.square, g.square, check_errors=True), READ),
    case("lu_factor_ex, check_errors", lambda g: torch.linalg.lu_factor_ex(g.square, check_errors=True), READ),
    case("lu_factor", lambda g: torch.linalg.lu_factor(g.square), READ),
    case("ldl_factor", lambda g: torch.linalg.ldl_factor(g.square), READ),
    case("eig", lambda g: torch.linalg.eig(g.square), READ, 3, rule="eigenvectors"),
    case("eig, complex", lambda g: torch.linalg.eig(g.square.to(torch.complex64)), READ, 2, rule="eigenvectors"),
    case("eigvals, complex", lambda g: torch.linalg.eigvals(g.square.to(torch.complex64)), READ, rule="eigenvalues"),
    case("eigvals", lambda g: torch.linalg.eigvals(g.square), READ, 2, rule="eigenvalues"),
    case("eigvalsh", lambda g: torch.linalg.eigvalsh(g.square), READ),
    case("lstsq", lambda g: torch.linalg.lstsq(g.square, g.square), READ, rule="least squares"),
    case("qr", lambda g: torch.linalg.qr(g.square)),
    case("matrix_exp", lambda g: torch.linalg.matrix_exp(g.square), READ, 2, rule="matrix exponential"),
    case("matrix_exp of a number", lambda g: torch.linalg.matrix_exp(g.square[:1, :1])),
    case(
        "normal, std tensor",
        lambda g: torch.normal(0.0, g.v),
        READ,
        int(_TORCH < (2, 14)),
        rule="normal with a tensor of deviations",
    ),
    case("normal, mean tensor", lambda g: torch.normal(g.v, 1.0)),
    case(
        "linspace to a tensor",
        lambda g: torch.linspace(0, g.s, 3, device=g.device),
        READ,
        rule="end point on the device",
    ),
    Case(
        name="ctc_loss",
        call=lambda g: torch._ctc_loss(
            torch.zeros(5, 1, 3, device=g.device),
            torch.ones(1, 2, dtype=torch.long, device=g.device),
            torch.full((1,), 5, device=g.device),
            torch.full((1,), 2, device=g.device),
        ),
        syncs=((OUT, True), (OUT, True), (IN, True), (IN, True), (IN, True)),
        rule="ctc_loss with lengths on the device",
    ),
    case(
        "ctc_loss, lengths on the host",
        lambda g: torch._ctc_loss(
            torch.zeros(5, 1, 3, device=g.device), torch.ones(1, 2, dtype=torch.long, device=g.device), (5,), (2,)
        ),
        IN,
        3,
        rule="ctc_loss",
    ),
    case(
        "cross_entropy, weights and smoothing",
        lambda g: functional.cross_entropy(g.x, g.bytes.long(), weight=g.v, label_smoothing=0.1),
        READ,
        rule="cross_entropy with weights and label smoothing",
    ),
    case("cross_entropy", lambda g: functional.cross_entropy(g.x, g.bytes.long())),
    # sizes that depend on values
    case("nonzero", lambda g: g.x.nonzero(), READ, rule="nonzero"),
    case("where(condition)", lambda g: torch.where(g.mask), READ),
    case("argwhere", lambda g: torch.argwhere(g.mask), READ),
    case("nonzero_static", lambda g: torch.nonzero_static(g.mask, size=2)),
    case("masked_select", lambda g: g.x.masked_select(g.mask2d), READ, rule="masked_select"),
    case("masked_scatter", lambda g: g.x.masked_scatter(g.mask2d, g.x)),
    case("unique", lambda g: g.x.unique(), READ, rule="unique"),
    case("unique_consecutive", lambda g: g.v.unique_consecutive(), READ, rule="unique_consecutive"),
    case("unique of nothing", lambda g: g.empty.unique()),
    unreported("unique along a dimension", lambda g: g.x.unique(dim=0), READ, 3, rule="unique along a dimension"),
    unreported("unique along a dimension, inverse", lambda g: g.x.unique(dim=0, return_inverse=True), READ, 6),
    unreported("unique along a dimension, counts", lambda g: g.x.unique(dim=0, return_counts=True), READ, 4),
    unreported(
        "unique_consecutive along a dimension",
        lambda g: g.x.unique_consecutive(dim=0),
        READ,
        2,
        rule="unique_consecutive along a dimension",
    ),
    unreported(
        "unique_consecutive along a dimension, both",
        lambda g: g.x.unique_consecutive(dim=0, return_inverse=True, return_counts=True),
        READ,
        6,
    ),
    case("bincount", lambda g: g.idx.bincount(), READ, 2, rule="bincount"),
    case("bincount of uint8", lambda g: g.bytes.bincount(), READ),
    case("histc", lambda g: g.v.histc(4), READ, 2, rule="histc without a range"),
    case("histc with a range", lambda g: g.v.histc(4, 0, 3)),
    case(
        "repeat_interleave",
        lambda g: g.x.repeat_interleave(g.bytes.long(), dim=0),
        READ,
        2,
        rule="repeat_interleave without output_size",
    ),
    case("repeat_interleave, output_size", lambda g: g.x.repeat_interleave(g.bytes.long(), dim=0, output_size=5)),
    case("repeat_interleave by a number", lambda g: g.x.repeat_interleave(2, dim=0)),
    case("one_hot", lambda g: functional.one_hot(g.idx), READ),
    case("one_hot, num_classes", lambda g: functional.one_hot(g.idx, 3)),
    case("isin, few", lambda g: torch.isin(g.x, g.v)),
    case(
        "isin, many",
        lambda g: torch.isin(g.v, torch.zeros(100, device=g.device)),
        READ,
        3 if IS_BEFORE_2_15 else 2,
        rule="isin that sorts",
    ),
    case(
        "isin, many and unique",
        lambda g: torch.isin(g.v, torch.zeros(100, device=g.device), assume_unique=True),
        READ if IS_BEFORE_2_15 else None,
    ),
    case("mode, short", lambda g: g.x.mode()),
    unreported("mode, long", lambda g: g.long.mode(), READ, 11, rule="mode of long slices"),
    unreported("mode, one long slice", lambda g: g.long[0].mode(), READ, 11),
    Case(
        name="mode, long, bool",
        call=lambda g: g.long.bool().mode(),
        syncs=(*((READ, True),) * 2, *((READ, False),) * 8),
        rule="mode of long slices of bool",
    ),
    case("searchsorted", lambda g: torch.searchsorted(g.v, g.v)),
    case(
        "searchsorted, sorter",
        lambda g: torch.searchsorted(g.v, g.v, sorter=g.v.argsort()),
        READ,
        2,
        rule="searchsorted with a sorter",
    ),
    case(
        "segment_reduce",
        lambda g: torch.segment_reduce(g.v, "max", lengths=torch.full((2,), 2, device=g.device)),
        READ,
        2,
        rule="segment_reduce with lengths",
    ),
    case(
        "segment_reduce, unsafe",
        lambda g: torch.segment_reduce(g.v, "max", lengths=torch.full((2,), 2, device=g.device), unsafe=True),
    ),
    case("combinations", lambda g: torch.combinations(g.v), READ if IS_BEFORE_2_15 else None, 2),
    *(
        case(name, lambda g, name=name: getattr(g.x, name)(), None)  # type: ignore[misc]
        for name in ("median", "nanmedian", "sort", "argsort", "argmax", "std", "var", "isnan", "isinf", "all")
    ),
    case("topk", lambda g: g.x.topk(2)),
    case("cumsum", lambda g: g.x.cumsum(0)),
    case("quantile", lambda g: g.x.quantile(0.5)),
    # indices
    case("x[t]", lambda g: g.x[g.t], READ),
    case("x[:, t]", lambda g: g.x[:, g.t], READ),
    case("x[t:]", lambda g: g.x[g.t :], READ),
    case("host[t]", lambda g: g.host[g.t], READ),
    case("x[host t]", lambda g: g.x[torch.tensor(1)]),
    case("x[positions]", lambda g: g.x[g.idx]),
    case("x[one position]", lambda g: g.x[g.idx[:1]]),
    case("x[mask]", lambda g: g.x[g.mask], READ, rule="mask as an index"),
    case("x[2-D mask]", lambda g: g.x[g.mask2d], READ),
    case("x[yes]", lambda g: g.x[g.yes], READ),
    case("x[mask, mask]", lambda g: g.x[g.mask, g.mask2d[0]], READ, 2),
    case("x[host mask]", lambda g: g.x[torch.tensor([True, False, True])]),
    case("x[host positions]", lambda g: g.x[torch.tensor([0, 2])], IN, rule="positions on the host as an index"),
    case("x[list]", lambda g: g.x[[0, 2]], IN),
    case("x[numpy]", lambda g: g.x[np.array([0, 2])], IN),
    case("x[mask] = number", assign("x", lambda g: g.mask, 1.0)),
    case("x[host mask] = number", assign("x", lambda _: torch.tensor([True, False, True]), 1.0), NUMBER),
    case("x[host mask] = host value", assign("x", lambda _: torch.tensor([True, False, True]), torch.tensor(1.0)), IN),
    case("x[host mask] = device number", assign("x", lambda _: torch.tensor([True, False, True]), lambda g: g.s)),
    case("index_reduce", reduce_at_positions),
    case(
        "x[mask] = device number",
        assign("x", lambda g: g.mask, lambda g: g.s),
        READ,
        rule="written through a mask",
    ),
    case("x[mask] = device values", assign("x", lambda g: g.mask, lambda g: g.x[:2].clone()), READ),
    Case(
        name="x[mask, positions] = number",
        call=assign("x", lambda g: (g.mask, g.idx), 1.0),
        syncs=((READ, True), (NUMBER, True)) if NUMBER else ((READ, True),),
    ),
    case("x[positions] = number", assign("x", lambda g: g.idx, 1.0), NUMBER, rule="number written through positions"),
    case("x[positions] = device values", assign("x", lambda g: g.idx, lambda g: g.x[:2].clone())),
    case("v[0] = number", assign("v", lambda _: 0, 1.0), NUMBER),
    case("x[0, 0] = number", assign("x", lambda _: (0, 0), 1.0), NUMBER),
    case("x[0] = number", assign("x", lambda _: 0, 1.0)),
    case("x[1:] = number", assign("x", lambda _: slice(1, None), 1.0)),
    case("x[...] = number", assign("x", lambda _: ..., 1.0)),
    case("x[0] = device values", assign("x", lambda _: 0, lambda g: g.v)),
    case("index_select", lambda g: g.x.index_select(0, g.idx)),
    case("gather", lambda g: g.x.gather(0, g.idx[None])),
    case("index_fill, number", lambda g: g.x.index_fill(0, g.idx, 1.0)),
    case(
        "index_fill, device value",
        lambda g: g.x.index_fill(0, g.idx, g.s),
        READ,
        rule="index_fill with a value on the device",
    ),
    case("masked_fill, number", lambda g: g.x.masked_fill(g.mask2d, 1.0)),
    case("masked_fill, host value", lambda g: g.x.masked_fill(g.mask2d, torch.tensor(1.0))),
    case(
        "masked_fill, device value",
        lambda g: g.x.masked_fill(g.mask2d, g.s),
        READ,
        rule="masked_fill with a value on the device",
    ),
    case("fill_, device value", lambda g: g.x.fill_(g.s)),
    case("fill_, host value", lambda g: g.x.fill_(torch.tensor(1.0))),
    case("host fill_, device value", lambda g: g.host.fill_(g.s), READ, rule="host tensor filled from the device"),
    case("where, device operands", lambda g: torch.where(g.mask2d, g.x, g.s)),
    case("where, numbers", lambda g: torch.where(g.mask2d, 1.0, 0.0)),
    case(
        "where, host scalar",
        lambda g: torch.where(g.mask2d, g.x, torch.tensor(0.0)),
        IN,
        rule="where with a host scalar",
    ),
    case("where, two host scalars", lambda g: torch.where(g.mask2d, torch.tensor(1.0), torch.tensor(0.0)), IN, 2),
    # creation
    case("tensor(number)", lambda g: torch.tensor(1.0, device=g.device), IN),
    case("tensor(list)", lambda g: torch.tensor([1.0, 2.0], device=g.device), IN),
    case("tensor([])", lambda g: torch.tensor([], device=g.device)),
    case("tensor of device scalars", lambda g: torch.tensor([g.s, g.s, g.s]), READ, 3),
    case("new_tensor", lambda g: g.x.new_tensor([1.0]), IN),
    case("as_tensor(list)", lambda g: torch.as_tensor([1.0], device=g.device), IN),
    case("as_tensor(numpy)", lambda g: torch.as_tensor(np.ones(3), device=g.device), IN),
    case("from_numpy", lambda g: torch.from_numpy(np.ones(3)).to(g.device), IN),
    *(
        case(name, lambda g, name=name, size=size: getattr(torch, name)(*size, device=g.device))  # type: ignore[misc]
        for name, size in CREATED_ON_DEVICE.items()
    ),
    case("full of a device value", lambda g: torch.full((2,), g.s, device=g.device), READ),
    case("arange to a device value", lambda g: torch.arange(g.t, device=g.device), READ),
    case("zeros of a device size", lambda g: torch.zeros(g.t, device=g.device), READ),
    case("view with a device size", lambda g: g.x.view(g.t * 3, -1), READ),
    case("split by a device value", lambda g: g.x.split(g.t), READ),
    case("host generator", lambda g: torch.randn(3, generator=torch.Generator()).to(g.device), IN),
    case("device generator", lambda g: torch.randn(3, generator=torch.Generator(g.device), device=g.device)),
    case("bernoulli", lambda g: torch.bernoulli(g.x / 12)),
    case("multinomial", lambda g: torch.multinomial(g.v, 2)),
    case("dropout", lambda g: functional.dropout(g.x)),
    # layers
    case("add a host scalar", lambda g: g.x + torch.tensor(1.0)),
    case("mm", lambda g: g.x @ g.x.t()),
    case("conv", lambda g: functional.conv2d(g.x[None, None], g.square[None, None])),
    case("group_norm", lambda g: functional.group_norm(g.x[None], 3)),
    case("interpolate", lambda g: functional.interpolate(g.x[None, None], scale_factor=2)),
    case("embedding", lambda g: functional.embedding(g.idx, g.x)),
    case("embedding, max_norm", lambda g: functional.embedding(g.idx, g.x.clone(), max_norm=1.0)),
    case("attention, boolean mask", lambda g: attend(g.x, torch.ones(3, 3, dtype=torch.bool, device=g.device))),
    case(
        "pack_padded_sequence",
        lambda g: torch.nn.utils.rnn.pack_padded_sequence(g.long.reshape(-1, 2, 3), torch.tensor([3, 2])),
    ),
    case("clip_grad_norm_", lambda g: torch.nn.utils.clip_grad_norm_([g.x], 1.0)),
    # explicit synchronization
    unreported("cuda.synchronize", lambda _: torch.cuda.synchronize(), EXPLICIT, rule="synchronize"),
    unreported("accelerator.synchronize", lambda _: torch.accelerator.synchronize(), EXPLICIT, rule="synchronize"),
    unreported("the device's synchronize", lambda g: on(g).synchronize(), EXPLICIT, rule="synchronize"),
    unreported("empty_cache", free_and_empty_cache, EXPLICIT, rule="release of cached memory"),
    case(
        "Stream.synchronize",
        lambda g: on(g).Stream().synchronize(),
        EXPLICIT,
        rule="synchronize a stream",
    ),
    unreported("Event.synchronize", record_and_synchronize, EXPLICIT, rule="synchronize an event"),
    case("Event.synchronize, not recorded", lambda g: on(g).Event().synchronize()),
    case("wait_stream", lambda g: on(g).Stream().wait_stream(on(g).current_stream())),
    case("record_stream", lambda g: g.x.record_stream(on(g).current_stream())),
    # work on the host
    case("host item", lambda g: g.host[0, 0].item()),
    case("host nonzero", lambda g: g.host.nonzero()),
    case("host mask", lambda g: g.host[g.host > 0]),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_call_has_cudas_syncs(case: Case) -> None:
    """The number of syncs, their kinds and whether they are reported are CUDA's."""
    with SimulatedGPU() as gpu, torch.no_grad():
        things = Things(gpu.device)
        before = len(gpu.syncs)
        case.call(things)
        syncs = [(sync.kind, sync.is_reported) for sync in gpu.syncs[before:]]

    key = str
    assert sorted(case.syncs, key=key) == sorted(syncs, key=key)


def test_every_row_has_a_case() -> None:
    """Each row of the table has a case, and each case names an existing row."""
    tested = {case.rule for case in CASES} - {""}

    assert {rule.name for rule in RULES} == tested


def test_rows_are_complete() -> None:
    """Names are unique, and every row has a source."""
    names = [rule.name for rule in RULES]

    assert len(set(names)) == len(names)
    assert all(rule.source for rule in RULES)


def test_rows_are_confirmed() -> None:
    """CUDA's own code confirmed each row that still applies, but for two with a stated limit."""
    unconfirmed = {rule.name for rule in RULES if not rule.confirmed_by and not rule.until}

    assert unconfirmed == {"matrix exponential", "release of cached memory"}


def test_row_ends_with_a_version_of_torch() -> None:
    """A row with `until` applies to earlier releases, with their patches and local labels, and to no later one."""
    rule = next(one for one in RULES if one.until == "2.14")

    assert [rule.applies_to(one) for one in ("2.11.0", "2.13.1+cu130", "2.14.0", "2.14.1+cu130", "2.15.0")] == [
        *(True, True, False, False, False)
    ]
    assert RULES[0].applies_to("2.15.0")
