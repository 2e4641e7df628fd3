"""Short names of kernels, from the names under which torch 2.14 and Inductor register them."""

import pytest

from pytest_diffopt.null_gpu import kernel_names
from pytest_diffopt.null_gpu.kernel_names import readable_kernel

ITERATOR = "at::TensorIteratorBase&"
GELU = (
    f"at::native::GeluCUDAKernelImpl({ITERATOR}, at::native::GeluType)::{{lambda()#2}}::operator()() const::"
    "{lambda()#4}::operator()() const::{lambda(c10::BFloat16)#1}"
)
COPY = (
    f"at::native::direct_copy_kernel_cuda({ITERATOR})::{{lambda()#3}}::operator()() const::{{lambda()#7}}::"
    "operator()() const::{lambda(float)#1}"
)


@pytest.mark.parametrize(
    ("registered", "expected"),
    [
        (f"void at::native::elementwise_kernel<128, 4, at::native::gpu_kernel_impl_nocast<{GELU}>({ITERATOR}, {GELU} "
         f"const&)::{{lambda(int)#1}}>(int, {GELU})", "elementwise_kernel(gelu, bfloat16)"),
        (f"void at::native::vectorized_elementwise_kernel<8, {GELU}, std::array<char*, 2ul>, false>(int, {GELU})",
         "vectorized_elementwise_kernel(gelu, bfloat16)"),
        (f"void at::native::unrolled_elementwise_kernel<{COPY}, std::array<char*, 2ul>, 4>(int, {COPY})",
         "unrolled_elementwise_kernel(copy, float32)"),
        ("void at::native::vectorized_elementwise_kernel<8, at::native::CUDAFunctorOnSelf_add<c10::Half>, "
         "std::array<char*, 2ul>, false>(int)", "vectorized_elementwise_kernel(add, float16)"),
        ("void at::native::vectorized_elementwise_kernel<8, at::native::BUnaryFunctor<float, float, float, "
         "at::native::binary_internal::MulFunctor<float> >, std::array<char*, 2ul>, false>(int)",
         "vectorized_elementwise_kernel(mul, float32)"),
        ("void at::native::reduce_kernel<512, 1, at::native::ReduceOp<c10::Half, at::native::MeanOps<c10::Half, float, "
         "float, c10::Half>, unsigned int, c10::Half, 4, 8> >(int)", "reduce_kernel(mean, float16)"),
        ("void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::func_wrapper_t<float, "
         "at::native::sum_functor<float, float, float>::operator()(at::TensorIterator&)::{lambda(float, float)#1}>, "
         "unsigned int, float, 4, 4> >(int)", "reduce_kernel(sum, float32)"),
        ("void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<c10::BFloat16, float, false>(int)",
         "vectorized_layer_norm_kernel(bfloat16)"),
        ("void (anonymous namespace)::softmax_warp_forward<float, float, float, 4, false, false, 32>(float*)",
         "softmax_warp_forward(float32)"),
        ("void at::native::(anonymous namespace)::CatArrayBatchedCopy<at::native::OpaqueType<2u>, "
         "unsigned int, 4, 64, 64>(int)", "CatArrayBatchedCopy(2-byte values)"),
        ("void at::native::vectorized_elementwise_kernel<2, at::native::FillFunctor<long>, std::array<char*, 1ul> >()",
         "vectorized_elementwise_kernel(fill, int64)"),
        ("fmha_cutlassF_bf16_aligned_64x64_rf_sm80(PyTorchMemEffAttention::Params)",
         "fmha_cutlassF_bf16_aligned_64x64_rf_sm80"),
        ("triton_poi_fused_gelu_mul_12", "triton_poi_fused_gelu_mul"),
        ("triton_per_fused__to_copy_native_layer_norm_0", "triton_per_fused__to_copy_native_layer_norm"),
        ("my_triton_kernel_2", "my_triton_kernel_2"),
        ("unbalanced<int", "unbalanced(int32)"),
    ],
)  # fmt: skip
def test_name(monkeypatch: pytest.MonkeyPatch, registered: str, expected: str) -> None:
    """The function, the operation and the dtype are kept, the launch configuration is not."""
    monkeypatch.setattr(kernel_names, "demangled", lambda name: name)  # libstdc++ demangles; tested with the counters
    readable_kernel.cache_clear()

    assert readable_kernel(registered) == expected


def test_mangled_name() -> None:
    """A registered name is demangled first."""
    assert readable_kernel("_Z3addPf") == "add"
