"""These tests run in a process on the null GPU: `test_on_null_gpu.py` starts it, and no other one collects them."""

from pytest_diffopt.null_gpu.activity import is_active

collect_ignore_glob = [] if is_active() else ["test_*.py"]
