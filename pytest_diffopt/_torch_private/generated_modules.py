"""The Python modules that Inductor generates: their source, and the kernels that are loaded in them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pytest_diffopt._torch_private.replacing import replaced

#: Attributes of Inductor's launchers: registers of a thread, spilled registers, and shared memory of a block in bytes.
_REGISTERS, _SPILLED, _SHARED = "n_regs", "n_spills", "shared"
_BYTES_OF_A_REGISTER = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedKernel:
    """A kernel of Triton's in a generated module, as the driver describes it.

    Attributes:
        candidates: configurations among which autotuning chooses.
        registers: registers of a thread, of the first configuration; None if it is not loaded yet.
        shared_bytes: shared memory of a block.
        spilled_bytes: local memory of a thread that holds spilled registers.
        warps: warps of a block.
    """

    candidates: int
    registers: int | None = None
    shared_bytes: int | None = None
    spilled_bytes: int | None = None
    warps: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratedModule:
    """A module that Inductor generated for one graph, or took from its cache.

    Attributes:
        source: its source.
        kernels: its kernels of Triton's by name.
        fallbacks: the operators that Inductor has no code for, as it writes them (`aten.cumprod.default`).
    """

    source: str
    kernels: Mapping[str, LoadedKernel]
    fallbacks: frozenset[str]


@contextmanager
def generated_modules_watched(report: Callable[[GeneratedModule], None]) -> Iterator[None]:
    """Call `report` with each module, also with those from Inductor's cache, as its compilation ends."""
    from torch._inductor import output_code  # noqa: PLC0415 - slow to import, and loaded where code is compiled

    def watching(original: Callable[..., Any]) -> Callable[..., Any]:
        def post_compile(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            report(_module_of(self))
            return result

        return post_compile

    with replaced(output_code.CompiledFxGraph, "post_compile", watching):
        yield


def _module_of(graph: Any) -> GeneratedModule:
    return GeneratedModule(source=str(graph.source_code), kernels=_kernels(graph.cache_key), fallbacks=_fallbacks())


def _kernels(key: str) -> dict[str, LoadedKernel]:
    from torch._inductor.codecache import PyCodeCache  # noqa: PLC0415 - as above

    modules = [module for module in PyCodeCache.modules if getattr(module, "key", None) == key]
    named = vars(modules[-1]).items() if modules else ()
    return {name: _loaded(one) for name, one in named if hasattr(one, "inductor_meta") and hasattr(one, "launchers")}


def _loaded(kernel: Any) -> LoadedKernel:
    launchers = kernel.launchers or ()
    if not launchers:
        return LoadedKernel(candidates=len(kernel.compile_results or ()))
    first = launchers[0]
    spilled = getattr(first, _SPILLED, None)
    return LoadedKernel(
        candidates=len(launchers),
        registers=getattr(first, _REGISTERS, None),
        shared_bytes=getattr(first, _SHARED, None),
        spilled_bytes=None if spilled is None else spilled * _BYTES_OF_A_REGISTER,
        warps=getattr(getattr(first, "config", None), "num_warps", None),
    )


def _fallbacks() -> frozenset[str]:
    from torch._inductor import lowering  # noqa: PLC0415 - as above

    return frozenset(str(operator) for operator in lowering.fallbacks)
