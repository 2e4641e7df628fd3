"""The process in which pytest runs one test a second time, and how that process knows what it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: The file that the second process writes.
ANSWER_VARIABLE = "DIFFOPT_SECOND_PROCESS_ANSWER"
#: The number of the call in the test that is requested.
NUMBER_VARIABLE = "DIFFOPT_SECOND_PROCESS_NUMBER"
#: The node id of the test, which is the only one that runs.
TEST_VARIABLE = "DIFFOPT_SECOND_PROCESS_TEST"
#: The rank of a process that makes the call together with others, and their number: `1/2`.
RANK_VARIABLE = "DIFFOPT_PARALLEL_RANK"
#: The folder in which these processes meet and answer.
FOLDER_VARIABLE = "DIFFOPT_PARALLEL_FOLDER"


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondProcess:
    """How pytest runs one test alone.

    Attributes:
        arguments: pytest's arguments.
        addopts: the value of `PYTEST_ADDOPTS`.
        folder: the working folder.
        nodeid: the test.
    """

    arguments: tuple[str, ...]
    addopts: str
    folder: Path
    nodeid: str


def second_process_test(environment: Mapping[str, str]) -> str:
    """Return the node id of the test for which this process was started; empty in every other process."""
    return environment.get(TEST_VARIABLE, "")
