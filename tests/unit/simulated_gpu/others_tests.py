"""Tests of torch and of accelerate, to be run in a process in which a GPU was simulated before.

Accelerate installs its own. Torch installs the inputs of its tests, and the classes that run them.
"""

import contextlib
import io
import itertools
import sys
import types
import unittest
from collections.abc import Callable
from typing import Any

import torch
from accelerate.state import AcceleratorState
from accelerate.test_utils.scripts import test_ops, test_script, test_sync

_SCRIPTS = (test_ops, test_script, test_sync)
#: Operations of each kind: pointwise, reduction, view, indexing, matrix product, convolution, normalization.
_OPERATIONS = frozenset(
    [
        "add",
        "exp",
        "where",
        "sum",
        "logsumexp",
        "permute",
        "index_select",
        "gather",
        "scatter_add",
        "matmul",
        "nn.functional.linear",
        "nn.functional.conv2d",
        "nn.functional.group_norm",
        "nn.functional.silu",
    ]
)
_NUM_SAMPLES = 8


def tests_of_accelerate() -> dict[str, str]:
    """Return the result of each of accelerate's own test scripts."""
    return {script.__name__.rpartition(".")[2]: _result(script.main) for script in _SCRIPTS}


def _result(run: Callable[[], None]) -> str:
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            run()
    except Exception as error:  # noqa: BLE001 - any error is a result
        return f"{type(error).__name__}: {error}"
    return "passed"


def tests_of_torch() -> tuple[int, list[str]]:
    """Return the number of tests that ran on torch's own inputs, and the failures."""
    # torch's test classes extend a class of this package, which is not among torch's requirements
    sys.modules.setdefault("expecttest", types.SimpleNamespace(TestCase=unittest.TestCase))  # type: ignore[arg-type]
    from torch.testing._internal import common_device_type, common_methods_invocations, common_utils  # noqa: PLC0415

    operations = [one for one in common_methods_invocations.op_db if one.full_name in _OPERATIONS]

    class Samples(common_utils.TestCase):
        """As in torch's test_ops.py."""

        @common_device_type.ops(operations, allowed_dtypes=(torch.float32,))  # type: ignore[untyped-decorator]
        def test_noncontiguous(self, device: str, dtype: torch.dtype, op: Any) -> None:
            for sample in itertools.islice(op.sample_inputs(device, dtype), _NUM_SAMPLES):
                other = sample.noncontiguous()
                self.assertEqual(  # noqa: PT009 - torch's comparison
                    op(other.input, *other.args, **other.kwargs), op(sample.input, *sample.args, **sample.kwargs)
                )

        @common_device_type.ops(operations, allowed_dtypes=(torch.float64,))  # type: ignore[untyped-decorator]
        def test_gradients(self, device: str, dtype: torch.dtype, op: Any) -> None:
            sample = next(iter(op.sample_inputs(device, dtype, requires_grad=True)))
            assert torch.autograd.gradcheck(lambda x: op(x, *sample.args, **sample.kwargs), (sample.input,))

    classes: dict[str, Any] = {Samples.__name__: Samples}  # replaced by one class for each device
    common_device_type.instantiate_device_type_tests(Samples, classes)  # type: ignore[no-untyped-call]
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    suite = unittest.TestSuite(load(one) for one in classes.values())
    with contextlib.redirect_stderr(io.StringIO()):
        result = unittest.TextTestRunner(stream=io.StringIO()).run(suite)
    problems = [*result.failures, *result.errors]
    return result.testsRun, [f"{test}: {text.strip().splitlines()[-1]}" for test, text in problems]
