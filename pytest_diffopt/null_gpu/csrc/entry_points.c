/* The driver's entry points by name: torch, Triton and static runtimes ask for them while the process runs. */
#define _GNU_SOURCE
#include "null_gpu.h"

#include <dlfcn.h>
#include <stdio.h>

/* Older names come first in a header's history: the version that this library has may end in _v2 or _v3. */
static void *find(const char *symbol) {
  static const char *const endings[] = {"", "_v2", "_v3"};
  char name[128];
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    snprintf(name, sizeof name, "%s%s", symbol, endings[i]);
    void *found = dlsym(RTLD_DEFAULT, name);
    if (found) return found;
  }
  return NULL;
}

static void *find_or_report(const char *symbol) {
  void *found = find(symbol);
  if (found) return found;
  char text[160];
  snprintf(text, sizeof text, "%s (looked up)", symbol);
  unmodelled(text);
  return NULL;
}

EXPORT cudaError_t cudaGetDriverEntryPointByVersion(const char *symbol, void **function, unsigned version,
                                                    unsigned long long flags, enum cudaDriverEntryPointQueryResult *result) {
  (void)version, (void)flags;
  *function = find_or_report(symbol);
  if (result) *result = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return *function || result ? cudaSuccess : fail(cudaErrorSymbolNotFound);
}

EXPORT cudaError_t cudaGetDriverEntryPoint(const char *symbol, void **function, unsigned long long flags,
                                           enum cudaDriverEntryPointQueryResult *result) {
  return cudaGetDriverEntryPointByVersion(symbol, function, CUDART_VERSION, flags, result);
}

EXPORT CUresult cuGetProcAddress_v2(const char *symbol, void **function, int version, cuuint64_t flags,
                                    CUdriverProcAddressQueryResult *result) {
  (void)version, (void)flags;
  *function = find_or_report(symbol);
  if (result) *result = *function ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

/* A library with a runtime of its own inside (flash-attn, xformers) asks for tables that NVIDIA does not document. */
EXPORT CUresult cuGetExportTable(const void **table, const CUuuid *id) {
  (void)id;
  *table = NULL;
  unmodelled("cuGetExportTable (a library with a statically linked CUDA runtime)");
  return CUDA_ERROR_NOT_SUPPORTED;
}

#if CUDA_VERSION >= 12090
/* The driver's log, to which a driver that does nothing writes nothing. */
EXPORT CUresult cuLogsRegisterCallback(CUlogsCallback function, void *argument, CUlogsCallbackHandle *handle) {
  (void)function, (void)argument;
  if (handle) *handle = (CUlogsCallbackHandle)(uintptr_t)1;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuLogsUnregisterCallback(CUlogsCallbackHandle handle) {
  (void)handle;
  return CUDA_SUCCESS;
}
#endif
