/* Virtual memory, which torch's expandable segments use: address space and physical memory are separate. */
#define _GNU_SOURCE
#include "memory.h"

struct physical {
  size_t bytes;
  int device;
};

EXPORT CUresult cuMemGetAllocationGranularity(size_t *bytes, const CUmemAllocationProp *properties,
                                              CUmemAllocationGranularity_flags option) {
  (void)properties, (void)option;
  *bytes = 2 << 20;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemAddressReserve(CUdeviceptr *address, size_t bytes, size_t alignment, CUdeviceptr wish,
                                    unsigned long long flags) {
  (void)alignment, (void)wish, (void)flags;
  void *start = reserve(bytes, PROT_NONE);
  *address = (CUdeviceptr)(uintptr_t)start;
  return start ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

EXPORT CUresult cuMemAddressFree(CUdeviceptr address, size_t bytes) {
  return munmap((void *)address, bytes) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

EXPORT CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t bytes, const CUmemAllocationProp *properties,
                            unsigned long long flags) {
  (void)flags;
  int device = properties->location.id;
  if (device < 0 || device >= device_count) return CUDA_ERROR_INVALID_DEVICE;
  if (bytes > gpu.memory_bytes - device_bytes_used(device)) return CUDA_ERROR_OUT_OF_MEMORY;
  count_named(TALLY_ALLOCATION, "cuMemCreate", bytes);
  __atomic_add_fetch(&used_bytes[device], bytes, __ATOMIC_RELAXED);
  struct physical *physical = malloc(sizeof *physical);
  *physical = (struct physical){bytes, device};
  *handle = (CUmemGenericAllocationHandle)(uintptr_t)physical;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  struct physical *physical = (void *)(uintptr_t)handle;
  count_named(TALLY_ALLOCATION, "cuMemRelease", physical->bytes);
  __atomic_sub_fetch(&used_bytes[physical->device], physical->bytes, __ATOMIC_RELAXED);
  free(physical);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemMap(CUdeviceptr address, size_t bytes, size_t offset, CUmemGenericAllocationHandle handle,
                         unsigned long long flags) {
  (void)offset, (void)flags;
  struct physical *physical = (void *)(uintptr_t)handle;
  if (mprotect((void *)address, bytes, PROT_READ | PROT_WRITE)) return CUDA_ERROR_INVALID_VALUE;
  insert_block((struct block){(char *)address, bytes, 0, PLACE_DEVICE, physical->device, 0});
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemSetAccess(CUdeviceptr address, size_t bytes, const CUmemAccessDesc *list, size_t n) {
  (void)address, (void)bytes, (void)list, (void)n;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemUnmap(CUdeviceptr address, size_t bytes) {
  for (char *at = (char *)address; at < (char *)address + bytes;) {
    struct block block = remove_block(at);
    if (!block.bytes) return CUDA_ERROR_INVALID_VALUE;
    at += block.bytes;
  }
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  void *start = mmap((void *)address, bytes, PROT_NONE, flags, -1, 0); /* gives the pages back */
  return start == MAP_FAILED ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}
