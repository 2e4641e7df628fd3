"""What Inductor generated, read from the text of a module."""

from pytest_diffopt._torch_private.generated_modules import GeneratedModule, LoadedKernel
from pytest_diffopt.probes.generated_code import generated_code, joined_code
from pytest_diffopt.records import ExternalCall, GeneratedCode, GeneratedKernel

# As torch 2.14 writes it, shortened.
SOURCE = """
empty_strided_cuda = torch._C._dynamo.guards._empty_strided_cuda
async_compile = AsyncCompile()

# kernel path: /tmp/a.py
# Topologically Sorted Source Nodes: [gelu, mul], Original ATen: [aten.gelu, aten.mul]
# Source node to ATen node mapping:
#   mul => mul_5
triton_poi_fused_gelu_mul_0 = async_compile.triton('triton_poi_fused_gelu_mul_0', '''
    tl.store(out_ptr0 + (x2), tmp12, None)
''', device_str='cuda')

async_compile.wait(globals())
del async_compile

def partition_0(args):
    arg0_1, arg1_1, buf9 = args
    buf0 = empty_strided_cuda((256, 32), (32, 1), torch.bfloat16)
    # Topologically Sorted Source Nodes: [linear], Original ATen: [aten.addmm]
    extern_kernels.addmm(arg1_1, arg0_1, reinterpret_tensor(arg2_1, (16, 32), (1, 16), 0), alpha=1, out=buf0)
    buf1 = empty_strided_cuda((256, 16), (16, 1), torch.bfloat16)
    triton_poi_fused_gelu_mul_0.run(buf0, buf1, 4096, stream=raw_stream0)
    buf2 = buf0; del buf0  # reuse
    triton_poi_fused_gelu_mul_0.run(buf1, buf2, 4096, stream=raw_stream0)
    buf3 = extern_kernels.convolution(buf1, arg0_1, stride=(1, 1), bias=None)
    assert_tensor_metadata(buf3, (1, 16), (16, 1), torch.float32, 'torch.ops.aten.convolution.default')
    # Topologically Sorted Source Nodes: [sort], Original ATen: [aten.cumprod]
    buf4 = torch.ops.aten.cumprod.default(buf3, 1)
    buf5 = torch.ops.aten.sort.stable(buf3)
    buf6 = torch.ops.mine.scaled.default(buf3)
    return (buf6, )

def get_args():
    arg0_1 = rand_strided((256, 16), (16, 1), device='cuda:0', dtype=torch.bfloat16)
    return [arg0_1]

def benchmark_compiled_module(args, times=10, repeat=10):
    triton_poi_fused_gelu_mul_0.run(arg0_1)
"""
LOADED = {
    "triton_poi_fused_gelu_mul_0": LoadedKernel(candidates=2, registers=40, shared_bytes=64, spilled_bytes=0, warps=4)
}


def module(source: str = SOURCE) -> GeneratedModule:
    """Return a module with this text."""
    return GeneratedModule(source=source, kernels=LOADED, fallbacks=frozenset({"aten.cumprod.default"}))


def test_kernels_with_what_is_fused_in_them() -> None:
    """One definition, launched twice."""
    code = generated_code(module())

    assert code.kernels == (
        GeneratedKernel(
            name="triton_poi_fused_gelu_mul_0",
            operations=("aten.gelu", "aten.mul"),
            launches=2,
            registers=40,
            shared_bytes=64,
            spilled_bytes=0,
            warps=4,
        ),
    )
    assert (code.partitions, code.reused_buffers, code.symbolic_sizes, code.default_choices) == (1, 1, 0, 1)


def test_external_calls_with_their_library_and_reason() -> None:
    """A library is called by choice; the rest is what Inductor has no code for."""
    code = generated_code(module())

    assert code.external_calls == (
        ExternalCall(function="extern_kernels.addmm", library="cuBLAS", calls=1),
        ExternalCall(function="extern_kernels.convolution", library="cuDNN", calls=1),
        ExternalCall(
            function="torch.ops.aten.cumprod.default",
            library="torch",
            calls=1,
            fallback="Inductor has no code for it",
        ),
        ExternalCall(
            function="torch.ops.aten.sort.stable", library="torch", calls=1, fallback="not for these arguments"
        ),
        ExternalCall(
            function="torch.ops.mine.scaled.default",
            library="custom operation",
            calls=1,
            fallback="a custom operation",
        ),
    )
    assert code.fallbacks == 3


def test_symbolic_sizes_are_counted() -> None:
    """Once each."""
    code = generated_code(module(SOURCE.replace("(256, 16), (16, 1), torch.bf", "(s77, u0), (u0, 1), torch.bf")))

    assert code.symbolic_sizes == 2


def test_code_for_the_cpu_is_empty() -> None:
    """Its kernels depend on the machine's instruction set."""
    assert generated_code(module(SOURCE.replace("empty_strided_cuda(", "empty_strided_cpu("))) == GeneratedCode()


def test_several_graphs_of_a_compilation_are_added() -> None:
    """And none at all is empty."""
    code = generated_code(module())

    assert joined_code([]) == GeneratedCode()
    assert joined_code([code, code]).fallbacks == 6
    assert len(joined_code([code, code]).kernels) == 2
