"""Short, stable names of kernels: what they compute and in which dtype, without template arguments."""

import functools
import re

from pytest_diffopt.null_gpu.counters import demangled

# Inductor numbers the kernels of a generated module; one kernel more would rename all that follow.
_INDUCTOR = re.compile(r"(triton_[a-z]+_fused\w*?)_\d+")
_IDENTIFIER = re.compile(r"(?:c10::)?\b[A-Za-z_]\w*")
_DTYPES = {
    "c10::BFloat16": "bfloat16",
    "bfloat16_t": "bfloat16",
    "c10::Half": "float16",
    "half_t": "float16",
    "c10::Float8_e4m3fn": "float8_e4m3fn",
    "c10::Float8_e5m2": "float8_e5m2",
    "float": "float32",
    "double": "float64",
}
# Only where no floating-point dtype is named: these are also the types of indices and of flags.
_INTEGER_DTYPES = {"long": "int64", "int": "int32", "short": "int16", "bool": "bool"}
# A kernel that only moves values is compiled for their size.
_OPAQUE = re.compile(r"OpaqueType<(\d+)u?>")
# How a functor or the function that launches a kernel is named in torch's sources; the group is the operation.
_OPERATIONS = (
    re.compile(r"CUDAFunctor(?:On\w+?)?_(\w+)"),
    re.compile(r"(?!gpu_)(\w+?)_kernel_(?:cuda|impl)\w*"),
    re.compile(r"(?!gpu_)(\w+?)_kernel"),
    re.compile(r"(\w+?)(?:CUDA)?Kernel(?:CUDA|Cuda|Impl)?\w*"),
    re.compile(r"(?!Binary|[AB]?Unary|\w*Reduce)(\w+?)_?[fF]unctor"),
    re.compile(r"(\w+?)Ops"),
)
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@functools.cache
def readable_kernel(name: str) -> str:
    """Return a kernel's short name.

    A template becomes its function, with the operation and the dtype where its arguments name them:
    `vectorized_elementwise_kernel(gelu, bfloat16)`. Inductor's kernels lose the number that each has in its module:
    `triton_poi_fused_gelu_mul`. A kernel that is no template keeps its name, and so does any kernel of Triton's own.

    Args:
        name: the name under which the kernel is registered, mangled or not.
    """
    numbered = _INDUCTOR.fullmatch(name)
    if numbered:
        return numbered[1]
    text = demangled(name).replace("(anonymous namespace)::", "")
    path, arguments = _split(text)
    function = path.split()[-1].rpartition("::")[2] if path.split() else text
    details = ", ".join(filter(None, [_operation(arguments, function), _dtype(arguments)]))
    return f"{function}({details})" if details else function


def _split(text: str) -> tuple[str, str]:
    """Split a demangled name into the qualified function and its template arguments, which may be empty."""
    end = re.search(r"[<(]", text)
    if end is None:
        return text, ""
    start, depth = end.start(), 0
    if text[start] == "(":
        return text[:start], ""
    for index in range(start, len(text)):
        depth += {"<": 1, ">": -1}.get(text[index], 0)
        if not depth:
            return text[:start], text[start + 1 : index]
    return text[:start], text[start + 1 :]


def _operation(arguments: str, function: str) -> str:
    """Return the operation that the template arguments name, unless the function's own name contains it."""
    for identifier in _IDENTIFIER.findall(arguments):
        for pattern in _OPERATIONS:
            found = pattern.fullmatch(identifier)
            if found:
                operation = _WORD_START.sub("_", found[1]).lower().strip("_").removeprefix("direct_")
                return "" if operation in function.lower() else operation
    return ""


def _dtype(arguments: str) -> str:
    """Return the dtype that the template arguments name first, or the size of the values that are only moved."""
    identifiers = _IDENTIFIER.findall(arguments.replace("unsigned int", ""))
    floating = next((_DTYPES[one] for one in identifiers if one in _DTYPES), "")
    if floating:
        return floating
    if opaque := _OPAQUE.search(arguments):
        return f"{opaque[1]}-byte values"
    return next((_INTEGER_DTYPES[one] for one in identifiers if one in _INTEGER_DTYPES), "")
