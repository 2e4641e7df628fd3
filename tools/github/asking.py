"""GitHub's and git's command lines, and what a job hands to the next one."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class RefusedError(Exception):
    """Something is not done; the message says why and what to do."""


def output_of(*command: str) -> str:
    """Run a command and return what it prints.

    Raises:
        RefusedError: it is missing, or ends with an error.
    """
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except FileNotFoundError as error:
        msg = f"{command[0]} is not on the path"
        raise RefusedError(msg) from error
    except subprocess.CalledProcessError as error:
        msg = f"{' '.join(command[:3])}: {error.stderr.strip() or error.returncode}"
        raise RefusedError(msg) from error


def asked(path: str) -> Any:
    """Return what GitHub's API answers."""
    return json.loads(output_of("gh", "api", path))


def hand_on(values: Mapping[str, str]) -> None:
    """Write the outputs of this step; one of several lines would be two outputs, so there is none."""
    lines = [f"{name}={value}" for name, value in values.items()]
    broken = [line for line in lines if len(line.splitlines()) != 1]
    if broken:
        msg = f"an output must be one line, got: {broken[0]!r}"
        raise RefusedError(msg)
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
