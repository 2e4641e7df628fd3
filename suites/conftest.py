"""Selection of the slow tests, which run in `make ladders` and not in `make gate`.

The gate runs what differs. A slow test repeats, for a variant, what a test of the gate does for the original: a
pipeline with another way to start (image to image, inpainting), with another autoencoder, with a ControlNet or with
fewer blocks, a level of a ladder between two others, a transformer over text and image (Chroma and FLUX.1-schnell are a
FLUX, SD 3.5 an SD 3, Qwen-Image-Edit a Qwen-Image), a text-to-video model (CogVideoX, HunyuanVideo, LTX-2, SANA beside
Wan), a stage of a chain, several processes beside one. So is the second call of such a variant.
"""

from collections.abc import Sequence

import pytest

# No state of one call affects the next: it is that of the classes that a variant shares with its original.
_SAME_CALL = "test_same_call_gives_the_same_image"
#: The start of the test parameters, by file. SDXL's levels below int8 are recipes of test_sdxl.py, and int8 is tested
#: with PixArt, which compiles in a third of the time. `make null-gpu` compiles SD 1.5.
_SLOW = {
    "test_ladders.py": ("[sdxl-",),
    "test_ladders_of_others.py": ("[",),
    "test_sdxl.py": ("[sdxl-bf16+sdpa+channels_last+fuse_qkv+compile(regional=True)", "[sdxl@full-bf16+sdpa]"),
    "test_sdxl_taesd.py": (_SAME_CALL, "[sdxl-taesd-bf16+sdpa+channels_last+fuse_qkv+compile", "[sdxl-taesd@full-"),
    "test_ssd_1b.py": (_SAME_CALL, "[ssd-1b-bf16+sdpa+channels_last+fuse_qkv+compile", "[ssd-1b@full-"),
    "test_sd15.py": ("[sd15-bf16+sdpa+channels_last+fuse_qkv+compile",),
    "test_sd15_img2img.py": (
        _SAME_CALL,
        "[sd15-img2img-bf16+sdpa+channels_last+fuse_qkv+compile",
        "[sd15-img2img@full-",
    ),
    "test_sd15_inpaint.py": (
        _SAME_CALL,
        "[sd15-inpaint-bf16+sdpa+channels_last+fuse_qkv+compile",
        "[sd15-inpaint@full-",
    ),
    "test_sd15_controlnet.py": (
        _SAME_CALL,
        "[sd15-controlnet-bf16+sdpa+channels_last+compile",
        "[sd15-controlnet@full-",
    ),
    "test_bk_sdm.py": (_SAME_CALL, "[bk-sdm-bf16+sdpa+channels_last+fuse_qkv+compile", "[bk-sdm@full-"),
    "test_bk_sdm_taesd.py": (
        _SAME_CALL,
        "[bk-sdm-taesd@full-",
    ),
    "test_deepfloyd_if.py": (
        "[deepfloyd-if-bf16+sdpa+channels_last+compile",
        "[deepfloyd-if-1-bf16+sdpa+channels_last+compile",
        "[deepfloyd-if@full-",
    ),
    "test_flux.py": ("[flux-schnell@full-",),
    "test_chroma.py": (_SAME_CALL, "[chroma-fp32+sdpa+compile", "[chroma@full-"),
    "test_cogvideox.py": (_SAME_CALL, "[cogvideox-bf16+sdpa+compile", "[cogvideox@full-"),
    "test_hunyuan_video.py": (
        _SAME_CALL,
        "[hunyuan-video-1.5-fp32+sdpa+compile",
        "[hunyuan-video-1.5@full-",
    ),
    "test_ltx2.py": (_SAME_CALL, "[ltx2-bf16+sdpa+compile", "[ltx2@full-"),
    "test_qwen_image_edit.py": (
        _SAME_CALL,
        "[qwen-image-edit-fp32+sdpa+compile",
        "[qwen-image-edit@full-",
    ),
    "test_sana.py": (_SAME_CALL, "[sana-bf16+sdpa+compile", "[sana@full-"),
    "test_sd35.py": (
        _SAME_CALL,
        "[sd35-medium-bf16+sdpa+compile",
        "[sd35-large-bf16+sdpa+compile",
        "[sd35-medium@full-",
        "[sd35-large@full-",
    ),
    "test_parallel.py": ("[",),
    "test_wan.py": ("[wan-t2v-a14b-bf16+sdpa+compile", "[wan-t2v-a14b@full-"),
}
_IN_THE_GATE = ("[pixart-alpha-diffusion-fast-6-int8",)


@pytest.hookimpl(tryfirst=True)  # before pytest evaluates `-m`
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Mark the slow tests."""
    for item in items:
        slow = _SLOW.get(item.path.name, ())
        if any(begin in item.name for begin in slow) and not any(begin in item.name for begin in _IN_THE_GATE):
            item.add_marker(pytest.mark.slow)
