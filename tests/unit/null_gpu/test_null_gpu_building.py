"""The library's build and its cache, without CUDA headers."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_diffopt.null_gpu import building
from pytest_diffopt.null_gpu.building import built_library, cache_folder, cache_key, find_compiler
from pytest_diffopt.null_gpu.errors import BuildError
from pytest_diffopt.null_gpu.torch_build import TorchBuild


@pytest.fixture
def build(tmp_path: Path) -> TorchBuild:
    """A build of torch with one library and no headers."""
    caller = tmp_path / "libtorch_cuda.so"
    caller.write_bytes(b"1234")
    return TorchBuild(version="2.14.1+cu130", cuda_version="13.0", headers=(tmp_path,), callers=(caller,))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("DIFFOPT_NULL_GPU_CACHE", str(folder))
    return folder


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's own variable comes first, then the desktop standard's, then the home folder."""
    monkeypatch.setenv("DIFFOPT_NULL_GPU_CACHE", "/own")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    own = cache_folder()
    monkeypatch.delenv("DIFFOPT_NULL_GPU_CACHE")
    xdg = cache_folder()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")

    assert [own, xdg, cache_folder()] == [
        Path("/own"),
        Path("/xdg/pytest-diffopt/null-gpu"),
        Path("/home/me/.cache/pytest-diffopt/null-gpu"),
    ]


def test_key_changes_with_what_the_library_depends_on(build: TorchBuild) -> None:
    """Torch's version, CUDA's and the libraries that call it."""
    before = cache_key(build)
    others = {
        cache_key(replace(build, version="2.15.0+cu130")),
        cache_key(replace(build, cuda_version="12.8")),
        cache_key(replace(build, callers=())),
    }
    build.callers[0].write_bytes(b"12345")

    assert before.startswith("2.14.1+cu130-")
    assert len({before, cache_key(build), *others}) == 5


def test_key_changes_with_the_sources(build: TorchBuild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed C file is another library."""
    before = cache_key(build)
    sources = tmp_path / "csrc"
    sources.mkdir()
    (sources / "a.c").write_text("int a;", encoding="ascii")
    monkeypatch.setattr(building, "SOURCES", sources)

    assert cache_key(build) != before


@pytest.mark.usefixtures("cache")
def test_missing_compiler_is_named(build: TorchBuild, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the packages that have one."""
    monkeypatch.setenv("CC", "no-such-compiler")

    assert find_compiler() is None
    with pytest.raises(BuildError, match=r"needs a C compiler, and 'no-such-compiler' was not found.*gcc"):
        built_library(build)


def test_compilers_error_is_shown_and_nothing_is_cached(
    build: TorchBuild, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed build leaves no half-made library behind."""
    compiler = tmp_path / "failing-cc"
    compiler.write_text("#!/bin/sh\necho 'device.c:1: error: no' >&2\nexit 1\n", encoding="ascii")
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CC", str(compiler))

    with pytest.raises(BuildError, match=r"cannot be built:\n.*failing-cc -c\n  device\.c:1: error: no"):
        built_library(build)
    assert [path.name for path in cache.iterdir() if path.is_dir()] == []


def test_cached_library_needs_no_compiler(build: TorchBuild, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is returned as it is."""
    library = cache / cache_key(build) / "libnull_gpu.so"
    library.parent.mkdir(parents=True)
    library.touch()
    monkeypatch.setenv("CC", "no-such-compiler")

    assert built_library(build) == library
    assert os.fspath(library).startswith(os.fspath(cache))
