"""The generated entry points."""

from pathlib import Path

import pytest

from pytest_diffopt.null_gpu.stubs import driver_functions, is_cuda_name, parse_prototypes, write_stubs

HEADER = """
/* a comment with int cublasFake(int); in it */
cublasStatus_t CUBLASWINAPI cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t transa, int m, int n, int k,
                                           const float* alpha, const float* A, float* C);
cusolverStatus_t CUSOLVERAPI cusolverDnSgetrf_bufferSize(cusolverDnHandle_t handle, int m, int n, float *A, int *Lwork);
cusolverStatus_t CUSOLVERAPI cusolverDnSgetrf(cusolverDnHandle_t handle, int m, int n, float *A, int *devIpiv,
                                              int *info);
cusparseStatus_t CUSPARSEAPI cusparseCreate(cusparseHandle_t* handle);
const char* CUSPARSEAPI cusparseGetErrorString(cusparseStatus_t status);
cudnnStatus_t CUDNNWINAPI cudnnGetTensorNdDescriptor(const cudnnTensorDescriptor_t d, int n, int *nbDims, int dimA[]);
cudnnStatus_t CUDNNWINAPI cudnnGetVersionOf(const cudnnTensorDescriptor_t d, int *version);
cusolverStatus_t CUSOLVERAPI cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t streamId);
"""
PROTOTYPES = {prototype.name: prototype for prototype in parse_prototypes(HEADER)}


def stub_of(name: str) -> str:
    """Write one stub."""
    return write_stubs([name], PROTOTYPES, []).partition("EXPORT")[2]


def test_prototypes_are_read_without_comments() -> None:
    """What stands in a comment is no function."""
    assert "cublasFake" not in PROTOTYPES
    assert PROTOTYPES["cusparseGetErrorString"].returns.replace(" ", "") == "constchar*"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cudaMalloc", True),
        ("cuLaunchKernel", True),
        ("cublasSgemm_v2", True),
        ("__cudaRegisterFunction", True),
        ("curtain", False),
        ("cuFileRead", False),
        ("nvrtcCompileProgram", False),
        ("cuptiSubscribe", False),
    ],
)
def test_names_of_the_libraries(name: str, *, expected: bool) -> None:
    """The compiler, the profiler and the storage library stay NVIDIA's own."""
    assert is_cuda_name(name) is expected


def test_work_is_counted_with_its_sizes() -> None:
    """A product is a library call on its handle's stream."""
    stub = stub_of("cublasSgemm_v2")

    assert '"m=%ld n=%ld k=%ld", (long)m, (long)n, (long)k' in stub
    assert 'library_call("cublasSgemm_v2", shape, ((struct handle *)handle)->stream)' in stub
    assert "unmodelled" not in stub


def test_size_is_set_and_matrix_is_not_touched() -> None:
    """The matrix is not const in this prototype, and is no output."""
    stub = stub_of("cusolverDnSgetrf_bufferSize")

    assert "if (Lwork) memset((void *)Lwork, 0, sizeof *Lwork);" in stub
    assert "(void *)A" not in stub


def test_info_is_success() -> None:
    """The info of a solver is zero: it lies in memory that no kernel writes."""
    assert "memset((void *)info, 0, sizeof *info)" in stub_of("cusolverDnSgetrf")


def test_handle_is_new_and_stream_is_kept() -> None:
    """A handle exists, and its work goes to the stream that was set."""
    assert "new_handle()" in stub_of("cusparseCreate")
    assert "->stream = streamId;" in stub_of("cusolverDnSetStream")


def test_getter_sets_its_outputs_and_is_reported() -> None:
    """What is not known is zero and is listed."""
    stub = stub_of("cudnnGetVersionOf")

    assert 'unmodelled("cudnnGetVersionOf");' in stub
    assert "memset((void *)version, 0, sizeof *version)" in stub
    assert "return (cudnnStatus_t)0;" in stub


def test_getter_of_an_array_fails() -> None:
    """Its length is not known, and success would leave a part of it unset."""
    stub = stub_of("cudnnGetTensorNdDescriptor")

    assert 'unmodelled("cudnnGetTensorNdDescriptor");' in stub
    assert "return (cudnnStatus_t)3000;" in stub


def test_text_is_text() -> None:
    """A function that returns text does not return a status."""
    assert 'return "not modelled by the null GPU";' in stub_of("cusparseGetErrorString")


@pytest.mark.parametrize(("name", "status"), [("cudaFoo", 801), ("cuFoo", 801), ("cudnnFoo", 3000), ("cublasFoo", 15)])
def test_function_without_prototype_fails(name: str, status: int) -> None:
    """No silent success: the library's own "not supported"."""
    source = write_stubs([name], PROTOTYPES, [])

    assert f'unmodelled("{name}")' in source
    assert str(status) in source


def test_driver_functions_without_definition(tmp_path: Path) -> None:
    """A function is left out if any version of it is defined."""
    (tmp_path / "cuda.h").write_text(
        "CUresult CUDAAPI cuMemAlloc(CUdeviceptr *p, size_t n);\nCUresult CUDAAPI cuMemNew(int a);\n", encoding="ascii"
    )

    assert driver_functions([tmp_path], defined=frozenset({"cuMemAlloc_v2"})) == {"cuMemNew"}
