"""What Inductor generated for one graph."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratedKernel:
    """A Triton kernel that Inductor generated.

    Attributes:
        name: its name, with its number in the generated module (`triton_poi_fused_gelu_mul_3`).
        operations: what is fused in it, as torch's operators (`aten.gelu`), in the order of the graph.
        launches: launches in one call of the graph.
        registers: registers of a thread; None where the kernel was not loaded.
        shared_bytes: shared memory of a block; None where the kernel was not loaded.
        spilled_bytes: local memory of a thread that holds spilled registers; None where the kernel was not loaded.
        warps: warps of a block; None where the kernel was not loaded.
    """

    name: str
    operations: tuple[str, ...]
    launches: int
    registers: int | None = None
    shared_bytes: int | None = None
    spilled_bytes: int | None = None
    warps: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExternalCall:
    """Calls of one function that Inductor did not generate.

    Attributes:
        function: the function (`extern_kernels.addmm`, `torch.ops.aten.cumsum.default`).
        library: what computes it: `cuBLAS`, `cuDNN`, `torch` or `custom operation`.
        calls: calls in one call of the graph.
        fallback: why Inductor generates no code for it; empty for a library that it calls by choice.
    """

    function: str
    library: str
    calls: int
    fallback: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratedCode:
    """The code that Inductor generated for one graph; equal when it comes from Inductor's cache.

    Attributes:
        kernels: the generated kernels, in the order of their definition.
        external_calls: calls of libraries, of torch's own kernels and of custom operations.
        partitions: the parts into which the code is divided for CUDA graphs; 0 for undivided code.
        reused_buffers: buffers that take the memory of one that is no longer needed.
        symbolic_sizes: sizes that are no constants in the code, because the graph is dynamic.
        default_choices: kernels of which autotuning had several candidates and took the first, without measuring.
    """

    kernels: tuple[GeneratedKernel, ...] = ()
    external_calls: tuple[ExternalCall, ...] = ()
    partitions: int = 0
    reused_buffers: int = 0
    symbolic_sizes: int = 0
    default_choices: int = 0

    @property
    def fallbacks(self) -> int:
        """Calls of operations that Inductor generates no code for."""
        return sum(call.calls for call in self.external_calls if call.fallback)
