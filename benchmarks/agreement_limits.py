"""The stated limits of the simulated GPU: each explains one disagreement with CUDA, and fails once it has no effect."""

from packaging.version import Version

from benchmarks.agreement import Figure, Limit

_FREES = "the null GPU counts `cudaFree` as an allocation, although it waits for the device as on a GPU"
_ONE_OPERATION = (
    "torch's `FlopCounterMode` takes `pinv` for one operation without FLOPs; the simulation counts its product"
)
_STARTS_ON_THE_HOST = (
    "diffusers' group offload moves a buffer of each text encoder twice if the pipeline was on the GPU before: its "
    "list holds the tensor that `Module.to` replaced. On the simulated GPU the pipeline starts on the host"
)

_LIMITS: tuple[Limit, ...] = (
    Limit(case="row: empty_cache", figures=(Figure.ALL_SYNCS,), reason=_FREES),
    *(
        Limit(case=f"memory: {name}, bf16 + model_offload", figures=(Figure.ALL_SYNCS,), reason=_FREES)
        for name in ("sdxl", "flux")
    ),
    *(
        Limit(
            case=f"memory: {name}, bf16 + {recipe}",
            figures=(Figure.SYNCS, Figure.ALL_SYNCS),
            reason=_STARTS_ON_THE_HOST,
        )
        for name in ("sdxl", "flux")
        for recipe in ("group_offload", "vae_tiling + layerwise_casting + group_offload")
    ),
    Limit(case="row: pinv", figures=(Figure.FLOPS,), reason=_ONE_OPERATION),
    Limit(case="row: pinv, Hermitian", figures=(Figure.FLOPS,), reason=_ONE_OPERATION),
    Limit(
        case="row: matrix_exp",
        figures=(Figure.SYNCS, Figure.ALL_SYNCS),
        reason="the number depends on the matrix's norm, 2 to 6; the simulation, which need not know it, counts 2",
    ),
)

# Seen in the allocator's history: in a call of the tiny SD 1.5, 213 linear layers take 32 MiB each while they compute.
_WORKSPACE = (
    "since torch 2.15 a product takes its workspace from the allocator and gives it back; here cuBLAS keeps one"
)
_WITH_WORKSPACES = (
    "tiny: sd15", "tiny: sd15-img2img", "tiny: sd15-inpaint", "tiny: sd15-controlnet", "tiny: deepfloyd-if",
    "tiny: deepfloyd-if-1", "tiny: deepfloyd-if-2", "tiny: deepfloyd-if-3", "tiny: sdxl", "tiny: sdxl-taesd",
    "tiny: ssd-1b", "tiny: pixart-alpha", "tiny: bk-sdm", "tiny: bk-sdm-taesd", "tiny: sd3", "tiny: flux",
    "tiny: flux-schnell", "tiny: sd35-medium", "tiny: sd35-large", "tiny: qwen-image", "tiny: flux2-klein",
    "tiny: z-image", "tiny: chroma", "tiny: sana", "tiny: wan-t2v-1.3b", "tiny: wan-t2v-a14b", "tiny: ltx2",
    "tiny: cogvideox", "full: sd15", "full: sd15-img2img", "full: sd15-inpaint", "full: sd15-controlnet",
    "full: bk-sdm-taesd",
)  # fmt: skip
_WORKSPACE_LIMITS = tuple(Limit(case=case, figures=(Figure.PEAK,), reason=_WORKSPACE) for case in _WITH_WORKSPACES)


def limits_for(torch_version: str) -> tuple[Limit, ...]:
    """Return the limits that apply under a version of torch."""
    return _LIMITS + (_WORKSPACE_LIMITS if Version(torch_version).release >= (2, 15) else ())
