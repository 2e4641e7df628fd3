"""Learn how many kernels and library calls each operation launches: from torch's own CUDA code on the null GPU.

    python -m benchmarks.learn_launches

The built-in pipelines (tiny, and two steps at full size), the schedulers and the calls of the sync table's test run on
the simulated GPU, which records the signature of each operation. A second process on the null GPU runs each signature
once, on tensors without values, and counts. What determines the number is kept in
`pytest_diffopt/simulated_gpu/cost/launches.json`, for this release of torch.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks.agreement_cases import all_cases
from pytest_diffopt._torch_private.version_gate import torch_release
from pytest_diffopt.null_gpu.counters import TallyKind, read_counts
from pytest_diffopt.null_gpu.launching import environment
from pytest_diffopt.simulated_gpu import SimulatedGPU
from pytest_diffopt.simulated_gpu.backend.tensor import SimulatedTensor
from pytest_diffopt.simulated_gpu.cost import accounting, launches

_FULL_SIZE_VALUES = 4096


@dataclass(frozen=True, slots=True)
class _Tensor:
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    dtype: torch.dtype
    is_on_device: bool

    def made(self) -> torch.Tensor:
        """Make a tensor like it, of zeros on the host and without values on the GPU."""
        device = "cuda" if self.is_on_device else "cpu"
        reach = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True)) + 1
        memory = torch.empty(reach if math.prod(self.shape) else 0, dtype=self.dtype, device=device)
        if not self.is_on_device:
            memory.zero_()
        return memory.as_strided(self.shape, self.stride, self.offset if math.prod(self.shape) else 0)


Signature = tuple[str, tuple[Any, ...], tuple[tuple[str, Any], ...]]


def main() -> int:
    """Record, count and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", default=("",), metavar="TEXT", help="only cases whose name contains a text"
    )
    parser.add_argument("--replay", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.replay:
        _replay(options.replay)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "signatures.json"
        path.write_text(json.dumps(_plain(tuple(sorted(_recorded(options.only), key=repr)))), encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.learn_launches", "--replay", str(path)]
        subprocess.run(command, env=environment(), check=True)
        _write(json.loads(_answer(path).read_text(encoding="utf-8")))
    return 0


def _recorded(only: Sequence[str]) -> set[Signature]:
    """Return the signatures of all operations that launch work."""
    found: set[Signature] = set()

    def record(full_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
        found.add((full_name, _frozen(tuple(args)), tuple((name, _frozen(one)) for name, one in kwargs.items())))
        return 1

    for case in all_cases():
        if not any(text in case.name for text in only):
            continue
        print(f"{case.name}: {len(found)}", file=sys.stderr, flush=True)
        limit = _FULL_SIZE_VALUES if case.is_full_size else math.inf
        with (
            mock.patch.object(accounting, "launches_of", record),
            SimulatedGPU(real_up_to=limit, placeholder_values=True) as gpu,
        ):
            try:
                case.prepare(gpu.device)()
            except Exception as error:  # noqa: BLE001 - one case less
                print(f"{case.name}: {error}", file=sys.stderr)
    return found


def _frozen(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        is_on_device = isinstance(value, SimulatedTensor)
        offset = int(value.storage_offset())
        return _Tensor(tuple(value.shape), value.stride(), offset, value.dtype, is_on_device)
    if isinstance(value, list | tuple):
        return tuple(_frozen(one) for one in value)
    if isinstance(value, torch.device):
        return "the device"
    return None if isinstance(value, torch.Generator) else value


def _plain(value: Any) -> Any:
    """Return a part of a signature as JSON has it."""
    match value:
        case _Tensor():
            return {"tensor": [value.shape, value.stride, value.offset, _plain(value.dtype), value.is_on_device]}
        case torch.dtype() | torch.layout() | torch.memory_format():
            return {"torch": str(value).removeprefix("torch.")}
        case complex():
            return {"complex": [value.real, value.imag]}
        case tuple():
            return [_plain(one) for one in value]
    return value


def _parsed(value: Any) -> Any:
    """Return a part of a signature from JSON."""
    match value:
        case {"tensor": [shape, stride, offset, dtype, is_on_device]}:
            return _Tensor(tuple(shape), tuple(stride), offset, _parsed(dtype), is_on_device)
        case {"torch": str(name)}:
            return getattr(torch, name)
        case {"complex": [real, imaginary]}:
            return complex(real, imaginary)
        case list():
            return tuple(_parsed(one) for one in value)
    return value


def _made(value: Any) -> Any:
    if isinstance(value, _Tensor):
        return value.made()
    if isinstance(value, tuple):
        return [_made(one) for one in value]
    return torch.device("cuda") if isinstance(value, str) and value == "the device" else value


def _replay(path: Path) -> None:
    """Count the launches of each signature on the null GPU, and write the table's entries beside the file."""
    signatures: tuple[Signature, ...] = _parsed(json.loads(path.read_text(encoding="utf-8")))
    counted: dict[str, list[tuple[Mapping[str, str], int]]] = defaultdict(list)
    with torch.no_grad():
        for full_name, args, kwargs in signatures:
            try:
                call = _counted(full_name, args, dict(kwargs))
                counted[full_name].append(call)
            except Exception as error:  # noqa: BLE001 - an operation that reads values cannot be counted alone
                print(f"not counted: {full_name}: {str(error).splitlines()[0]}", file=sys.stderr)
    table = {name: launches.table_entry(calls) for name, calls in sorted(counted.items())}
    _answer(path).write_text(json.dumps(table), encoding="utf-8")


def _answer(path: Path) -> Path:
    return path.with_name("launches.json")


def _counted(full_name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Mapping[str, str], int]:
    overload = _overload(full_name)
    made_args, made_kwargs = [_made(one) for one in args], {name: _made(one) for name, one in kwargs.items()}
    if any(argument.name == "device" for argument in overload._schema.arguments):  # noqa: SLF001 - torch's own schema
        made_kwargs.setdefault("device", torch.device("cuda"))
    features = {name: launches.features_of(name, made_args, made_kwargs) for name in launches.FEATURES}
    overload(*made_args, **made_kwargs)  # the first call may take a workspace
    before = _launched()
    overload(*made_args, **made_kwargs)
    return features, _launched() - before


def _overload(full_name: str) -> Any:
    namespace, name, *variant = full_name.split(".")
    return getattr(getattr(getattr(torch.ops, namespace), name), variant[0] if variant else "default")


def _launched() -> int:
    counts = read_counts()
    return counts.total(TallyKind.KERNEL) + counts.total(TallyKind.LIBRARY_CALL)


def _write(entries: Mapping[str, Any]) -> None:
    path = Path(launches.__file__).with_suffix(".json")
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known[".".join(map(str, torch_release()))] = dict(_needed(entries))
    path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _needed(entries: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the entries that are not the default: one launch is assumed of any operation."""
    yield from ((name, entry) for name, entry in entries.items() if entry != 1)


if __name__ == "__main__":
    sys.exit(main())
