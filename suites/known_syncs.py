"""Known syncs of the published schedulers; `test_schedulers.py` tests all schedulers of diffusers."""

from dataclasses import replace

from pytest_diffopt import AllowedSyncs

_TIMESTEP_INDEX = "alphas_cumprod is on the CPU and is indexed with a timestep on the GPU, as published"

_CPU_NOISE = "a CPU generator draws the noise of each step, so that a seed gives the same noise on every GPU"
_FIND_STEP = "the first step looks up its timestep; the pipeline sets no begin index"

PNDM = (AllowedSyncs(where="scheduling_pndm.py:_get_prev_sample", per_step=3, first_step=6, reason=_TIMESTEP_INDEX),)
DDIM = (
    AllowedSyncs(where="scheduling_ddim.py:step", per_step=3, reason=_TIMESTEP_INDEX),
    AllowedSyncs(where="scheduling_ddim.py:_get_variance", per_step=3, reason=_TIMESTEP_INDEX),
)
DDPM = (
    AllowedSyncs(where="scheduling_ddpm.py:previous_timestep", per_step=6, reason=_TIMESTEP_INDEX),
    AllowedSyncs(where="scheduling_ddpm.py:step", per_step=4, reason=_TIMESTEP_INDEX),
    AllowedSyncs(where="scheduling_ddpm.py:_get_variance", per_step=3, reason=_TIMESTEP_INDEX),
    AllowedSyncs(where="torch_utils.py:randn_tensor", per_step=1, reason=_CPU_NOISE),
)
#: Two stages with DDPM, then the upscaler with DDIM, whose first step is not the first step of the chain.
DEEPFLOYD_IF = (*DDPM, *(replace(one, first_step=0) for one in DDIM))
FLOW_MATCH_EULER = (
    AllowedSyncs(
        where="scheduling_flow_match_euler_discrete.py:index_for_timestep",
        per_step=0,
        first_step=2,
        reason=_FIND_STEP,
    ),
)
#: UniPC of second order with flow sigmas, diffusers 0.42: the first step only predicts, the last one has order 1.
UNIPC = (
    AllowedSyncs(
        where="scheduling_unipc_multistep.py:multistep_uni_p_bh_update",
        per_step=3,
        first_step=2,
        reason="the coefficients of the predictor are computed on the CPU and copied to the GPU, as published",
    ),
    AllowedSyncs(
        where="scheduling_unipc_multistep.py:multistep_uni_c_bh_update",
        per_step=4,
        first_step=0,
        reason="the coefficients of the corrector are copied to the GPU and solved there with an error check",
    ),
)
WAN_BOUNDARY = AllowedSyncs(
    where="pipeline_wan.py:__call__",
    per_step=1,
    reason="the timestep on the GPU is compared with the boundary on the host (diffusers 0.42, pipeline_wan.py:597)",
)
COGVIDEOX_DDIM = (
    AllowedSyncs(
        where="scheduling_ddim_cogvideox.py:step",
        per_step=3,
        reason="alphas_cumprod is on the CPU and is indexed with a timestep on the GPU, as published",
    ),
)
CHROMA_TIMESTEPS = (
    AllowedSyncs(
        where="transformer_chroma.py:forward",
        per_step=2,
        reason="a guidance of 0 is made on the CPU and copied to the GPU in each of two forwards (diffusers 0.42)",
    ),
)
DPM_SOLVER = (
    AllowedSyncs(
        where="scheduling_dpmsolver_multistep.py:index_for_timestep", per_step=0, first_step=2, reason=_FIND_STEP
    ),
)
#: In each of two forwards a step: one branch and twelve selections by masks.
HUNYUAN_VIDEO = (
    AllowedSyncs(
        where="transformer_hunyuan_video15.py:forward",
        per_step=26,
        reason="selects valid tokens of text, glyphs and image by masks, and branches on values (diffusers 0.42)",
    ),
    *FLOW_MATCH_EULER,
)
QWEN_IMAGE_EDIT = (
    AllowedSyncs(
        where="transformer_qwenimage.py:forward",
        per_step=2,
        reason="copies the index of the edit images' tokens from the CPU, in each of two forwards (diffusers 0.42)",
    ),
)
