"""Selection of the slow tests, which run in `make ladders` and not in `make gate`.

Everything that they compile is also compiled by another test of the gate, except for the families below that are a
variant of another architecture in the gate: text to video (Wan), a transformer over text and image (FLUX, Qwen-Image).
"""

from collections.abc import Sequence

import pytest

#: The start of the test parameters, by file. SDXL's highest levels include the optimizations of the levels below and of
#: regional compilation; the slow levels only show where in between something broke. The distilled models are SDXL and
#: SD 1.5 with fewer blocks. The gate compiles the first of IF's three stages.
_SLOW = {
    "test_ladders.py": ("[sdxl-diffusion-fast-4-", "[sdxl-diffusion-fast-5-", "[sdxl-modern-2-"),
    "test_sdxl.py": ("[sdxl-bf16+sdpa+channels_last+fuse_qkv+compile(regional=True)",),
    "test_ssd_1b.py": ("[ssd-1b-bf16+sdpa+channels_last+fuse_qkv+compile",),
    "test_bk_sdm.py": ("[bk-sdm-bf16+sdpa+channels_last+fuse_qkv+compile",),
    "test_chroma.py": ("[chroma-fp32+sdpa+compile",),
    "test_cogvideox.py": ("[cogvideox-bf16+sdpa+compile",),
    "test_ltx2.py": ("[ltx2-bf16+sdpa+compile", "[ltx2@full-"),
    "test_sana.py": ("[sana-bf16+sdpa+compile",),
    "test_sd35.py": ("[sd35-medium-bf16+sdpa+compile", "[sd35-large-bf16+sdpa+compile", "[sd35-large@full-"),
    "test_wan.py": ("[wan-t2v-a14b-fp32+sdpa+compile", "[wan-t2v-a14b@full-"),
    "test_deepfloyd_if.py": ("[deepfloyd-if-bf16+sdpa+channels_last+compile",),
}


@pytest.hookimpl(tryfirst=True)  # before pytest evaluates `-m`
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Mark the slow tests."""
    for item in items:
        if any(begin in item.name for begin in _SLOW.get(item.path.name, ())):
            item.add_marker(pytest.mark.slow)
