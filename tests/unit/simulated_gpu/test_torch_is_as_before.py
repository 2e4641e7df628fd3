"""Torch is as before when the block of a simulated GPU has ended; what cannot be undone is exactly known."""

import json
import subprocess
import sys
from typing import Any

import pytest

import pytest_diffopt

NUM_OPERATIONS = 30  # whose gradients torch checks
NUM_OPERATIONS_OF_TORCH = 14  # of its own tests


def run(*options: str) -> dict[str, Any]:
    """Return what the program in `torch_state.py` prints."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.unit.simulated_gpu.torch_state", *options]
    root = pytest_diffopt.__path__[0] + "/.."
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])  # torch prints lines of its own before it
    return found


@pytest.fixture(scope="module")
def states() -> dict[str, Any]:
    """Return the states around guards, in a process that runs no backward pass on the simulated GPU."""
    return run()


@pytest.fixture(scope="module")
def after_a_backward_pass() -> dict[str, Any]:
    """Return the states of a process that begins with a backward pass on the simulated GPU."""
    return run("--backward-first")


def test_no_setting_changes(states: dict[str, Any]) -> None:
    """The configuration of torch, Dynamo and Inductor, modes, hooks, random numbers, warnings, the environment."""
    before, after = states["before"], states["after"]

    assert after.keys() == before.keys()
    assert {name for name in before if name != "attributes" and before[name] != after[name]} == set()


def test_no_attribute_of_torch_is_replaced(states: dict[str, Any]) -> None:
    """Each function, class and property of torch's modules is the same object; none is removed."""
    before, after = states["before"]["attributes"], states["after"]["attributes"]

    assert len(before) > 10_000
    assert {name for name in before if after.get(name) != before[name]} == set()


def test_a_graph_break_is_found_again_outside_of_pytest(states: dict[str, Any]) -> None:
    """Each assertion watches the compiler again, and restores it."""
    first, second = states["graph breaks"]

    assert first.startswith("DiffoptAssertionError: diffopt: 1 graph break")
    assert second == first


def test_an_assertion_that_raises_outside_of_pytest_restores_the_compiler(states: dict[str, Any]) -> None:
    """The error is the call's own."""
    ended = "RuntimeError: no image, torch._dynamo.convert_frame"

    assert states["after an error"] == dict.fromkeys(
        ["assert_no_graph_breaks", "assert_no_syncs", "assert_repeatable", "no_syncs"], ended
    )


def test_torch_behaves_as_before(states: dict[str, Any]) -> None:
    """There is no accelerator, a loader that pins its memory works, and so does a backward pass."""
    behaved = states["behaved_after"]

    assert behaved == states["behaved_before"]
    assert behaved["accelerator"] == "None"
    assert behaved["loader"] == "[tensor([[1.]])]"
    assert behaved["backward"] == "tensor([3., 3.])"
    assert behaved["operations"].count("True") == NUM_OPERATIONS
    assert behaved["training with accelerate"].startswith("(device(type='cpu'), [")


def test_tests_of_accelerate_pass_after_a_guard(states: dict[str, Any]) -> None:
    """Its own scripts: collective operations, state, loaders, training, gradient accumulation."""
    assert states["tests of accelerate"] == {"test_ops": "passed", "test_script": "passed", "test_sync": "passed"}


def test_tests_of_torch_pass_after_a_guard(states: dict[str, Any]) -> None:
    """Its own inputs in its own test classes, for the devices that it finds: the CPU, and no other."""
    num_tests, failures = states["tests of torch"]

    assert num_tests == 2 * NUM_OPERATIONS_OF_TORCH
    assert failures == []


def test_torch_behaves_the_same_inside_of_a_block(states: dict[str, Any]) -> None:
    """Except that memory can be pinned, as on a machine with a GPU."""
    inside, outside = states["behaved_inside"], states["behaved_before"]

    assert {name for name in outside if inside[name] != outside[name]} == {"pin_memory", "empty, pinned"}
    assert inside["pin_memory"] == "tensor([1.])"


def test_a_late_backward_pass_is_refused_in_one_sentence(states: dict[str, Any]) -> None:
    """After a backward pass on the CPU, and a simulated GPU after that, torch has no queue for the device."""
    assert states["simulated backward"] == (
        "SimulationError: a backward pass on a simulated GPU needs a process that ran none before the first simulated "
        "GPU: torch makes the queues of all devices at the first one; run this test alone, or first"
    )


def test_a_backward_pass_leaves_an_accelerator_that_is_not_available(after_a_backward_pass: dict[str, Any]) -> None:
    """Torch's autograd requires an accelerator. It cannot be taken back, but loaders and later passes work."""
    behaved = after_a_backward_pass["behaved after"]

    assert after_a_backward_pass["simulated backward"] == "None"
    assert behaved["accelerator"] == "privateuseone"
    assert behaved["is_available"] == "False"
    assert behaved["device_count"] == "0"
    assert behaved["loader"] == "[tensor([[1.]])]"
    assert behaved["backward"] == "tensor([3., 3.])"
