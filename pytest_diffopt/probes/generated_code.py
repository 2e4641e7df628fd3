"""Reads a module that Inductor generated: kernels with what is fused in them, external calls, partitions, buffers.

The text is read, and not the compiler's state, because a module from Inductor's cache has only its text.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest

from pytest_diffopt._torch_private.generated_modules import GeneratedModule, LoadedKernel
from pytest_diffopt.records import ExternalCall, GeneratedCode, GeneratedKernel

_DEFINITION = re.compile(r"(?P<name>\w+) = async_compile\.triton\(")
_PARAMETERS = re.compile(r"def (?P<name>triton_\w+)\((?P<parameters>.*)\):$")
_ORIGINS = re.compile(r"# .*Original ATen: \[(?P<operations>[^\]]*)\]")
_LAUNCH = re.compile(r"(?P<name>\w+)\.run\((?P<arguments>.*)\)$")
_EXTERNAL = re.compile(r"\b(?P<function>extern_kernels\.\w+|torch\.ops\.\w+\.\w+(?:\.\w+)?)\(")
_PARTITION = re.compile(r"def partition_\d+\(")
# As in: `buf1 = empty_strided_cuda((2, 3), (3, 1), torch.float32)`.
_ALLOCATION = re.compile(r"(?P<name>\w+) = empty_strided_\w+\((?P<sizes>\([^)]*\)), \([^)]*\), torch\.(?P<dtype>\w+)\)")
# As in: `arg0_1 = rand_strided((2, 3), (3, 1), device='cuda:0', dtype=torch.float32)`.
_INPUT = re.compile(
    r"(?P<name>\w+) = rand_strided\((?P<sizes>\([^)]*\)), \([^)]*\), device='[^']*', dtype=torch\.(?P<dtype>\w+)\)"
)
_RESULT = re.compile(r"assert_tensor_metadata\((?P<name>\w+), (?P<sizes>\([^)]*\)), \([^)]*\), torch\.(?P<dtype>\w+)")
_ALIAS = re.compile(r"(?P<name>\w+) = (?:reinterpret_tensor\()?(?P<other>\w+)[;,]")
_REUSE = re.compile(r"#\s*reuse$")
_SYMBOL = re.compile(r"\b[su]\d+\b")
_CUBLAS = re.compile(r"extern_kernels\.(?:bias_)?(?:mm|addmm|bmm|baddbmm|_scaled_mm|_int_mm)$")
_CUDNN = re.compile(r"cudnn|convolution")
_BITS = re.compile(r"\d+")
_OF_TORCH = ("aten", "prims", "inductor")


def generated_code(module: GeneratedModule) -> GeneratedCode:
    """Return what a generated module holds; code for the CPU has no kernels and no external calls in the record."""
    lines = [line.strip() for line in module.source.splitlines()]
    if not any("empty_strided_cuda(" in line and "=" in line for line in lines if "torch._C" not in line):
        return GeneratedCode()
    body = _body(lines)
    calls = _Calls.read(lines, body)
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
    """What a module calls, in order.

    Attributes:
        launches: for each kernel, the bytes that each launch moves; None where sizes are symbolic.
        external: the external functions, with the number of their calls.
    """

    launches: dict[str, list[int | None]] = field(default_factory=dict)
    external: Counter[str] = field(default_factory=Counter)
    _parameters: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, lines: list[str], body: list[str]) -> "_Calls":
        """Read the lines that run in each call; the sizes of inputs are in the module's own benchmark."""
        calls = cls()
        sizes: dict[str, int | None] = {}
        for line in lines:
            if kernel := _PARAMETERS.match(line):
                calls._parameters[kernel["name"]] = kernel["parameters"].split(", ")
            elif given := _INPUT.match(line):
                sizes[given["name"]] = _bytes(given)
        for line in body:
            calls._read_line(line, sizes)
        return calls

    def _read_line(self, line: str, sizes: dict[str, int | None]) -> None:
        if line.startswith("#"):
            return
        if made := _ALLOCATION.match(line) or _RESULT.match(line):
            sizes[made["name"]] = _bytes(made)
        elif (alias := _ALIAS.match(line)) and alias["other"] in sizes:
            sizes[alias["name"]] = sizes[alias["other"]]
        elif launch := _LAUNCH.match(line):
            moved = _moved(launch["arguments"], self._parameters.get(launch["name"], []), sizes)
            self.launches.setdefault(launch["name"], []).append(moved)
        elif external := _EXTERNAL.search(line):
            self.external[external["function"]] += 1


def _bytes(found: re.Match[str]) -> int | None:
    sizes = [size.strip() for size in found["sizes"].strip("()").split(",") if size.strip()]
    if not all(size.isdecimal() for size in sizes):
        return None
    return math.prod(map(int, sizes)) * _dtype_bytes(found["dtype"])


def _dtype_bytes(dtype: str) -> int:
    bits = _BITS.search(dtype)
    return max(1, int(bits[0]) // 8) if bits else 1


def _moved(arguments: str, parameters: list[str], sizes: Mapping[str, int | None]) -> int | None:
    """Return the bytes of a launch's tensors, of one that it reads and writes twice; None where sizes are symbolic."""
    total = 0
    for argument, parameter in zip_longest(arguments.split(", "), parameters, fillvalue=""):
        names = [name for name in re.findall(r"\w+", argument) if name in sizes]
        size = sizes[names[0]] if names else 0
        if size is None:
            return None
        total += size * (2 if parameter.startswith("in_out_ptr") else 1)
    return total


def _kernel(
    name: str, operations: tuple[str, ...], calls: _Calls, loaded: Mapping[str, LoadedKernel]
) -> GeneratedKernel:
    launches = calls.launches.get(name, [])
    known = [size for size in launches if size is not None]
    found = loaded.get(name, LoadedKernel(candidates=0))
    return GeneratedKernel(
        name=name,
        operations=operations,
        launches=len(launches),
        argument_bytes=round(sum(known) / len(known)) if known and len(known) == len(launches) else 0,
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
