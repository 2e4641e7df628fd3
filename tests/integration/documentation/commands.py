"""Checks of the commands on a page: programs, options, files and make targets must exist."""

import argparse
import ast
import itertools
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from pytest_diffopt.__main__ import main
from tests.integration.documentation.pages import ROOT, Block

_MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
_TARGETS = set(re.findall(r"^([a-z-]+):", _MAKEFILE, re.MULTILINE))
_VARIABLES = set(re.findall(r"^(?:export )?([A-Z_]+) [?:]?=", _MAKEFILE, re.MULTILINE))
_EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
_DISTRIBUTION = "pytest-diffopt"


class _Parsed(Exception):  # noqa: N818 - not an error
    """Carries the argument parser out of `main`."""


def commands_of(block: Block) -> list[list[str]]:
    """Return the arguments of each command in a block."""
    lines = [line.removeprefix("$ ") for line in block.text.splitlines() if line.startswith("$ ")]
    return [shlex.split(line, comments=True) for line in lines]


def problems(words: list[str], *, parse_for_pytest: Callable[[list[str]], object]) -> Iterator[str]:
    """Yield the problems of a command.

    Args:
        words: the program and its arguments.
        parse_for_pytest: parses arguments as pytest does, with the plugin's options.
    """
    program, *arguments = words
    if program.startswith(".venv/bin/"):
        program = program.removeprefix(".venv/bin/")
    if program == "pytest":
        yield from _unknown_to(parse_for_pytest, arguments)
        yield from _missing_files(arguments)
    elif program == "python" and arguments[0] == "-m" and arguments[1] == "pytest_diffopt":
        yield from _unknown_to(_our_parser().parse_args, arguments[2:])
    else:
        yield from _CHECKS.get(program, _unknown_program)(arguments)


def _unknown_program(arguments: list[str]) -> Iterator[str]:
    yield f"no check exists for this command, got arguments: {arguments}"


def _unknown_to(parse: Callable[[list[str]], object], arguments: list[str]) -> Iterator[str]:
    try:
        parse(arguments)
    except (SystemExit, argparse.ArgumentError, pytest.UsageError) as error:
        yield f"{arguments} cannot be parsed: {error}"


def _our_parser() -> argparse.ArgumentParser:
    """Return the argument parser that `python -m pytest_diffopt` builds."""

    def stop(parser: argparse.ArgumentParser, _arguments: object = None) -> None:
        raise _Parsed(parser)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        try:
            main([])
        except _Parsed as parsed:
            parser: argparse.ArgumentParser = parsed.args[0]
            return parser
    msg = "the command never parsed its arguments"
    raise AssertionError(msg)


def _missing_files(arguments: list[str]) -> Iterator[str]:
    """Yield paths of suites and tests that do not exist; other files are defined on the page."""
    for word in arguments:
        if word.startswith(("suites", "tests/")) and not (ROOT / word).exists():
            yield f"there is no {word}"


def _make(arguments: list[str]) -> Iterator[str]:
    for word in arguments:
        variable, is_set, _ = word.partition("=")
        if is_set and variable not in _VARIABLES:
            yield f"the Makefile has no variable {variable}"
        if not is_set and word not in _TARGETS:
            yield f"the Makefile has no target {word}"


def _python(arguments: list[str]) -> Iterator[str]:
    """Check `-c` code, `pip`, or a script or module of the repository, whose source must contain each option."""
    if arguments[0] == "-c":
        yield from _code(arguments[1])
        return
    name = arguments[1] if arguments[0] == "-m" else arguments[0]
    if name == "pip":
        yield from _pip(arguments[2:])
        return
    path = ROOT / (name if name.endswith(".py") else name.replace(".", "/"))
    sources = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    code = "".join(source.read_text(encoding="utf-8") for source in sources if source.exists())
    if not code:
        yield f"there is no {name}"
    yield from (f"{name} has no {word}" for word in arguments if word.startswith("--") and f'"{word}"' not in code)


def _code(text: str) -> Iterator[str]:
    try:
        ast.parse(text)
    except SyntaxError as error:
        yield f"{text!r} cannot be parsed: {error}"


def _pip(arguments: list[str]) -> Iterator[str]:
    for word in arguments[1:]:
        package, _, extra = word.partition("[")
        if package.partition("==")[0] == _DISTRIBUTION and extra and extra.rstrip("]") not in _EXTRAS:
            yield f"there is no extra {extra.rstrip(']')}"


def _gh(arguments: list[str]) -> Iterator[str]:
    """Yield inputs that a manually started workflow does not have."""
    path = ROOT / ".github/workflows" / arguments[2]
    inputs = yaml.safe_load(path.read_text(encoding="utf-8"))[True]["workflow_dispatch"]["inputs"]
    given = [word.partition("=")[0] for flag, word in itertools.pairwise(arguments) if flag == "-f"]
    yield from (f"{arguments[2]} has no input {name}" for name in given if name not in inputs)


def _anything(_arguments: list[str]) -> Iterator[str]:
    yield from ()


_CHECKS: dict[str, Callable[[list[str]], Iterator[str]]] = {
    "cd": _anything,
    "gh": _gh,
    "git": _anything,
    "make": _make,
    "pip": _pip,
    "python": _python,
}


def links_into_the_repository(page: Path) -> list[str]:
    """Return the repository paths in a page's GitHub links."""
    address = r"https://github\.com/pytest-diffopt/pytest-diffopt/(?:blob|tree)/main/([^)#\s]+)"
    return re.findall(address, page.read_text(encoding="utf-8"))
