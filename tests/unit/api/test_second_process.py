"""`second_process=True` needs a test that pytest runs."""

import numpy as np
import pytest

from pytest_diffopt import assert_repeatable
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.session.active_test import ActiveTest, running


def test_a_second_process_outside_of_pytest_is_refused() -> None:
    """The second process could not build the pipeline."""
    with (
        running(ActiveTest()),
        pytest.raises(ProbeError, match=r"^second_process=True runs the test again in another process, .*got: a call "),
    ):
        assert_repeatable(lambda: np.zeros((1, 4, 4, 3)), second_process=True)
