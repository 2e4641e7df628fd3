/* Kernels: the names under which a library registers them, and their launches. */
#include "null_gpu.h"

struct kernel {
  const void *handle;
  const char *name;
  struct tally *direct, *in_graph; /* found at the first launch */
  int spins;
};

static struct kernel *table; /* open addressing */
static size_t slots, n_kernels;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct kernel *slot_of(const void *handle) {
  size_t i = ((uintptr_t)handle >> 4) * 0x9E3779B97F4A7C15ull & (slots - 1);
  while (table[i].handle && table[i].handle != handle) i = (i + 1) & (slots - 1);
  return &table[i];
}

static void grow(void) {
  struct kernel *before = table;
  size_t n = slots;
  slots = n ? n * 2 : 1 << 16;
  table = calloc(slots, sizeof *table);
  for (size_t i = 0; i < n; i++)
    if (before[i].handle) *slot_of(before[i].handle) = before[i];
  free(before);
}

/* The kernel of a handle; the caller has the lock. */
static struct kernel *kernel_of(const void *handle) {
  if (2 * (n_kernels + 1) > slots) grow();
  struct kernel *kernel = slot_of(handle);
  if (!kernel->handle) {
    n_kernels++;
    kernel->handle = handle;
    kernel->name = "a kernel that was never registered";
  }
  return kernel;
}

void name_kernel(const void *handle, const char *name) {
  pthread_mutex_lock(&lock);
  struct kernel *kernel = kernel_of(handle);
  kernel->name = name;
  kernel->direct = kernel->in_graph = NULL;
  pthread_mutex_unlock(&lock);
}

/* What at::cuda::sleep launches: its argument is the number of clock cycles. */
static int spins(const char *name) { return strstr(name, "spin_kernel") != NULL; }

cudaError_t launch_kernel(const void *handle, void **arguments, cudaStream_t stream) {
  struct node node = {.type = NODE_KERNEL};
  pthread_mutex_lock(&lock);
  struct kernel *kernel = kernel_of(handle);
  if (!kernel->direct) {
    kernel->direct = find_tally(TALLY_KERNEL, kernel->name);
    kernel->in_graph = find_tally(TALLY_GRAPH_KERNEL, kernel->name);
    kernel->spins = spins(kernel->name);
  }
  node.direct = kernel->direct;
  node.in_graph = kernel->in_graph;
  if (kernel->spins && arguments) node.fixed_ns = (long)((double)*(const int64_t *)arguments[0] * 1e6 / gpu.clock_khz);
  pthread_mutex_unlock(&lock);
  return enqueue(stream, &node);
}

/* ---- what the compiler's own code calls as a library is loaded ---- */

EXPORT void **__cudaRegisterFatBinary(void *binary) {
  (void)binary;
  return calloc(1, 64);
}
EXPORT void __cudaRegisterFatBinaryEnd(void **handle) { (void)handle; }
EXPORT void __cudaUnregisterFatBinary(void **handle) { free(handle); }
EXPORT char __cudaInitModule(void **handle) {
  (void)handle;
  return 1;
}

EXPORT void __cudaRegisterFunction(void **module, const char *host, char *device, const char *name, int limit, void *tid,
                                   void *bid, void *block, void *grid, int *warp) {
  (void)module, (void)device, (void)limit, (void)tid, (void)bid, (void)block, (void)grid, (void)warp;
  name_kernel(host, name);
}

struct variable {
  const void *host;
  size_t bytes;
  void *device;
  struct variable *next;
};

static struct variable *variables;

EXPORT void __cudaRegisterVar(void **module, char *host, char *device, const char *name, int external, size_t bytes,
                              int constant, int global) {
  (void)module, (void)device, (void)name, (void)external, (void)constant, (void)global;
  struct variable *variable = malloc(sizeof *variable);
  *variable = (struct variable){host, bytes, NULL, variables};
  variables = variable;
}

EXPORT cudaError_t cudaGetSymbolAddress(void **pointer, const void *symbol) {
  struct variable *variable = variables;
  while (variable && variable->host != symbol) variable = variable->next;
  if (!variable) return fail(cudaErrorInvalidSymbol);
  cudaError_t error = variable->device ? cudaSuccess : allocate_device(&variable->device, variable->bytes);
  *pointer = variable->device;
  return error;
}

EXPORT cudaError_t cudaMemcpyToSymbol(const void *symbol, const void *from, size_t bytes, size_t offset,
                                      enum cudaMemcpyKind kind) {
  void *to;
  cudaError_t error = cudaGetSymbolAddress(&to, symbol);
  if (!error) copy_bytes((char *)to + offset, from, bytes, kind);
  return error;
}

/* ---- launches ---- */

enum { CONFIGURATIONS = 16 };

static __thread struct {
  dim3 grid, block;
  size_t shared;
  cudaStream_t stream;
} configurations[CONFIGURATIONS];
static __thread int depth;

EXPORT unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, struct CUstream_st *stream) {
  if (depth == CONFIGURATIONS) return 1;
  configurations[depth].grid = grid;
  configurations[depth].block = block;
  configurations[depth].shared = shared;
  configurations[depth++].stream = (cudaStream_t)stream;
  return 0;
}

EXPORT cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream) {
  if (!depth) return fail(cudaErrorInvalidConfiguration);
  depth--;
  *grid = configurations[depth].grid;
  *block = configurations[depth].block;
  *shared = configurations[depth].shared;
  *(cudaStream_t *)stream = configurations[depth].stream;
  return cudaSuccess;
}

EXPORT cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *host) {
  *kernel = (cudaKernel_t)(uintptr_t)host; /* the same key names both */
  return cudaSuccess;
}

EXPORT cudaError_t cudaGetKernel(cudaKernel_t *kernel, const void *host) { return __cudaGetKernel(kernel, host); }

static int fits(dim3 grid, dim3 block, size_t shared) {
  size_t threads = (size_t)block.x * block.y * block.z;
  return threads && threads <= 1024 && block.z <= 64 && grid.x && grid.y && grid.z && grid.y <= 65535 && grid.z <= 65535 &&
         shared <= (size_t)gpu.shared_per_block_optin;
}

EXPORT cudaError_t cudaLaunchKernel(const void *handle, dim3 grid, dim3 block, void **arguments, size_t shared,
                                    cudaStream_t stream) {
  if (!fits(grid, block, shared)) return fail(cudaErrorInvalidConfiguration);
  return launch_kernel(handle, arguments, stream);
}

EXPORT cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments, size_t shared,
                                      cudaStream_t stream) {
  return cudaLaunchKernel(kernel, grid, block, arguments, shared, stream);
}

EXPORT cudaError_t cudaLaunchCooperativeKernel(const void *handle, dim3 grid, dim3 block, void **arguments, size_t shared,
                                               cudaStream_t stream) {
  return cudaLaunchKernel(handle, grid, block, arguments, shared, stream);
}

EXPORT cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *handle, void **arguments) {
  return cudaLaunchKernel(handle, config->gridDim, config->blockDim, arguments, config->dynamicSmemBytes, config->stream);
}

/* ---- attributes: a kernel of 32 registers that uses no shared memory of its own ---- */

EXPORT cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *handle) {
  (void)handle;
  memset(attributes, 0, sizeof *attributes);
  attributes->maxThreadsPerBlock = 1024;
  attributes->numRegs = 32;
  attributes->binaryVersion = attributes->ptxVersion = gpu.capability;
  attributes->maxDynamicSharedSizeBytes = 49152;
  return cudaSuccess;
}

EXPORT cudaError_t cudaFuncSetAttribute(const void *handle, enum cudaFuncAttribute attribute, int value) {
  (void)handle;
  int too_much = attribute == cudaFuncAttributeMaxDynamicSharedMemorySize && value > gpu.shared_per_block_optin;
  return too_much ? fail(cudaErrorInvalidValue) : cudaSuccess;
}

EXPORT cudaError_t cudaKernelSetAttributeForDevice(cudaKernel_t kernel, enum cudaFuncAttribute attribute, int value,
                                                   int device) {
  (void)device;
  return cudaFuncSetAttribute(kernel, attribute, value);
}

EXPORT cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *n, const void *handle, int threads,
                                                                          size_t shared, unsigned flags) {
  (void)handle, (void)flags;
  int by_threads = threads > 0 ? gpu.max_threads_per_multiprocessor / threads : 0;
  int by_shared = shared ? (int)((size_t)gpu.shared_per_multiprocessor / shared) : gpu.max_blocks_per_multiprocessor;
  int limit = by_threads < by_shared ? by_threads : by_shared;
  *n = limit < gpu.max_blocks_per_multiprocessor ? limit : gpu.max_blocks_per_multiprocessor;
  return cudaSuccess;
}

EXPORT cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *n, const void *handle, int threads, size_t shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(n, handle, threads, shared, 0);
}
