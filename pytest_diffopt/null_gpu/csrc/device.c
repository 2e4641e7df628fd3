/* The devices: how many there are, which one is current, and what they report of themselves. */
#include "null_gpu.h"

#include <stdio.h>

struct gpu gpu;
int device_count;
static __thread int device;

/* DIFFOPT_NULL_GPU_DEVICE is written by gpus.py; without it there is no device, as on a machine without a GPU. */
__attribute__((constructor)) static void read_description(void) {
  const char *text = getenv("DIFFOPT_NULL_GPU_DEVICE");
  if (!text) return;
  int fields = sscanf(text, "%d,%d,%d,%d,%d,%d,%d,%zu,%zu,%d,%d,%d,%95[^\n]", &device_count, &gpu.capability,
                      &gpu.multiprocessors, &gpu.shared_per_block_optin, &gpu.shared_per_multiprocessor,
                      &gpu.max_threads_per_multiprocessor, &gpu.max_blocks_per_multiprocessor, &gpu.l2_bytes,
                      &gpu.memory_bytes, &gpu.memory_bus_bits, &gpu.clock_khz, &gpu.memory_clock_khz, gpu.name);
  if (fields == 13 && device_count >= 1 && device_count <= MAX_DEVICES) return;
  fprintf(stderr, "null GPU: DIFFOPT_NULL_GPU_DEVICE cannot be read: %s\n", text);
  device_count = 0;
}

int current_device(void) { return device; }

static int visible(void) {
  /* As CUDA does: a list of numbers limits the devices; an empty list, or one that starts with -1, hides all. */
  const char *list = getenv("CUDA_VISIBLE_DEVICES");
  if (!list) return device_count;
  int n = 0;
  for (char *end; *list; list = *end == ',' ? end + 1 : end) {
    long index = strtol(list, &end, 10);
    if (end == list || index < 0 || index >= device_count) break;
    n++;
    if (*end != ',') break;
  }
  return n;
}

int device_attribute(int attribute) {
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: return 1024;
    case cudaDevAttrMaxBlockDimX: case cudaDevAttrMaxBlockDimY: return 1024;
    case cudaDevAttrMaxBlockDimZ: return 64;
    case cudaDevAttrMaxGridDimX: return 2147483647;
    case cudaDevAttrMaxGridDimY: case cudaDevAttrMaxGridDimZ: return 65535;
    case cudaDevAttrMaxSharedMemoryPerBlock: return 49152;
    case cudaDevAttrTotalConstantMemory: return 65536;
    case cudaDevAttrWarpSize: return 32;
    case cudaDevAttrMaxPitch: return 2147483647;
    case cudaDevAttrMaxRegistersPerBlock: case cudaDevAttrMaxRegistersPerMultiprocessor: return 65536;
    case cudaDevAttrClockRate: return gpu.clock_khz;
    case cudaDevAttrTextureAlignment: return 512;
    case cudaDevAttrMultiProcessorCount: return gpu.multiprocessors;
    case cudaDevAttrCanMapHostMemory: case cudaDevAttrConcurrentKernels: case cudaDevAttrUnifiedAddressing: return 1;
    case cudaDevAttrPciBusId: return 1;
    case cudaDevAttrMemoryClockRate: return gpu.memory_clock_khz;
    case cudaDevAttrGlobalMemoryBusWidth: return gpu.memory_bus_bits;
    case cudaDevAttrL2CacheSize: return (int)gpu.l2_bytes;
    case cudaDevAttrMaxThreadsPerMultiProcessor: return gpu.max_threads_per_multiprocessor;
    case cudaDevAttrAsyncEngineCount: return 3;
    case cudaDevAttrComputeCapabilityMajor: return gpu.capability / 10;
    case cudaDevAttrComputeCapabilityMinor: return gpu.capability % 10;
    case cudaDevAttrStreamPrioritiesSupported: case cudaDevAttrGlobalL1CacheSupported: case cudaDevAttrLocalL1CacheSupported: return 1;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: return gpu.shared_per_multiprocessor;
    case cudaDevAttrManagedMemory: case cudaDevAttrComputePreemptionSupported: case cudaDevAttrCooperativeLaunch: return 1;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: return gpu.shared_per_block_optin;
    case cudaDevAttrMaxBlocksPerMultiprocessor: return gpu.max_blocks_per_multiprocessor;
    case cudaDevAttrReservedSharedMemoryPerBlock: return gpu.shared_per_multiprocessor - gpu.shared_per_block_optin;
    case cudaDevAttrHostRegisterSupported: case cudaDevAttrMemoryPoolsSupported: return 1;
    case CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED: return 1;
    case CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH: return gpu.capability >= 90;
    case CU_DEVICE_ATTRIBUTE_TENSOR_MAP_ACCESS_SUPPORTED: return gpu.capability >= 90;
    default: return 0; /* an ability that is not modelled is one that this GPU lacks */
  }
}

/* ---- the runtime ---- */

EXPORT cudaError_t cudaGetDeviceCount(int *n) {
  *n = visible();
  return *n ? cudaSuccess : fail(cudaErrorNoDevice);
}

EXPORT cudaError_t cudaGetDevice(int *result) {
  *result = device;
  return visible() ? cudaSuccess : fail(cudaErrorNoDevice);
}

EXPORT cudaError_t cudaSetDevice(int wanted) {
  if (wanted < 0 || wanted >= visible()) return fail(cudaErrorInvalidDevice);
  device = wanted;
  return cudaSuccess;
}

EXPORT cudaError_t cudaInitDevice(int wanted, unsigned flags, unsigned more) {
  (void)flags, (void)more;
  return wanted < 0 || wanted >= visible() ? fail(cudaErrorInvalidDevice) : cudaSuccess;
}

EXPORT cudaError_t cudaDriverGetVersion(int *version) {
  *version = visible() ? CUDART_VERSION : 0;
  return cudaSuccess;
}

EXPORT cudaError_t cudaRuntimeGetVersion(int *version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

void device_uuid(int index, unsigned char *bytes) {
  memcpy(bytes, "null-gpu-device", 15);
  bytes[15] = (unsigned char)('0' + index);
}

static void describe_limits(struct cudaDeviceProp *p) {
  p->totalGlobalMem = gpu.memory_bytes;
  p->sharedMemPerBlock = 49152;
  p->sharedMemPerBlockOptin = (size_t)gpu.shared_per_block_optin;
  p->sharedMemPerMultiprocessor = (size_t)gpu.shared_per_multiprocessor;
  p->reservedSharedMemPerBlock = (size_t)device_attribute(cudaDevAttrReservedSharedMemoryPerBlock);
  p->regsPerBlock = p->regsPerMultiprocessor = 65536;
  p->warpSize = 32;
  p->memPitch = 2147483647;
  p->maxThreadsPerBlock = 1024;
  p->maxThreadsPerMultiProcessor = gpu.max_threads_per_multiprocessor;
  p->maxBlocksPerMultiProcessor = gpu.max_blocks_per_multiprocessor;
  for (int i = 0; i < 3; i++) {
    p->maxThreadsDim[i] = i == 2 ? 64 : 1024;
    p->maxGridSize[i] = i ? 65535 : 2147483647;
  }
  p->totalConstMem = 65536;
}

static void describe_abilities(struct cudaDeviceProp *p) {
  p->textureAlignment = 512;
  p->canMapHostMemory = p->concurrentKernels = p->unifiedAddressing = p->streamPrioritiesSupported = 1;
  p->globalL1CacheSupported = p->localL1CacheSupported = p->managedMemory = p->computePreemptionSupported = 1;
  p->cooperativeLaunch = p->hostRegisterSupported = p->memoryPoolsSupported = 1;
  p->clusterLaunch = gpu.capability >= 90;
  p->asyncEngineCount = 3;
}

EXPORT cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int index) {
  if (index < 0 || index >= visible()) return fail(cudaErrorInvalidDevice);
  memset(p, 0, sizeof *p);
  snprintf(p->name, sizeof p->name, "%s", gpu.name);
  device_uuid(index, (unsigned char *)p->uuid.bytes);
  p->major = gpu.capability / 10;
  p->minor = gpu.capability % 10;
  p->multiProcessorCount = gpu.multiprocessors;
  p->l2CacheSize = (int)gpu.l2_bytes;
  p->memoryBusWidth = gpu.memory_bus_bits;
  p->pciBusID = index + 1;
  describe_limits(p);
  describe_abilities(p);
  return cudaSuccess;
}

EXPORT cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int index) {
  if (index < 0 || index >= visible()) return fail(cudaErrorInvalidDevice);
  *value = attribute == cudaDevAttrPciBusId ? index + 1 : device_attribute(attribute);
  return cudaSuccess;
}

EXPORT cudaError_t cudaDeviceGetPCIBusId(char *text, int room, int index) {
  snprintf(text, (size_t)room, "0000:%02X:00.0", index + 1);
  return cudaSuccess;
}

EXPORT cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
  if (least) *least = 0;
  if (greatest) *greatest = -5;
  return cudaSuccess;
}

EXPORT cudaError_t cudaDeviceCanAccessPeer(int *can, int a, int b) {
  *can = a != b;
  return cudaSuccess;
}

static char peers[MAX_DEVICES][MAX_DEVICES];

EXPORT cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned flags) {
  (void)flags;
  if (peer < 0 || peer >= visible() || peer == device) return fail(cudaErrorInvalidDevice);
  if (peers[device][peer]) return fail(cudaErrorPeerAccessAlreadyEnabled);
  peers[device][peer] = 1;
  return cudaSuccess;
}

EXPORT cudaError_t cudaProfilerStart(void) { return cudaSuccess; }
EXPORT cudaError_t cudaProfilerStop(void) { return cudaSuccess; }

/* ---- the driver: a context is its device's number, counted from 1 ---- */

static CUcontext context_of(int index) { return (CUcontext)(uintptr_t)(index + 1); }

EXPORT CUresult cuInit(unsigned flags) {
  (void)flags;
  return visible() ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

EXPORT CUresult cuDriverGetVersion(int *version) { return (CUresult)cudaDriverGetVersion(version); }
EXPORT CUresult cuDeviceGetCount(int *n) {
  *n = visible();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGet(CUdevice *result, int index) {
  *result = index;
  return index < 0 || index >= visible() ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetName(char *text, int room, CUdevice index) {
  (void)index;
  snprintf(text, (size_t)room, "%s", gpu.name);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice index) {
  (void)index;
  *bytes = gpu.memory_bytes;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice index) {
  return (CUresult)cudaDeviceGetAttribute(value, (enum cudaDeviceAttr)attribute, index);
}

EXPORT CUresult cuCtxGetCurrent(CUcontext *context) {
  *context = context_of(device);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSetCurrent(CUcontext context) {
  if (context) device = (int)(uintptr_t)context - 1;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxPushCurrent_v2(CUcontext context) { return cuCtxSetCurrent(context); }
EXPORT CUresult cuCtxPopCurrent_v2(CUcontext *context) { return context ? cuCtxGetCurrent(context) : CUDA_SUCCESS; }

EXPORT CUresult cuCtxGetDevice(CUdevice *result) {
  *result = device;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetLimit(size_t *value, CUlimit limit) {
  *value = limit == CU_LIMIT_PRINTF_FIFO_SIZE ? 1 << 20 : limit == CU_LIMIT_STACK_SIZE ? 1024 : 0;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSetLimit(CUlimit limit, size_t value) {
  (void)limit, (void)value;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice index) {
  *context = context_of(index);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice index) {
  (void)index;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice index, unsigned *flags, int *active) {
  (void)index;
  if (flags) *flags = 0;
  if (active) *active = 1;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamGetCtx(CUstream stream, CUcontext *context) {
  (void)stream;
  return cuCtxGetCurrent(context);
}
