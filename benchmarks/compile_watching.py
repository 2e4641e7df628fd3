"""Measure the overhead of `CompileLog` on a compilation and on the calls after it.

Compilations with and without the log alternate. CPU time is compared, because other processes on the machine affect
wall-clock time.
"""

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch

from pytest_diffopt.probes.compile_log import CompileLog

_PAIRS = 12
_CALLS = 300
_BACKEND = "aot_eager_decomp_partition"


class Block(torch.nn.Module):
    """A module that takes about a second to compile."""

    def __init__(self, depth: int = 12) -> None:
        super().__init__()
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(16) for _ in range(depth))
        self.linears = torch.nn.ModuleList(torch.nn.Linear(16, 16) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply normalization, a linear layer and attention, `depth` times."""
        for norm, linear in zip(self.norms, self.linears, strict=True):
            hidden = linear(norm(x))
            x = x + torch.nn.functional.scaled_dot_product_attention(hidden, hidden, hidden)
        return x


def compile_once(*, is_watched: bool) -> tuple[float, float]:
    """Return the CPU time in seconds of a compilation, and of the calls after it."""
    torch.compiler.reset()
    module = Block().eval()
    x = torch.ones(1, 2, 8, 16)
    module.compile(backend=_BACKEND)
    with torch.no_grad(), CompileLog() if is_watched else nullcontext():
        compiling = _spent(lambda: module(x))
        calling = _spent(lambda: [module(x) for _ in range(_CALLS)])
    return compiling, calling


def _spent(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    """Measure in pairs, in alternating order, and print the ratios."""
    compile_once(is_watched=False)
    compile_once(is_watched=True)
    compiling, calling, plain_s = [], [], []
    for number in range(_PAIRS):
        order = (True, False) if number % 2 else (False, True)
        spent = {is_watched: compile_once(is_watched=is_watched) for is_watched in order}
        compiling.append(spent[True][0] / spent[False][0])
        calling.append(spent[True][1] / spent[False][1])
        plain_s.append(spent[False][0])
    print(f"{_PAIRS} pairs, a compilation takes {statistics.median(plain_s):.2f} s of CPU time")
    for name, ratios in (("compiling", compiling), (f"{_CALLS} calls after it", calling)):
        low, high = statistics.quantiles(ratios, n=4)[0], statistics.quantiles(ratios, n=4)[2]
        print(f"{name}: with log / without, median {statistics.median(ratios):.3f}, quartiles {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    main()
