/* cuBLAS and cuBLASLt: what torch sets and asks. The products themselves are generated from the headers (stubs.py). */
#include "null_gpu.h"

#include <cublasLt.h>
#include <cublas_v2.h>
#include <stdio.h>

EXPORT cublasStatus_t cublasCreate_v2(cublasHandle_t *handle) {
  *handle = (cublasHandle_t)new_handle();
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  free(handle);
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  ((struct handle *)handle)->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasGetStream_v2(cublasHandle_t handle, cudaStream_t *stream) {
  *stream = ((struct handle *)handle)->stream;
  return CUBLAS_STATUS_SUCCESS;
}

enum { MATH_MODE, POINTER_MODE, SM_TARGET };

EXPORT cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace, size_t bytes) {
  (void)handle, (void)workspace, (void)bytes;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  ((struct handle *)handle)->values[MATH_MODE] = mode;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t *mode) {
  *mode = (cublasMath_t)((struct handle *)handle)->values[MATH_MODE];
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode) {
  ((struct handle *)handle)->values[POINTER_MODE] = mode;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasGetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t *mode) {
  *mode = (cublasPointerMode_t)((struct handle *)handle)->values[POINTER_MODE];
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasSetSmCountTarget(cublasHandle_t handle, int n) {
  ((struct handle *)handle)->values[SM_TARGET] = n;
  return CUBLAS_STATUS_SUCCESS;
}

/* ---- cuBLASLt ---- */

static size_t library_version(void) {
  return CUBLAS_VER_MAJOR * 10000 + CUBLAS_VER_MINOR * 100 + CUBLAS_VER_PATCH;
}

EXPORT size_t cublasLtGetVersion(void) { return library_version(); }

EXPORT cublasStatus_t cublasGetVersion_v2(cublasHandle_t handle, int *version) {
  (void)handle;
  *version = (int)library_version();
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
  *handle = (cublasLtHandle_t)new_handle();
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  free(handle);
  return CUBLAS_STATUS_SUCCESS;
}

enum { ROWS, COLUMNS, BATCH, TRANSPOSED_A, TRANSPOSED_B };

EXPORT cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *result, cublasComputeType_t type, cudaDataType_t scale) {
  (void)type, (void)scale;
  *result = (cublasLtMatmulDesc_t)new_handle();
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  free(desc);
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
                                                     const void *value, size_t bytes) {
  (void)bytes;
  struct handle *handle = (struct handle *)desc;
  if (attribute == CUBLASLT_MATMUL_DESC_TRANSA) handle->values[TRANSPOSED_A] = *(const int32_t *)value != CUBLAS_OP_N;
  if (attribute == CUBLASLT_MATMUL_DESC_TRANSB) handle->values[TRANSPOSED_B] = *(const int32_t *)value != CUBLAS_OP_N;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *result, cudaDataType type, uint64_t rows,
                                                 uint64_t columns, int64_t leading) {
  (void)type, (void)leading;
  struct handle *layout = new_handle();
  layout->values[ROWS] = (int64_t)rows;
  layout->values[COLUMNS] = (int64_t)columns;
  layout->values[BATCH] = 1;
  *result = (cublasLtMatrixLayout_t)layout;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  free(layout);
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                       cublasLtMatrixLayoutAttribute_t attribute, const void *value,
                                                       size_t bytes) {
  (void)bytes;
  if (attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) ((struct handle *)layout)->values[BATCH] = *(const int32_t *)value;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *result) {
  *result = (cublasLtMatmulPreference_t)new_handle();
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  free(preference);
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                           cublasLtMatmulPreferenceAttributes_t attribute,
                                                           const void *value, size_t bytes) {
  (void)preference, (void)attribute, (void)value, (void)bytes;
  return CUBLAS_STATUS_SUCCESS;
}

/* One algorithm, which needs no workspace: the real library may need some. */
EXPORT cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                                     cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                                     cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                                     cublasLtMatmulPreference_t preference, int wanted,
                                                     cublasLtMatmulHeuristicResult_t *results, int *found) {
  (void)handle, (void)desc, (void)a, (void)b, (void)c, (void)d, (void)preference;
  memset(results, 0, sizeof *results * (size_t)wanted);
  *found = wanted > 0;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha, const void *A,
                                     cublasLtMatrixLayout_t a, const void *B, cublasLtMatrixLayout_t b, const void *beta,
                                     const void *C, cublasLtMatrixLayout_t c, void *D, cublasLtMatrixLayout_t d,
                                     const cublasLtMatmulAlgo_t *algorithm, void *workspace, size_t bytes,
                                     cudaStream_t stream) {
  (void)handle, (void)alpha, (void)A, (void)B, (void)b, (void)beta, (void)C, (void)c, (void)D, (void)algorithm;
  (void)workspace, (void)bytes;
  const int64_t *out = ((struct handle *)d)->values, *left = ((struct handle *)a)->values;
  int64_t depth = left[((struct handle *)desc)->values[TRANSPOSED_A] ? ROWS : COLUMNS];
  char shape[96];
  snprintf(shape, sizeof shape, "m=%ld n=%ld k=%ld batch=%ld", (long)out[ROWS], (long)out[COLUMNS], (long)depth,
           (long)out[BATCH]);
  return library_call("cublasLtMatmul", shape, stream) ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}
