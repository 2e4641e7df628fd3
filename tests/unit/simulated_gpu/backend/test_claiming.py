"""Claiming torch's spare backend: late, once, and with an error where it is impossible."""

import subprocess
import sys

import pytest
from torch.utils import backend_registration

from pytest_diffopt.errors import SimulationError
from pytest_diffopt.simulated_gpu import SimulatedGPU


def run(code: str) -> str:
    """Run Python code in a new process, and return its output."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_claims_nothing() -> None:
    """Importing the package leaves the backend unclaimed; entering a block claims it."""
    code = (
        "import torch\n"
        "from pytest_diffopt.simulated_gpu import SimulatedGPU\n"
        "print(torch._C._get_privateuse1_backend_name())\n"
        "with SimulatedGPU(): pass\n"
        "print(torch._C._get_privateuse1_backend_name())\n"
    )

    assert run(code).split() == ["privateuseone", "privateuseone"]


def test_error_names_the_package_that_claimed_the_backend() -> None:
    """If another package has registered the backend, the error names it."""
    code = (
        "import torch, types\n"
        "torch.utils.rename_privateuse1_backend('npu')\n"
        "torch._register_device_module('npu', types.ModuleType('torch_npu.npu'))\n"
        "from pytest_diffopt.simulated_gpu import SimulatedGPU\n"
        "try: SimulatedGPU().__enter__()\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )

    assert run(code).startswith(
        "SimulationError the simulated GPU needs PyTorch's spare backend (PrivateUse1), and 'npu'"
    )


def test_old_torch_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """If torch cannot register a backend from Python, the error names the required version."""
    monkeypatch.delattr(backend_registration, "_setup_privateuseone_for_python_backend")
    with pytest.raises(SimulationError, match=r"needs torch >= 2\.\d+"):
        SimulatedGPU().__enter__()


def test_entering_works_again() -> None:
    """Entering works twice in a row, also after an earlier error."""
    for _ in range(2):
        with SimulatedGPU() as gpu:
            assert gpu.device.type == "privateuseone"
