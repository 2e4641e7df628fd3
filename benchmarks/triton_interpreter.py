"""Run what Inductor generates in Triton's interpreter on the null GPU, and compare the values with the CPU's.

    python -m benchmarks.triton_interpreter
    python -m benchmarks.triton_interpreter --plain

Small pointwise operations and reductions are compiled for the GPU that the null GPU names. Triton's interpreter copies
the arguments of each kernel to the host and runs it there with NumPy. It has no functions of CUDA's libdevice
(`libdevice.exp` returns nothing): they are replaced by Triton's own, or by NumPy's, unless `--plain` is given.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import triton.language as tl
from torch._inductor.runtime import triton_helpers
from torch.nn import functional

from pytest_diffopt.null_gpu.launching import environment

_LIBDEVICE: Any = vars(triton_helpers)["libdevice"]  # as generated kernels import it
_ROWS, _COLUMNS = 16, 64
#: Functions of libdevice that Triton has, too.
_IN_TRITON = ("abs", "ceil", "cos", "erf", "exp", "exp2", "floor", "log", "log2", "rsqrt", "sin", "sqrt")
_CASES: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu(x) * 2 + 1": lambda x: functional.relu(x) * 2 + 1,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu (tanh)": lambda x: functional.gelu(x, approximate="tanh"),
    "geglu": lambda x: x.chunk(2, -1)[0] * functional.gelu(x.chunk(2, -1)[1]),
    "sin, cos": lambda x: torch.cat([x.sin(), x.cos()], -1),
    "x * sigmoid(x) in bfloat16": lambda x: (x.bfloat16() * torch.sigmoid(x.bfloat16())).float(),
    "sum": lambda x: x.sum(-1),
    "amax + mean": lambda x: x.amax(-1) + x.mean(-1),
    "softmax": lambda x: x.softmax(-1),
    "rms_norm": lambda x: functional.rms_norm(x, (_COLUMNS,)),
    "layer_norm": lambda x: functional.layer_norm(x, (_COLUMNS,)),
    "group_norm, silu": lambda x: functional.silu(functional.group_norm(x.view(2, _ROWS // 2, _COLUMNS), 4)),
    "cumsum": lambda x: x.cumsum(-1),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare each case in a process on the null GPU; the exit code is 1 if one cannot be interpreted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plain", action="store_true", help="do not replace the functions of libdevice")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not options.inside:
        command = [sys.executable, "-m", "benchmarks.triton_interpreter", "--inside", *sys.argv[1:]]
        return subprocess.run(command, env=environment() | {"TRITON_INTERPRET": "1"}, check=False).returncode
    if not options.plain:
        _replace_libdevice()
    return int(any([_differs(name, case) for name, case in _CASES.items()]))  # noqa: C419 - each is printed


def _replace_libdevice() -> None:
    from triton.runtime.interpreter import TensorHandle, interpreter_semantic  # noqa: PLC0415 - only if interpreted

    def in_triton(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: function(*args, _semantic=interpreter_semantic)

    def tanh(value: Any) -> Any:
        return tl.tensor(TensorHandle(np.tanh(value.handle.data), value.handle.dtype), value.type)

    for name in _IN_TRITON:
        setattr(_LIBDEVICE, name, in_triton(getattr(tl, name)))
    _LIBDEVICE.tanh = tanh


def _differs(name: str, case: Callable[[torch.Tensor], torch.Tensor]) -> bool:
    """Print the largest difference, or the error; return whether there is an error."""
    torch.compiler.reset()
    values = torch.randn(_ROWS, _COLUMNS, generator=torch.Generator().manual_seed(0))
    try:
        found = torch.compile(case)(values.to("cuda")).cpu()
    except Exception as error:  # noqa: BLE001 - what the interpreter cannot run is a result
        print(f"{name:<28} {type(error).__name__}: {str(error).splitlines()[0]}", flush=True)
        return True
    print(f"{name:<28} {float((found - case(values)).abs().max()):.3g}", flush=True)
    return False


if __name__ == "__main__":
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    sys.exit(main())
