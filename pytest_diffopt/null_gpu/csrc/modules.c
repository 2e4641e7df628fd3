/* Modules of kernels that are loaded while the process runs, as Triton and NVRTC's users load them. */
#include "cubin.h"

struct module {
  void *image; /* NULL if it is not known what its kernels need */
};

enum { FUNCTION_MAGIC = 0x6b65726e };

struct function {
  int magic;
  struct needs needs;
  char name[];
};

static struct module *new_module(void *image) {
  struct module *module = malloc(sizeof *module);
  module->image = image;
  return module;
}

static void free_module(struct module *module) {
  free(module->image);
  free(module);
}

static const void *new_function(const struct module *module, const char *name) {
  size_t length = strlen(name) + 1;
  struct function *function = malloc(sizeof *function + length);
  function->magic = FUNCTION_MAGIC;
  function->needs = cubin_needs(module->image, name);
  memcpy(function->name, name, length);
  name_kernel(function, function->name); /* its address is the handle */
  return function;
}

#if CUDART_VERSION >= 12080
EXPORT cudaError_t cudaLibraryLoadData(cudaLibrary_t *library, const void *code, enum cudaJitOption *options, void **values,
                                       unsigned n, enum cudaLibraryOption *more, void **more_values, unsigned n_more) {
  (void)options, (void)values, (void)n, (void)more, (void)more_values, (void)n_more;
  *library = (cudaLibrary_t)new_module(cubin_copy(code));
  return cudaSuccess;
}

EXPORT cudaError_t cudaLibraryUnload(cudaLibrary_t library) {
  free_module((struct module *)library);
  return cudaSuccess;
}

EXPORT cudaError_t cudaLibraryGetKernel(cudaKernel_t *kernel, cudaLibrary_t library, const char *name) {
  *kernel = (cudaKernel_t)(uintptr_t)new_function((const struct module *)library, name);
  return cudaSuccess;
}
#endif

EXPORT CUresult cuModuleLoad(CUmodule *module, const char *path) {
  *module = (CUmodule)new_module(cubin_read(path));
  return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleLoadData(CUmodule *module, const void *image) {
  *module = (CUmodule)new_module(cubin_copy(image));
  return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned n, CUjit_option *options, void **values) {
  (void)n, (void)options, (void)values;
  return cuModuleLoadData(module, image);
}

EXPORT CUresult cuModuleUnload(CUmodule module) {
  free_module((struct module *)module);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
  *function = (CUfunction)(uintptr_t)new_function((const struct module *)module, name);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function) {
  const struct function *loaded = (const struct function *)function;
  struct needs needs = loaded && loaded->magic == FUNCTION_MAGIC ? loaded->needs : (struct needs){-1, -1};
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_NUM_REGS: *value = needs.registers >= 0 ? needs.registers : 32; break;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES: *value = needs.local_bytes >= 0 ? needs.local_bytes : 0; break;
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = 1024; break;
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION: case CU_FUNC_ATTRIBUTE_PTX_VERSION: *value = gpu.capability; break;
    default: *value = 0;
  }
  return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  return (CUresult)cudaFuncSetAttribute(function, (enum cudaFuncAttribute)attribute, value);
}

EXPORT CUresult cuFuncSetCacheConfig(CUfunction function, CUfunc_cache config) {
  (void)function, (void)config;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                               unsigned block_y, unsigned block_z, unsigned shared, CUstream stream, void **parameters,
                               void **extra) {
  (void)extra;
  dim3 grid = {grid_x, grid_y, grid_z}, block = {block_x, block_y, block_z};
  return (CUresult)cudaLaunchKernel(function, grid, block, parameters, shared, (cudaStream_t)stream);
}

EXPORT CUresult cuLaunchCooperativeKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                          unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                                          CUstream stream, void **parameters) {
  return cuLaunchKernel(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared, stream, parameters, NULL);
}

EXPORT CUresult cuLaunchKernelEx(const CUlaunchConfig *c, CUfunction function, void **parameters, void **extra) {
  return cuLaunchKernel(function, c->gridDimX, c->gridDimY, c->gridDimZ, c->blockDimX, c->blockDimY, c->blockDimZ,
                        c->sharedMemBytes, c->hStream, parameters, extra);
}

EXPORT CUresult cuOccupancyMaxActiveClusters(int *n, CUfunction function, const CUlaunchConfig *config) {
  (void)function, (void)config;
  *n = gpu.multiprocessors / 2;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *n, CUfunction function, int threads, size_t shared) {
  return (CUresult)cudaOccupancyMaxActiveBlocksPerMultiprocessor(n, function, threads, shared);
}

/* A tensor map is an argument of a kernel, and no kernel reads it. */
EXPORT CUresult cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *address,
                                       const cuuint64_t *sizes, const cuuint64_t *strides, const cuuint32_t *box,
                                       const cuuint32_t *steps, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                       CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill) {
  (void)type, (void)rank, (void)address, (void)sizes, (void)strides, (void)box, (void)steps;
  (void)interleave, (void)swizzle, (void)promotion, (void)fill;
  memset(map, 0, sizeof *map);
  return CUDA_SUCCESS;
}
