"""Finding the CUDA build of torch without importing it."""

import sys
from pathlib import Path

import pytest

from pytest_diffopt.null_gpu.errors import BuildError
from pytest_diffopt.null_gpu.torch_build import find_torch_build, read_torch_build

VERSION = "__version__ = '2.14.1+cu130'\ndebug = False\ncuda: Optional[str] = '13.0'\n"
HEADERS = ("cuda_runtime_api.h", "cublas_v2.h", "cudnn.h", "crt/host_defines.h")


def install(packages: Path, *, version: str = VERSION, headers: tuple[str, ...] = HEADERS) -> Path:
    """Lay out packages as pip does, and return torch's folder."""
    torch = packages / "torch"
    (torch / "lib").mkdir(parents=True)
    (torch / "lib" / "libtorch_cuda.so").write_bytes(b"")
    (torch / "version.py").write_text(version, encoding="ascii")
    for header in headers:
        path = packages / "nvidia" / "cu13" / "include" / header
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return torch


def test_build_is_read(tmp_path: Path) -> None:
    """Version, headers and libraries are found."""
    build = read_torch_build(install(tmp_path))

    assert (build.version, build.cuda_version) == ("2.14.1+cu130", "13.0")
    assert build.headers == (tmp_path / "nvidia/cu13/include",)
    assert build.callers == (tmp_path / "torch/lib/libtorch_cuda.so",)


def test_cpu_build_is_an_error_that_names_the_package(tmp_path: Path) -> None:
    """The message names the version to install."""
    torch = install(tmp_path, version="__version__ = '2.14.1+cpu'\ncuda: Optional[str] = None\n")

    with pytest.raises(BuildError) as caught:
        read_torch_build(torch)

    assert str(caught.value) == (
        'torch 2.14.1+cpu is a CPU build, and the null GPU needs a CUDA build: pip install "torch==2.14.1" from the '
        "package index that serves CUDA builds (PyPI does on Linux)"
    )


@pytest.mark.parametrize("missing", HEADERS)
def test_missing_header_is_named(tmp_path: Path, missing: str) -> None:
    """Each header that the sources need is checked before the compiler runs."""
    torch = install(tmp_path, headers=tuple(header for header in HEADERS if header != missing))

    with pytest.raises(BuildError, match=f"the CUDA header {missing} is missing"):
        read_torch_build(torch)


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_system_is_an_error(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    """Torch has CUDA builds that can be preloaded for Linux alone."""
    monkeypatch.setattr(sys, "platform", platform)

    with pytest.raises(BuildError, match=f"needs Linux.*{platform}"):
        find_torch_build()
