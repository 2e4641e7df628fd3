"""The CUDA build of torch that is installed: found without importing it."""

import importlib.util
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from pytest_diffopt.null_gpu.errors import BuildError

# Packages whose compiled parts call CUDA libraries by themselves.
_CALLERS = ("torch/lib", "torchao", "torchvision", "xformers", "flash_attn", "bitsandbytes")


@dataclass(frozen=True, kw_only=True, slots=True)
class TorchBuild:
    """An installed CUDA build of torch.

    Attributes:
        version: torch's version with its local part, `2.14.1+cu130`.
        cuda_version: the CUDA version that it was built for, `13.0`.
        headers: the folders of CUDA's headers.
        callers: the shared libraries whose CUDA imports must be served.
    """

    version: str
    cuda_version: str
    headers: tuple[Path, ...]
    callers: tuple[Path, ...]


def find_torch_build() -> TorchBuild:
    """Return the installed build.

    Raises:
        BuildError: there is no CUDA build of torch for Linux here.
    """
    if sys.platform != "linux":
        msg = f"the null GPU needs Linux: torch has no CUDA build for it on {sys.platform}"
        raise BuildError(msg)
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        msg = "the null GPU needs torch: pip install torch"
        raise BuildError(msg)
    return read_torch_build(Path(spec.origin).parent)


def read_torch_build(torch_folder: Path) -> TorchBuild:
    """Read the build in a folder `.../site-packages/torch`.

    Raises:
        BuildError: it is not a CUDA build, or its CUDA headers are missing.
    """
    text = (torch_folder / "version.py").read_text(encoding="utf-8")
    version, cuda_version = _assigned(text, "__version__"), _assigned(text, "cuda")
    if not cuda_version:
        msg = (
            f"torch {version} is a CPU build, and the null GPU needs a CUDA build: "
            f'pip install "torch=={version.partition("+")[0]}" from the package index that serves CUDA builds '
            "(PyPI does on Linux)"
        )
        raise BuildError(msg)
    packages = torch_folder.parent
    return TorchBuild(
        version=version,
        cuda_version=cuda_version,
        headers=_header_folders(packages),
        callers=_callers(packages),
    )


def _assigned(text: str, name: str) -> str:
    found = re.search(rf"^{name}(?::[^=]*)? = '([^']*)'", text, flags=re.MULTILINE)
    return found.group(1) if found else ""


def _header_folders(packages: Path) -> tuple[Path, ...]:
    # Triton's copy comes last: it has crt/, which the wheel of the runtime lacks
    folders = [*sorted(packages.glob("nvidia/*/include")), packages / "triton/backends/nvidia/include"]
    existing = tuple(folder for folder in folders if folder.is_dir())
    for header in ("cuda_runtime_api.h", "cublas_v2.h", "cudnn.h", "crt/host_defines.h"):
        if not any((folder / header).is_file() for folder in existing):
            msg = f"the CUDA header {header} is missing: reinstall torch with the packages that it requires"
            raise BuildError(msg)
    return existing


def _callers(packages: Path) -> tuple[Path, ...]:
    return tuple(library for name in _CALLERS for library in sorted((packages / name).glob("*.so")))
