"""Which tests `make gate` leaves to `make ladders`: those whose every part another test of the gate compiles."""

from collections.abc import Sequence

import pytest

#: In each file, how the names of the tests' parameters begin. SDXL's highest levels hold all that those below them and
#: its blocks alone do: one of these would show where between them it broke. The distilled models are SDXL and SD 1.5
#: with fewer blocks. The gate compiles the first of IF's three stages.
_SLOW = {
    "test_ladders.py": ("[sdxl-diffusion-fast-4-", "[sdxl-diffusion-fast-5-", "[sdxl-modern-2-"),
    "test_sdxl.py": ("[sdxl-bf16+sdpa+channels_last+fuse_qkv+compile(regional=True)",),
    "test_ssd_1b.py": ("[ssd-1b-bf16+sdpa+channels_last+fuse_qkv+compile",),
    "test_bk_sdm.py": ("[bk-sdm-bf16+sdpa+channels_last+fuse_qkv+compile",),
    "test_deepfloyd_if.py": ("[deepfloyd-if-bf16+sdpa+channels_last+compile",),
}


@pytest.hookimpl(tryfirst=True)  # before pytest asks for the marker
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Call them slow."""
    for item in items:
        if any(begin in item.name for begin in _SLOW.get(item.path.name, ())):
            item.add_marker(pytest.mark.slow)
