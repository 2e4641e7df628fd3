"""The effects of the optimizations of `optimization_cases` on the tiny SDXL in a call of two steps, and their lack."""

from dataclasses import dataclass

from tests.optimization_cases import CASES, Case


@dataclass(frozen=True, kw_only=True)
class EffectCase:
    """What the guard prints about one optimization.

    Attributes:
        case: the recipe.
        effect: its effect.
        without: the lines about it if its `apply` does nothing.
        images: the images of the call.
        seen_on: the device on which it is seen without a GPU.
    """

    case: Case
    effect: str
    without: tuple[str, ...]
    images: int = 1
    seen_on: str = "the CPU"


_WORK = "matrix products, convolutions and attention calls"
_IN_VAE = "matrix products and convolutions of vae"
_SEPARATE = (
    "0 attention calls of a fused kernel",
    "44 attention calls of unet ran as separate operations",
    "1 attention calls of vae ran as separate operations",
)
#: Without a GPU, accelerate's hooks of this one run on the simulated GPU only.
_SEQUENTIAL = Case(name="sequential_offload", recipe="sequential_offload", found="", found_without="", missing=())
_OFF = "of weights were off the GPU at each moment"
_STAYED = (
    f"0 B {_OFF}",
    *(f"{name} never left the GPU" for name in ("vae", "text_encoder", "text_encoder_2", "unet")),
)
_EFFECTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "distilled": (
        "4 transformer blocks that were left out",
        ("0 transformer blocks that were left out", "unet has its middle block"),
    ),
    "tiny_autoencoder": ("1 calls of AutoencoderTiny", ("0 calls of AutoencoderTiny",)),
    "fp16_safe_vae": (f"28 {_IN_VAE} in float16", (f"0 {_IN_VAE} in float16",)),
    "scheduler": (
        "2 steps of DPMSolverMultistepScheduler",
        ("0 steps of DPMSolverMultistepScheduler", "2 steps of EulerDiscreteScheduler"),
    ),
    "fp32": (f"451 {_WORK} in float32", (f"0 {_WORK} in float32", "unet ran all its 394 in other dtypes: bfloat16")),
    "bf16": (f"451 {_WORK} in bfloat16", (f"0 {_WORK} in bfloat16", "unet ran all its 394 in other dtypes: float32")),
    "fp16": (f"451 {_WORK} in float16", (f"0 {_WORK} in float16", "unet ran all its 394 in other dtypes: float32")),
    "vae_upcast": (f"28 {_IN_VAE} in float32", (f"0 {_IN_VAE} in float32",)),
    "vanilla_attention": (
        "45 softmaxes of attention as separate operations",
        ("0 softmaxes of attention as separate operations", "45 attention calls ran a fused kernel"),
    ),
    "attn_processor_2_0": ("45 attention calls of a fused kernel", _SEPARATE),
    "sdpa": ("45 attention calls of a fused kernel", _SEPARATE),
    'sdpa(backend="math")': ("45 attention calls of the math kernel", ("0 attention calls of the math kernel",)),
    "channels_last": (
        "95 convolutions computed in channels_last",
        (
            "0 convolutions computed in channels_last",
            "72 convolutions of unet ran in NCHW",
            "23 convolutions of vae ran in NCHW",
        ),
    ),
    "pointwise_linears": (
        "1 calls of linears in place of 1 x 1 convolutions",
        ("0 calls of linears in place of 1 x 1 convolutions",),
    ),
    "fuse_qkv": (
        "45 calls of fused projections",
        (
            "0 calls of fused projections",
            "22 of 22 attention layers of unet computed their projections one by one",
            "1 of 2 attention layers of vae computed their projections one by one",
        ),
    ),
    "int8_dynamic": ("282 matrix products in int8", ("0 matrix products in int8",)),
    "int8_weight_only": ("278 calls of linears with int8 weights", ("0 calls of linears with int8 weights",)),
    "vae_tiling": (
        "9 tiles of images that were decoded or encoded",
        ("0 tiles of images that were decoded or encoded", "vae.decode ran in one piece of 16 x 16"),
    ),
    "vae_slicing": (
        "2 images of a batch that were decoded or encoded alone",
        ("0 images of a batch that were decoded or encoded alone", "vae.decode ran a batch of 2 whole"),
    ),
    "layerwise_casting": (
        "350 calls of layers stored in float8_e4m3fn and computed in bfloat16",
        ("0 calls of layers stored in float8_e4m3fn and computed in another dtype",),
    ),
    "lora": (
        "176 calls of adapters that changed a layer's output",
        ("0 calls of adapters that changed a layer's output",),
    ),
    "lora(fused=True)": (
        "176 calls of layers whose weights the adapter changed",
        ("0 calls of layers whose weights the adapter changed",),
    ),
    "model_offload": (f"1.36 MiB {_OFF}", _STAYED),
    "sequential_offload": (f"4.28 MiB {_OFF}", _STAYED),
    "group_offload": (f"2.71 MiB {_OFF}", _STAYED),
    'group_offload(type="leaf")': (f"4.28 MiB {_OFF}", _STAYED),
    "int4_weight_only": ("148 calls of linears with int4 weights", ("0 calls of linears with int4 weights",)),
}

EFFECT_CASES = [
    EffectCase(
        case=case,
        effect=_EFFECTS[key][0],
        without=_EFFECTS[key][1],
        images=2 if case.name == "vae_slicing" else 1,
        seen_on="the simulated GPU" if case.name.endswith("_offload") else "the CPU",
    )
    for case in (*CASES, _SEQUENTIAL)
    for key in [case.recipe if case.recipe in _EFFECTS else case.name]
    if key in _EFFECTS and (case.recipe != 'sdpa(backend="flash")')
]

#: Optimizations whose effect the tiny SDXL on the CPU cannot show, or shows without them: its pipeline sets the begin
#: index itself, and the flash kernel is the CPU's default.
NOT_ON_CPU = frozenset({"tf32", "inductor", "begin_index", "compile"})
