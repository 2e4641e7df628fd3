"""The library: built at first use by the machine's C compiler, and cached."""

import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_diffopt.null_gpu.elf_imports import defined_symbols, undefined_symbols
from pytest_diffopt.null_gpu.errors import BuildError
from pytest_diffopt.null_gpu.stubs import driver_functions, is_cuda_name, read_prototypes, write_stubs
from pytest_diffopt.null_gpu.torch_build import TorchBuild

SOURCES = Path(__file__).parent / "csrc"
LIBRARY_NAME = "libnull_gpu.so"
_CACHE_VARIABLE = "DIFFOPT_NULL_GPU_CACHE"
# One file under several names is one library in a process: the loader compares inodes.
_LINKS = ("libcuda.so.1", "libcuda.so", "libnvidia-ml.so.1")
_FLAGS = ("-fPIC", "-O1", "-w", "-fvisibility=hidden", "-pthread")
_SHIMS = {
    # cuda_fp16.h asks for this header of another package; nothing of it is used from C.
    "nv/target": (
        "#define NV_IF_TARGET(...)\n#define NV_IF_ELSE_TARGET(...)\n#define NV_IS_HOST\n#define NV_PROVIDES_SM_53\n"
    ),
    # cuSPARSELt 0.8.0, which torch 2.11 requires, asks for one of C++.
    "cstddef": "#include <stddef.h>\n",
}
_KEY_LENGTH = 16
_SHOWN_ERROR_LINES = 12


def built_library(build: TorchBuild) -> Path:
    """Return the library for a build of torch, after building it if the cache has none.

    Several processes may ask at once: one builds, the others wait for it.

    Raises:
        BuildError: there is no C compiler, or it fails.
    """
    from filelock import FileLock  # noqa: PLC0415 - the commands' help needs only the standard library

    folder = cache_folder() / cache_key(build)
    library = folder / LIBRARY_NAME
    if library.is_file():
        return library
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not library.is_file():
            _build_into(folder, build)
    return library


def cache_folder() -> Path:
    """Return the folder of the built libraries, `DIFFOPT_NULL_GPU_CACHE` or one in the user's cache."""
    own = os.environ.get(_CACHE_VARIABLE)
    if own:
        return Path(own)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "pytest-diffopt" / "null-gpu"


def cache_key(build: TorchBuild) -> str:
    """Return a name that changes with the sources, the generator, torch, CUDA and what the libraries import."""
    digest = hashlib.sha256()
    for part in _key_parts(build):
        digest.update(part)
        digest.update(b"\0")
    return f"{build.version}-{digest.hexdigest()[:_KEY_LENGTH]}"


def _key_parts(build: TorchBuild) -> Iterator[bytes]:
    yield f"{build.version} {build.cuda_version} {os.uname().machine} {' '.join(_FLAGS)}".encode()
    for source in (*sorted(SOURCES.iterdir()), Path(__file__), Path(__file__).with_name("stubs.py")):
        yield source.name.encode()
        yield source.read_bytes()
    for caller in build.callers:
        yield f"{caller.name} {caller.stat().st_size}".encode()


def find_compiler() -> str | None:
    """Return the command of the C compiler, `CC` or `cc`; None if there is none."""
    command = os.environ.get("CC") or "cc"
    return command if shutil.which(shlex.split(command)[0]) else None


def _build_into(folder: Path, build: TorchBuild) -> None:
    with _temporary_folder(folder.parent) as work:
        compiler = _compiler()
        objects = _compile(compiler, sorted(SOURCES.glob("*.c")), build.headers, work)
        stubs = work / "stubs.c"
        stubs.write_text(_stubs_for(build, defined=_defined(objects)), encoding="utf-8")
        objects += _compile(compiler, [stubs], build.headers, work)
        result = work / "result"
        result.mkdir()
        _run([*compiler, "-shared", "-pthread", *map(str, objects), "-ldl", "-o", str(result / LIBRARY_NAME)])
        for name in _LINKS:
            (result / name).symlink_to(LIBRARY_NAME)
        shutil.rmtree(folder, ignore_errors=True)
        result.rename(folder)


@contextmanager
def _temporary_folder(beside: Path) -> Iterator[Path]:
    work = Path(tempfile.mkdtemp(dir=beside, prefix=".build-"))
    try:
        for name, text in _SHIMS.items():
            path = work / "shim" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _compiler() -> list[str]:
    command = find_compiler()
    if command is None:
        msg = (
            f"the null GPU needs a C compiler, and {os.environ.get('CC') or 'cc'!r} was not found: "
            "install one (Debian and Ubuntu: apt-get install gcc libc6-dev) or set CC"
        )
        raise BuildError(msg)
    return shlex.split(command)


def _compile(compiler: list[str], sources: Iterable[Path], headers: Iterable[Path], work: Path) -> list[Path]:
    folders = (work / "shim", *headers)
    includes = [argument for folder in folders for argument in ("-isystem", str(folder))]
    commands = {
        work / f"{source.stem}.o": [*compiler, "-c", *_FLAGS, f"-I{SOURCES}", *includes, str(source)]
        for source in sources
    }
    for result, command in commands.items():
        _run([*command, "-o", str(result)])
    return list(commands)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the user's compiler
    if done.returncode:
        lines = done.stderr.strip().splitlines()[:_SHOWN_ERROR_LINES]
        msg = "the null GPU cannot be built:\n  " + "\n  ".join([" ".join(command[:2]), *lines])
        raise BuildError(msg)


def _defined(objects: Iterable[Path]) -> frozenset[str]:
    return frozenset(name for one in objects for name in defined_symbols(one))


def _stubs_for(build: TorchBuild, *, defined: frozenset[str]) -> str:
    names = imports_of(build) | driver_functions(build.headers, defined=defined)
    return write_stubs(names - defined, read_prototypes(build.headers), build.headers)


def imports_of(build: TorchBuild) -> frozenset[str]:
    """Return the CUDA entry points that the build's libraries import."""
    imported: frozenset[str] = functools.reduce(frozenset.union, map(undefined_symbols, build.callers), frozenset())
    return frozenset(filter(is_cuda_name, imported))
