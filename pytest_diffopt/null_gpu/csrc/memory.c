/* Memory: device memory is reserved and not touched; host and device share one address space. */
#define _GNU_SOURCE
#include "memory.h"

static struct block *blocks; /* sorted by address */
static size_t n_blocks, block_room;
size_t used_bytes[MAX_DEVICES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- what lies where ---- */

/* The index of the last block that starts at or before the address, or -1. */
static long index_before(const char *address) {
  long low = 0, high = (long)n_blocks - 1, found = -1;
  while (low <= high) {
    long middle = (low + high) / 2;
    if (blocks[middle].start <= address) found = middle, low = middle + 1;
    else high = middle - 1;
  }
  return found;
}

static struct block *block_of(const void *address) {
  long i = index_before(address);
  return i >= 0 && (const char *)address < blocks[i].start + blocks[i].bytes ? &blocks[i] : NULL;
}

void insert_block(struct block block) {
  pthread_mutex_lock(&lock);
  if (n_blocks == block_room) blocks = realloc(blocks, (block_room = block_room * 2 + 64) * sizeof *blocks);
  size_t at = (size_t)(index_before(block.start) + 1);
  memmove(&blocks[at + 1], &blocks[at], (n_blocks - at) * sizeof *blocks);
  blocks[at] = block;
  n_blocks++;
  used_bytes[block.device] += block.counted;
  pthread_mutex_unlock(&lock);
}

struct block remove_block(const void *start) {
  struct block removed = {0};
  pthread_mutex_lock(&lock);
  long i = index_before(start);
  if (i >= 0 && blocks[i].start == start) {
    removed = blocks[i];
    memmove(&blocks[i], &blocks[i + 1], (n_blocks - (size_t)i - 1) * sizeof *blocks);
    n_blocks--;
    used_bytes[removed.device] -= removed.counted;
  }
  pthread_mutex_unlock(&lock);
  return removed;
}

enum place place_of(const void *pointer, int *device) {
  pthread_mutex_lock(&lock);
  struct block *block = block_of(pointer);
  enum place place = block ? block->place : PLACE_PAGEABLE;
  if (device) *device = block ? block->device : -1;
  pthread_mutex_unlock(&lock);
  return place;
}

size_t device_bytes_used(int device) { return __atomic_load_n(&used_bytes[device], __ATOMIC_RELAXED); }

/* ---- allocation ---- */

enum { PAGE = 4096 };

void *reserve(size_t bytes, int protection) {
  void *start = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return start == MAP_FAILED ? NULL : start;
}

static size_t whole_pages(size_t bytes) { return bytes ? (bytes + PAGE - 1) / PAGE * PAGE : PAGE; }

cudaError_t allocate_device(void **pointer, size_t bytes) {
  int device = current_device();
  size_t size = whole_pages(bytes);
  if (!device_count) return fail(cudaErrorNoDevice);
  if (size > gpu.memory_bytes - device_bytes_used(device)) return fail(cudaErrorMemoryAllocation);
  *pointer = reserve(size, PROT_READ | PROT_WRITE);
  if (!*pointer) return fail(cudaErrorMemoryAllocation);
  insert_block((struct block){*pointer, size, size, PLACE_DEVICE, device, 1});
  return cudaSuccess;
}

static cudaError_t release(void *pointer, const char *api) {
  if (!pointer) return cudaSuccess;
  struct block block = remove_block(pointer);
  if (!block.bytes) return fail(cudaErrorInvalidValue);
  count_named(TALLY_ALLOCATION, api, block.bytes);
  if (block.owned) munmap(block.start, block.bytes);
  return cudaSuccess;
}

EXPORT cudaError_t cudaMalloc(void **pointer, size_t bytes) {
  cudaError_t error = prohibited_by_capture();
  if (error) return error;
  count_named(TALLY_ALLOCATION, "cudaMalloc", bytes);
  return allocate_device(pointer, bytes);
}

EXPORT cudaError_t cudaMallocManaged(void **pointer, size_t bytes, unsigned flags) {
  (void)flags;
  cudaError_t error = cudaMalloc(pointer, bytes);
  if (error) return error;
  pthread_mutex_lock(&lock);
  block_of(*pointer)->place = PLACE_MANAGED;
  pthread_mutex_unlock(&lock);
  return cudaSuccess;
}

/* cudaFree waits for the device. Its line is not asked for: torch calls it with the allocator's lock, and a thread that
 * waits for this lock may have the interpreter's. */
EXPORT cudaError_t cudaFree(void *pointer) {
  cudaError_t error = pointer ? prohibited_by_capture() : cudaSuccess;
  if (error) return error;
  return release(pointer, "cudaFree");
}

EXPORT cudaError_t cudaMallocAsync(void **pointer, size_t bytes, cudaStream_t stream) {
  (void)stream;
  count_named(TALLY_ALLOCATION, "cudaMallocAsync", bytes);
  return allocate_device(pointer, bytes);
}

EXPORT cudaError_t cudaFreeAsync(void *pointer, cudaStream_t stream) {
  (void)stream;
  return release(pointer, "cudaFreeAsync");
}

EXPORT cudaError_t cudaHostAlloc(void **pointer, size_t bytes, unsigned flags) {
  (void)flags;
  cudaError_t error = prohibited_by_capture();
  if (error) return error;
  count_named(TALLY_ALLOCATION, "cudaHostAlloc", bytes);
  *pointer = reserve(whole_pages(bytes), PROT_READ | PROT_WRITE);
  if (!*pointer) return fail(cudaErrorMemoryAllocation);
  insert_block((struct block){*pointer, whole_pages(bytes), 0, PLACE_PINNED, current_device(), 1});
  return cudaSuccess;
}

EXPORT cudaError_t cudaMallocHost(void **pointer, size_t bytes) { return cudaHostAlloc(pointer, bytes, 0); }
EXPORT cudaError_t cudaFreeHost(void *pointer) { return release(pointer, "cudaFreeHost"); }

EXPORT cudaError_t cudaHostRegister(void *pointer, size_t bytes, unsigned flags) {
  (void)flags;
  if (place_of(pointer, NULL) != PLACE_PAGEABLE) return fail(cudaErrorHostMemoryAlreadyRegistered);
  count_named(TALLY_ALLOCATION, "cudaHostRegister", bytes);
  insert_block((struct block){pointer, bytes, 0, PLACE_PINNED, current_device(), 0});
  return cudaSuccess;
}

EXPORT cudaError_t cudaHostUnregister(void *pointer) {
  return remove_block(pointer).bytes ? cudaSuccess : fail(cudaErrorHostMemoryNotRegistered);
}

EXPORT cudaError_t cudaHostGetDevicePointer(void **device_pointer, void *host_pointer, unsigned flags) {
  (void)flags;
  *device_pointer = host_pointer;
  return cudaSuccess;
}

EXPORT cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total) {
  *free_bytes = gpu.memory_bytes - device_bytes_used(current_device());
  *total = gpu.memory_bytes;
  return cudaSuccess;
}

EXPORT cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *pointer) {
  static const enum cudaMemoryType types[] = {cudaMemoryTypeUnregistered, cudaMemoryTypeDevice, cudaMemoryTypeHost,
                                              cudaMemoryTypeManaged};
  memset(attributes, 0, sizeof *attributes);
  enum place place = place_of(pointer, &attributes->device);
  attributes->type = types[place];
  if (place != PLACE_PAGEABLE) attributes->devicePointer = (void *)(uintptr_t)pointer;
  if (place != PLACE_DEVICE) attributes->hostPointer = (void *)(uintptr_t)pointer;
  return cudaSuccess;
}

/* ---- pools: the default one alone, which keeps nothing ---- */

EXPORT cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int device) {
  *pool = (cudaMemPool_t)(uintptr_t)(device + 1);
  return cudaSuccess;
}

EXPORT cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, enum cudaMemPoolAttr attribute, void *value) {
  (void)pool, (void)attribute, (void)value;
  return cudaSuccess;
}

EXPORT cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, enum cudaMemPoolAttr attribute, void *value) {
  int bytes = attribute >= cudaMemPoolAttrReservedMemCurrent && attribute <= cudaMemPoolAttrUsedMemHigh;
  if (attribute == cudaMemPoolAttrReleaseThreshold || bytes)
    *(uint64_t *)value = bytes ? device_bytes_used((int)(uintptr_t)pool - 1) : 0;
  else *(int *)value = 0;
  return cudaSuccess;
}

EXPORT cudaError_t cudaMemPoolSetAccess(cudaMemPool_t pool, const struct cudaMemAccessDesc *list, size_t n) {
  (void)pool, (void)list, (void)n;
  return cudaSuccess;
}

EXPORT cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t bytes) {
  (void)pool, (void)bytes;
  return cudaSuccess;
}

EXPORT cudaError_t cudaDeviceGetGraphMemAttribute(int device, enum cudaGraphMemAttributeType attribute, void *value) {
  (void)device, (void)attribute;
  *(uint64_t *)value = 0; /* graphs allocate nothing of their own here */
  return cudaSuccess;
}

EXPORT cudaError_t cudaDeviceSetGraphMemAttribute(int device, enum cudaGraphMemAttributeType attribute, void *value) {
  (void)device, (void)attribute, (void)value;
  return cudaSuccess;
}

/* ---- the driver's names ---- */

EXPORT CUresult cuMemGetAddressRange_v2(CUdeviceptr *start, size_t *bytes, CUdeviceptr address) {
  pthread_mutex_lock(&lock);
  struct block *block = block_of((void *)address);
  if (block && start) *start = (CUdeviceptr)(uintptr_t)block->start;
  if (block && bytes) *bytes = block->bytes;
  pthread_mutex_unlock(&lock);
  return block ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) { return (CUresult)cudaMalloc((void **)address, bytes); }
EXPORT CUresult cuMemFree_v2(CUdeviceptr address) { return (CUresult)cudaFree((void *)address); }
EXPORT CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total) { return (CUresult)cudaMemGetInfo(free_bytes, total); }

EXPORT CUresult cuPointerGetAttribute(void *value, CUpointer_attribute attribute, CUdeviceptr address) {
  int device;
  enum place place = place_of((void *)address, &device);
  if (place == PLACE_PAGEABLE) return CUDA_ERROR_INVALID_VALUE;
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT: *(void **)value = (void *)(uintptr_t)(device + 1); break;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      *(unsigned *)value = place == PLACE_PINNED ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
      break;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER: *(CUdeviceptr *)value = address; break;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER: *(void **)value = (void *)address; break;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED: *(unsigned *)value = place == PLACE_MANAGED; break;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *(int *)value = device; break;
    default: unmodelled("cuPointerGetAttribute"); return CUDA_ERROR_NOT_SUPPORTED;
  }
  return CUDA_SUCCESS;
}
