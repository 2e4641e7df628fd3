"""Run gh and git, and write the outputs of a step."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class RefusedError(Exception):
    """A request is refused; the message has the reason and a hint."""


def output_of(*command: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a command and return its standard output.

    Args:
        *command: the program and its arguments.
        environment: variables in addition to those of this process.

    Raises:
        RefusedError: the command is not installed, or exits with an error.
    """
    variables = {**os.environ, **(environment or {})}
    try:
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)  # noqa: S603
    except FileNotFoundError as error:
        msg = f"{command[0]} is not on the PATH"
        raise RefusedError(msg) from error
    except subprocess.CalledProcessError as error:
        msg = f"{' '.join(command[:3])}: {error.stderr.strip() or error.returncode}"
        raise RefusedError(msg) from error
    return done.stdout.strip()


def github_api(path: str) -> Any:
    """Return the parsed response of GitHub's API for a path."""
    return json.loads(output_of("gh", "api", path))


def write_outputs(values: Mapping[str, str]) -> None:
    """Write the outputs of this step.

    Raises:
        RefusedError: a value has several lines, which would be several outputs.
    """
    lines = [f"{name}={value}" for name, value in values.items()]
    invalid = [line for line in lines if len(line.splitlines()) != 1]
    if invalid:
        msg = f"an output must be one line, got: {invalid[0]!r}"
        raise RefusedError(msg)
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
