"""The symbols of ELF files."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_diffopt.null_gpu.elf_imports import defined_symbols, undefined_symbols

SOURCE = """
extern int cudaMalloc(void **, unsigned long);
static int hidden(void) { return 1; }
int visible(void) { void *p; return cudaMalloc(&p, 1) + hidden(); }
"""


@pytest.fixture
def compiler() -> str:
    """The machine's C compiler."""
    found = shutil.which("cc")
    if found is None:
        pytest.skip("no C compiler")
    return found


def test_library_and_object_file(tmp_path: Path, compiler: str) -> None:
    """Imports of a library and definitions of an object file are found; static functions are no definitions."""
    source, compiled, library = tmp_path / "a.c", tmp_path / "a.o", tmp_path / "a.so"
    source.write_text(SOURCE, encoding="ascii")
    subprocess.run([compiler, "-fPIC", "-c", str(source), "-o", str(compiled)], check=True)
    subprocess.run([compiler, "-shared", str(compiled), "-o", str(library)], check=True)

    assert "cudaMalloc" in undefined_symbols(library)
    assert "visible" not in undefined_symbols(library)
    assert defined_symbols(compiled) == {"visible"}


def test_other_file_has_no_symbols(tmp_path: Path) -> None:
    """A file of another format is no error: a package may hold anything under *.so."""
    other = tmp_path / "other.so"
    other.write_bytes(b"INPUT(libfoo.so.1)")

    assert undefined_symbols(other) == frozenset()
