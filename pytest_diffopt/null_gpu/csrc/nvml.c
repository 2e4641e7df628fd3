/* NVML: a calm GPU at its full clock, used by this process alone. No header of NVML is needed: its interface is plain. */
#include "null_gpu.h"

#include <stdio.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };
enum { CLOCK_MEMORY = 2 };
enum { IDLE_MILLIWATTS = 75000, TEMPERATURE_CELSIUS = 35 };

typedef void *device_t; /* the device's number, counted from 1 */

static int index_of(device_t device) { return (int)(uintptr_t)device - 1; }

EXPORT int nvmlInit_v2(void) { return device_count ? SUCCESS : 9; /* the driver is not loaded */ }
EXPORT int nvmlInitWithFlags(unsigned flags) {
  (void)flags;
  return nvmlInit_v2();
}
EXPORT int nvmlShutdown(void) { return SUCCESS; }

EXPORT const char *nvmlErrorString(int error) { return error ? "not modelled by the null GPU" : "Success"; }

EXPORT int nvmlSystemGetDriverVersion(char *text, unsigned room) {
  snprintf(text, room, "0.0 (null GPU)");
  return SUCCESS;
}

EXPORT int nvmlSystemGetCudaDriverVersion_v2(int *version) { return cudaDriverGetVersion(version) ? NOT_FOUND : SUCCESS; }
EXPORT int nvmlSystemGetCudaDriverVersion(int *version) { return nvmlSystemGetCudaDriverVersion_v2(version); }

EXPORT int nvmlSystemGetProcessName(unsigned pid, char *text, unsigned room) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%u/exe", pid);
  ssize_t n = readlink(path, text, room ? room - 1 : 0);
  if (n < 0) return NOT_FOUND;
  text[n] = 0;
  return SUCCESS;
}

EXPORT int nvmlDeviceGetCount_v2(unsigned *n) {
  *n = (unsigned)device_count; /* NVML knows no CUDA_VISIBLE_DEVICES */
  return SUCCESS;
}

EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *device) {
  *device = (device_t)(uintptr_t)(index + 1);
  return index < (unsigned)device_count ? SUCCESS : INVALID_ARGUMENT;
}

EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, device_t *device) {
  unsigned domain, number;
  if (sscanf(bus, "%x:%x:", &domain, &number) != 2 || number < 1) return NOT_FOUND;
  return nvmlDeviceGetHandleByIndex_v2(number - 1, device);
}

EXPORT int nvmlDeviceGetUUID(device_t device, char *text, unsigned room) {
  unsigned char b[16];
  device_uuid(index_of(device), b);
  snprintf(text, room, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
           b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
  return SUCCESS;
}

EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, device_t *device) {
  for (unsigned i = 0; i < (unsigned)device_count; i++) {
    char text[64];
    nvmlDeviceGetHandleByIndex_v2(i, device);
    nvmlDeviceGetUUID(*device, text, sizeof text);
    if (!strcmp(text, uuid)) return SUCCESS;
  }
  return NOT_FOUND;
}

EXPORT int nvmlDeviceGetIndex(device_t device, unsigned *index) {
  *index = (unsigned)index_of(device);
  return SUCCESS;
}

EXPORT int nvmlDeviceGetName(device_t device, char *text, unsigned room) {
  (void)device;
  snprintf(text, room, "%s", gpu.name);
  return SUCCESS;
}

EXPORT int nvmlDeviceGetCudaComputeCapability(device_t device, int *major, int *minor) {
  (void)device;
  *major = gpu.capability / 10;
  *minor = gpu.capability % 10;
  return SUCCESS;
}

struct memory {
  unsigned long long total, free, used;
};

EXPORT int nvmlDeviceGetMemoryInfo(device_t device, struct memory *memory) {
  size_t used = device_bytes_used(index_of(device));
  *memory = (struct memory){gpu.memory_bytes, gpu.memory_bytes - used, used};
  return SUCCESS;
}

EXPORT int nvmlDeviceGetClockInfo(device_t device, int clock, unsigned *mhz) {
  (void)device;
  *mhz = (unsigned)(clock == CLOCK_MEMORY ? gpu.memory_clock_khz : gpu.clock_khz) / 1000;
  return SUCCESS;
}

EXPORT int nvmlDeviceGetMaxClockInfo(device_t device, int clock, unsigned *mhz) {
  return nvmlDeviceGetClockInfo(device, clock, mhz);
}

EXPORT int nvmlDeviceGetApplicationsClock(device_t device, int clock, unsigned *mhz) {
  return nvmlDeviceGetClockInfo(device, clock, mhz);
}

EXPORT int nvmlDeviceGetCurrentClocksEventReasons(device_t device, unsigned long long *reasons) {
  (void)device;
  *reasons = 0;
  return SUCCESS;
}

EXPORT int nvmlDeviceGetCurrentClocksThrottleReasons(device_t device, unsigned long long *reasons) {
  return nvmlDeviceGetCurrentClocksEventReasons(device, reasons);
}

EXPORT int nvmlDeviceGetPowerUsage(device_t device, unsigned *milliwatts) {
  (void)device;
  *milliwatts = IDLE_MILLIWATTS;
  return SUCCESS;
}

EXPORT int nvmlDeviceGetTemperature(device_t device, int sensor, unsigned *celsius) {
  (void)device, (void)sensor;
  *celsius = TEMPERATURE_CELSIUS;
  return SUCCESS;
}

struct utilization {
  unsigned gpu_percent, memory_percent;
};

EXPORT int nvmlDeviceGetUtilizationRates(device_t device, struct utilization *utilization) {
  (void)device;
  *utilization = (struct utilization){0, 0};
  return SUCCESS;
}

EXPORT int nvmlDeviceGetPersistenceMode(device_t device, int *mode) {
  (void)device;
  *mode = 1;
  return SUCCESS;
}

/* ---- processes: this one alone ---- */

struct process_v1 {
  unsigned pid;
  unsigned long long used;
};

struct process_v3 {
  unsigned pid;
  unsigned long long used;
  unsigned gpu_instance, compute_instance;
};

EXPORT int nvmlDeviceGetComputeRunningProcesses(device_t device, unsigned *n, struct process_v1 *processes) {
  unsigned room = *n;
  *n = 1;
  if (!room || !processes) return INSUFFICIENT_SIZE;
  processes[0] = (struct process_v1){(unsigned)getpid(), device_bytes_used(index_of(device))};
  return SUCCESS;
}

EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(device_t device, unsigned *n, struct process_v3 *processes) {
  unsigned room = *n;
  *n = 1;
  if (!room || !processes) return INSUFFICIENT_SIZE;
  processes[0] = (struct process_v3){(unsigned)getpid(), device_bytes_used(index_of(device)), ~0u, ~0u};
  return SUCCESS;
}

EXPORT int nvmlDeviceGetProcessUtilization(device_t device, void *samples, unsigned *n, unsigned long long since) {
  (void)device, (void)samples, (void)since;
  *n = 0;
  return NOT_FOUND; /* NVML's own answer where no process was busy */
}

EXPORT int nvmlDeviceGetNvLinkRemoteDeviceType(device_t device, unsigned link, int *type) {
  (void)device, (void)link;
  *type = 255; /* unknown */
  return NOT_SUPPORTED;
}

/* ---- what torch looks up and asserts to find: links and fabric, which this GPU lacks ---- */

EXPORT int nvmlDeviceGetNvLinkRemotePciInfo_v2(device_t device, unsigned link, void *info) {
  (void)device, (void)link, (void)info;
  return NOT_SUPPORTED;
}

struct fabric {
  unsigned version;
  unsigned char cluster[16];
  int status;
  unsigned clique;
  unsigned char state; /* 0: not supported */
};

EXPORT int nvmlDeviceGetGpuFabricInfoV(device_t device, struct fabric *fabric) {
  (void)device;
  *fabric = (struct fabric){.version = fabric->version};
  return SUCCESS;
}
