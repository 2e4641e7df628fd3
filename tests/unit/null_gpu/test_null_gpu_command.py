"""The command line and the doctor."""

from pathlib import Path

import pytest

from pytest_diffopt.null_gpu import command, doctor
from pytest_diffopt.null_gpu.command import main
from pytest_diffopt.null_gpu.doctor import Device, check_devices, doctor_lines
from pytest_diffopt.null_gpu.errors import BuildError
from pytest_diffopt.null_gpu.torch_build import TorchBuild

BUILD = TorchBuild(version="2.14.1+cu130", cuda_version="13.0", headers=(), callers=())


def test_no_command_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    """The message shows the usage."""
    assert main([]) == 2
    assert capsys.readouterr().err == (
        "error: no command was given: python -m pytest_diffopt.null_gpu [OPTIONS] -- COMMAND\n"
    )


def test_unknown_gpu_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is built or run."""
    assert main(["--gpu", "h300", "--", "true"]) == 2
    assert "unknown GPU 'h300'" in capsys.readouterr().err


def test_command_runs_with_its_options(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """GPU, count, values and the command's own options arrive; the exit code is the command's."""
    seen: dict[str, object] = {}

    def run(arguments: list[str], **options: object) -> int:
        seen.update(options, arguments=arguments)
        return 3

    monkeypatch.setattr(command, "run", run)
    code = main(["--gpu", "l4", "--count", "2", "--values", "all", "--", "python", "-m", "x", "--gpu"])

    variables = seen["variables"]
    assert isinstance(variables, dict)
    assert code == 3
    assert (seen["arguments"], seen["gpu"], seen["count"]) == (["python", "-m", "x", "--gpu"], "l4", 2)
    assert variables["DIFFOPT_NULL_GPU_VALUES"] == "all"
    assert "null GPU: 2 x NVIDIA L4" in capsys.readouterr().err


def devices(monkeypatch: pytest.MonkeyPatch, *, driver: Path, compiler: str | None, has_cuda: bool) -> list[str]:
    """Return the doctor's lines for a machine."""

    def find() -> TorchBuild:
        if not has_cuda:
            message = "torch is a CPU build"
            raise BuildError(message)
        return BUILD

    monkeypatch.setattr(doctor, "_DRIVER_VERSION", driver)
    monkeypatch.setattr(doctor, "find_compiler", lambda: compiler)
    monkeypatch.setattr(doctor, "find_torch_build", find)
    return list(doctor_lines(check_devices()))


def test_machine_without_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The null GPU is available with a CUDA build and a compiler."""
    assert devices(monkeypatch, driver=tmp_path / "none", compiler="cc", has_cuda=True) == [
        "GPU            not available",
        "               - no NVIDIA driver is loaded",
        "null GPU       available: torch 2.14.1+cu130, built by cc",
        "simulated GPU  available: any torch",
    ]


def test_machine_with_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All three are available."""
    driver = tmp_path / "version"
    driver.write_text("NVRM version: 580.1\nGCC version: 12\n", encoding="ascii")
    monkeypatch.setattr(doctor, "_DRIVER_VERSION", driver)
    monkeypatch.setattr(doctor, "find_compiler", lambda: "cc")
    monkeypatch.setattr(doctor, "find_torch_build", lambda: BUILD)

    assert {found.device: found.unmet for found in check_devices()} == {
        Device.GPU: (),
        Device.NULL_GPU: (),
        Device.SIMULATED_GPU: (),
    }


def test_machine_without_compiler_and_cuda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each unmet requirement has a line."""
    lines = devices(monkeypatch, driver=tmp_path / "none", compiler=None, has_cuda=False)

    assert lines[3:6] == [
        "null GPU       not available",
        "               - torch is a CPU build",
        "               - no C compiler was found: install gcc, or set CC",
    ]
