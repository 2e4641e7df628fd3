"""The tests of `on_null_gpu/`, in a process that runs there, and processes on other GPUs."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_diffopt.null_gpu.activity import is_active
from tests.unit.null_gpu.conftest import Runner

REPOSITORY = Path(__file__).parents[3]
INNER = Path(__file__).parent / "on_null_gpu"
FILES = sorted(path.name for path in INNER.glob("test_*.py"))


@pytest.mark.skipif(is_active(), reason="this process runs on the null GPU: the files are collected themselves")
@pytest.mark.parametrize("file", FILES)
def test_file(on_null_gpu: Runner, file: str) -> None:
    """All tests of a file pass on the null GPU, and none is skipped."""
    path = str(INNER / file)
    done = on_null_gpu("-m", "pytest", path, "-q", "-p", "no:cacheprovider", "-p", "no:diffopt")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout.splitlines()[-1]


DESCRIBE = """
import torch
for index in range(torch.cuda.device_count()):
    it = torch.cuda.get_device_properties(index)
    print(it.name, it.major, it.minor, it.multi_processor_count, it.total_memory, it.shared_memory_per_block_optin)
"""


def test_two_gpus_of_another_kind(on_null_gpu: Runner) -> None:
    """Name, capability, multiprocessors, memory and shared memory are that GPU's, for each device."""
    done = on_null_gpu("-c", DESCRIBE, gpu="l4", count=2)

    assert done.stdout.splitlines() == ["NVIDIA L4 8 9 58 23583784960 101376"] * 2, done.stderr


def test_visible_devices_are_a_part(on_null_gpu: Runner) -> None:
    """`CUDA_VISIBLE_DEVICES` hides devices."""
    program = "import torch; print(torch.cuda.device_count())"
    done = on_null_gpu("-c", program, count=4, variables={"CUDA_VISIBLE_DEVICES": "0,2"})

    assert done.stdout == "2\n", done.stderr


TWO_DEVICES = """
import torch
a = torch.ones(1024, 1024, device="cuda:0")
b = a.to("cuda:1")
assert torch.cuda.memory_allocated(0) == torch.cuda.memory_allocated(1) == 4 * 2**20
with torch.cuda.device(1):
    assert torch.zeros(1, device="cuda").device.index == 1
    torch.cuda.current_stream().synchronize()
used = [total - free for free, total in map(torch.cuda.mem_get_info, range(2))]
print(b.device, [size // 2**20 for size in used])
"""


def test_each_device_has_its_memory(on_null_gpu: Runner) -> None:
    """A copy to the other device is allocated there."""
    done = on_null_gpu("-c", TWO_DEVICES, count=2)

    assert done.stdout == "cuda:1 [20, 22]\n", done.stderr


EXPANDABLE = """
import torch
x = torch.ones(64 * 2**20, dtype=torch.uint8, device="cuda")
del x
y = torch.ones(96 * 2**20, dtype=torch.uint8, device="cuda")
assert torch.cuda.memory_reserved() == 100 * 2**20, torch.cuda.memory_reserved()  # in steps of 20 MiB
del y
torch.cuda.empty_cache()
free, total = torch.cuda.mem_get_info()
print(total - free)
"""


def test_expandable_segments(on_null_gpu: Runner) -> None:
    """Torch's other allocator maps and unmaps physical memory."""
    done = on_null_gpu("-c", EXPANDABLE, variables={"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"})

    assert (done.stdout, done.stderr) == ("0\n", "")


FORKED = """
import multiprocessing
import torch

def use_gpu():
    try:
        torch.ones(1, device="cuda")
    except RuntimeError as error:
        print(error, flush=True)

ones = torch.ones(4, device="cuda")
child = multiprocessing.get_context("fork").Process(target=use_gpu)
child.start()
child.join()
print(child.exitcode, (ones + 1).device)
"""


def test_fork_after_cuda_started(on_null_gpu: Runner) -> None:
    """The child gets torch's own error, as on a GPU, and the parent goes on."""
    done = on_null_gpu("-c", FORKED)
    message, parent = done.stdout.splitlines()

    assert message.startswith("Cannot re-initialize CUDA in forked subprocess"), done.stderr
    assert parent == "0 cuda:0"


STATIC_RUNTIME = """
import torch
import torch.distributed as distributed
from pytest_diffopt.null_gpu.counters import TallyKind, read_counts
try:
    distributed.init_process_group("nccl", store=distributed.HashStore(), rank=0, world_size=1)
    distributed.all_reduce(torch.ones(4, device="cuda"))
except RuntimeError as error:
    print("NCCL" in str(error))
print([name for name in read_counts().of(TallyKind.UNMODELLED) if "runtime" in name])
print((torch.ones(2, device="cuda") + 1).device)
"""


def test_library_with_its_own_cuda_runtime_is_refused_and_named(on_null_gpu: Runner) -> None:
    """NCCL links the runtime statically: its calls do not reach the null GPU, so that it must not seem to work.

    torch 2.15 starts it with the process group, earlier releases with the first collective.
    """
    done = on_null_gpu("-c", STATIC_RUNTIME)

    assert done.stdout.splitlines() == [
        "True",
        "['cuGetExportTable (a library with a statically linked CUDA runtime)']",
        "cuda:0",
    ], done.stderr


COUNTED = """
import torch
from pytest_diffopt.null_gpu.counters import read_counts, TallyKind
model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.SiLU()).cuda()
with torch.no_grad():
    model(torch.ones(4, 8, device="cuda"))
counts = read_counts()
print(sorted((kind.name, *item) for kind in TallyKind for item in counts.of(kind).items()))
print(torch.cuda.memory_stats()["allocated_bytes.all.peak"], torch.cuda.memory_stats()["reserved_bytes.all.peak"])
"""


def test_two_processes_count_the_same(on_null_gpu: Runner) -> None:
    """Kernels, copies and the allocator's peaks are equal to the byte."""
    first, second = (on_null_gpu("-c", COUNTED).stdout for _ in range(2))

    assert first == second
    assert "addmm" in first or "cublasLtMatmul" in first


def test_command_prints_what_a_program_did(on_null_gpu: Runner) -> None:
    """The line of the sync, the kernels and the peak, with values."""
    program = "import torch\nx = torch.arange(4, device='cuda')\nassert x.sum().item() == 6\nraise SystemExit(5)\n"
    done = on_null_gpu("-m", "pytest_diffopt.null_gpu", "--", sys.executable, "-c", program)

    assert done.returncode == 5, done.stderr
    assert "null GPU: NVIDIA H200" in done.stderr
    assert "         1  <string>:3  cudaStreamSynchronize" in done.stderr
    assert "peak memory" in done.stderr


def test_gpu_is_absent_without_the_description(on_null_gpu: Runner) -> None:
    """The library alone is a machine without a GPU."""
    program = "import torch; print(torch.cuda.is_available())"
    done = on_null_gpu("-c", program, variables={"DIFFOPT_NULL_GPU_DEVICE": ""})

    assert done.stdout == "False\n", done.stderr


BUILD = """
from pytest_diffopt.null_gpu.building import built_library
from pytest_diffopt.null_gpu.torch_build import find_torch_build
print(built_library(find_torch_build()))
"""


def test_processes_that_build_at_once_get_one_library(on_null_gpu: Runner, tmp_path: Path) -> None:
    """One of them builds, and the others wait for it."""
    cache = {"DIFFOPT_NULL_GPU_CACHE": str(tmp_path)}
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: on_null_gpu("-c", BUILD, variables=cache), range(3)))
    folders = [path for path in tmp_path.iterdir() if path.is_dir()]

    assert len({one.stdout for one in done}) == 1, [one.stderr for one in done]
    assert [str(folder / "libnull_gpu.so") for folder in folders] == [done[0].stdout.strip()]


PLUGIN = """
import pytest
from pytest_diffopt.null_gpu.launching import restart

def pytest_addoption(parser):
    parser.addoption("--null", default="")

@pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest captures output, which a new process could not undo
def pytest_load_initial_conftests(early_config):
    if early_config.known_args_namespace.null:
        restart(early_config.known_args_namespace.null)
    return (yield)
"""
TESTS = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_gpu(number):
    import torch
    assert torch.cuda.get_device_name() == "Tesla T4"
"""


@pytest.mark.skipif(is_active(), reason="this process runs on the null GPU: it would not start again")
@pytest.mark.parametrize("workers", ["0", "2"])
def test_pytest_starts_itself_again(
    on_null_gpu: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    """`restart()` keeps the arguments and the output; xdist's workers run on the null GPU as well."""
    on_null_gpu("-c", "")  # it is built, or the test is skipped
    (tmp_path / "restarting.py").write_text(PLUGIN, encoding="ascii")
    (tmp_path / "test_gpu.py").write_text(TESTS, encoding="ascii")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="ascii")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(REPOSITORY)]))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    command = ["-m", "pytest", "-p", "restarting", "-p", "xdist", "--null", "t4", "-n", workers, str(tmp_path)]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
