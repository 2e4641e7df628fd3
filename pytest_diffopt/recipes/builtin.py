"""This package's optimizations, in the order in which they are applied."""

from pytest_diffopt.recipes.attention import AttnProcessor20, Sdpa, VanillaAttention
from pytest_diffopt.recipes.attention_backend import AttentionBackend
from pytest_diffopt.recipes.cache_dit import CacheDit
from pytest_diffopt.recipes.compilation import Compile
from pytest_diffopt.recipes.compile_artifacts import CompileArtifacts
from pytest_diffopt.recipes.compiler import CompileCache, InductorFlags
from pytest_diffopt.recipes.convolutions import PointwiseLinears
from pytest_diffopt.recipes.distillation import Distilled, TinyAutoencoder
from pytest_diffopt.recipes.layerwise_casting import LayerwiseCasting
from pytest_diffopt.recipes.layout import ChannelsLast
from pytest_diffopt.recipes.loaded_quantization import QuantizedOnLoad
from pytest_diffopt.recipes.lora import Lora
from pytest_diffopt.recipes.offloading import GroupOffload, ModelOffload, SequentialOffload
from pytest_diffopt.recipes.optimization import Optimization
from pytest_diffopt.recipes.parallelism import ContextParallel, TensorParallel
from pytest_diffopt.recipes.precision import Bf16, Fp16, Fp32, Tf32
from pytest_diffopt.recipes.projections import FuseQkv
from pytest_diffopt.recipes.quantization import Fp8Dynamic, Int4WeightOnly, Int8Dynamic, Int8WeightOnly
from pytest_diffopt.recipes.scheduling import BeginIndex, Scheduler
from pytest_diffopt.recipes.step_caches import (
    FasterCache,
    FirstBlockCache,
    MagCache,
    PyramidAttentionBroadcast,
    SeaCache,
    TaylorSeerCache,
    TextKvCache,
)
from pytest_diffopt.recipes.vae_pieces import VaeSlicing, VaeTiling
from pytest_diffopt.recipes.vae_precision import Fp16SafeVae, VaeUpcast

BUILTIN: tuple[type[Optimization], ...] = (
    Distilled,
    TinyAutoencoder,
    Fp16SafeVae,
    Lora,
    Scheduler,
    BeginIndex,
    Fp32,
    Tf32,
    Bf16,
    Fp16,
    VaeUpcast,
    VanillaAttention,
    AttnProcessor20,
    Sdpa,
    AttentionBackend,
    ChannelsLast,
    PointwiseLinears,
    FuseQkv,
    Int8Dynamic,
    Int8WeightOnly,
    Int4WeightOnly,
    Fp8Dynamic,
    QuantizedOnLoad,
    VaeTiling,
    VaeSlicing,
    LayerwiseCasting,
    FirstBlockCache,
    PyramidAttentionBroadcast,
    FasterCache,
    TaylorSeerCache,
    MagCache,
    SeaCache,
    TextKvCache,
    CacheDit,
    ContextParallel,
    TensorParallel,
    ModelOffload,
    SequentialOffload,
    GroupOffload,
    InductorFlags,
    CompileCache,
    CompileArtifacts,
    Compile,
)
