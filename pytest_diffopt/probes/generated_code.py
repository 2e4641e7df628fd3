"""Reads a module that Inductor generated: kernels with what is fused in them, external calls, partitions, buffers.

The text is read, and not the compiler's state, because a module from Inductor's cache has only its text.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pytest_diffopt._torch_private.generated_modules import GeneratedModule, LoadedKernel
from pytest_diffopt.records import ExternalCall, GeneratedCode, GeneratedKernel

_DEFINITION = re.compile(r"(?P<name>\w+) = async_compile\.triton\(")
_ORIGINS = re.compile(r"# .*Original ATen: \[(?P<operations>[^\]]*)\]")
_LAUNCH = re.compile(r"(?P<name>\w+)\.run\(.*\)$")
_EXTERNAL = re.compile(r"\b(?P<function>extern_kernels\.\w+|torch\.ops\.\w+\.\w+(?:\.\w+)?)\(")
_PARTITION = re.compile(r"def partition_\d+\(")
_REUSE = re.compile(r"#\s*reuse$")
_SYMBOL = re.compile(r"\b[su]\d+\b")
_CUBLAS = re.compile(r"extern_kernels\.(?:bias_)?(?:mm|addmm|bmm|baddbmm|_scaled_mm|_int_mm)$")
_CUDNN = re.compile(r"cudnn|convolution")
_OF_TORCH = ("aten", "prims", "inductor")


def generated_code(module: GeneratedModule) -> GeneratedCode:
    """Return what a generated module holds; code for the CPU has no kernels and no external calls in the record."""
    lines = [line.strip() for line in module.source.splitlines()]
    if not any("empty_strided_cuda(" in line and "=" in line for line in lines if "torch._C" not in line):
        return GeneratedCode()
    body = _body(lines)
    calls = _Calls.read(body)
    kernels = tuple(_kernel(name, operations, calls, module.kernels) for name, operations in _definitions(lines))
    return GeneratedCode(
        kernels=kernels,
        external_calls=tuple(
            _external(function, number, module.fallbacks) for function, number in calls.external.items()
        ),
        partitions=sum(_PARTITION.match(line) is not None for line in lines),
        reused_buffers=sum(_REUSE.search(line) is not None for line in body),
        symbolic_sizes=len({symbol for line in body for symbol in _SYMBOL.findall(line)}),
        default_choices=sum(kernel.candidates > 1 for kernel in module.kernels.values()),
    )


def joined_code(codes: Iterable[GeneratedCode]) -> GeneratedCode:
    """Return the code of several graphs as one: a compilation may have more than one graph."""
    parts = tuple(codes)
    if len(parts) == 1:
        return parts[0]
    return GeneratedCode(
        kernels=tuple(kernel for part in parts for kernel in part.kernels),
        external_calls=tuple(call for part in parts for call in part.external_calls),
        partitions=sum(part.partitions for part in parts),
        reused_buffers=sum(part.reused_buffers for part in parts),
        symbolic_sizes=sum(part.symbolic_sizes for part in parts),
        default_choices=sum(part.default_choices for part in parts),
    )


def _body(lines: list[str]) -> list[str]:
    """Return the lines that run in each call: what follows the definitions, up to the module's own benchmark."""
    start = next((index for index, line in enumerate(lines) if line.startswith("async_compile.wait(")), 0)
    end = next((index for index, line in enumerate(lines) if line.startswith("def get_args(")), len(lines))
    end = min(end, next((i for i, line in enumerate(lines) if line.startswith("def benchmark_compiled")), end))
    return lines[start:end]


def _definitions(lines: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    operations: tuple[str, ...] = ()
    for line in lines:
        if origins := _ORIGINS.match(line):
            operations = tuple(filter(None, origins["operations"].split(", ")))
        elif definition := _DEFINITION.match(line):
            yield definition["name"], operations


@dataclass(kw_only=True)
class _Calls:
    """What a module calls: its kernels and the external functions, with the number of their calls."""

    launches: Counter[str] = field(default_factory=Counter)
    external: Counter[str] = field(default_factory=Counter)

    @classmethod
    def read(cls, body: list[str]) -> "_Calls":
        """Read the lines that run in each call."""
        calls = cls()
        for line in body:
            if line.startswith("#"):
                continue
            if launch := _LAUNCH.match(line):
                calls.launches[launch["name"]] += 1
            elif external := _EXTERNAL.search(line):
                calls.external[external["function"]] += 1
        return calls


def _kernel(
    name: str, operations: tuple[str, ...], calls: _Calls, loaded: Mapping[str, LoadedKernel]
) -> GeneratedKernel:
    found = loaded.get(name, LoadedKernel(candidates=0))
    return GeneratedKernel(
        name=name,
        operations=operations,
        launches=calls.launches[name],
        registers=found.registers,
        shared_bytes=found.shared_bytes,
        spilled_bytes=found.spilled_bytes,
        warps=found.warps,
    )


def _external(function: str, calls: int, without_code: frozenset[str]) -> ExternalCall:
    library, fallback = _served_by(function, without_code)
    return ExternalCall(function=function, library=library, calls=calls, fallback=fallback)


def _served_by(function: str, without_code: frozenset[str]) -> tuple[str, str]:
    """Return what computes an external function, and why Inductor generates no code for it."""
    if _CUBLAS.match(function):
        return "cuBLAS", ""
    operator = function.removeprefix("torch.ops.")
    if function.startswith("torch.ops.") and operator.partition(".")[0] not in _OF_TORCH:
        return "custom operation", "a custom operation"
    library = "cuDNN" if _CUDNN.search(function) else "torch"
    if function.startswith("extern_kernels."):
        return library, ""
    return library, "Inductor has no code for it" if operator in without_code else "not for these arguments"
