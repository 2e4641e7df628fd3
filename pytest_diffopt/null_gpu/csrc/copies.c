/* Copies and fills: the bytes are moved up to a limit; what is read back of a longer copy is zero. */
#include "answers.h"
#include "clock.h"
#include "zeros.h"

#include <stdint.h>

enum { STAGED_BYTES = 64 << 10 }; /* CUDA stages an upload of up to 64 KiB from pageable memory without waiting */

static size_t copy_limit = (size_t)4 << 20;

enum { SCALAR_BYTES = 8 };

static int memory_is_read;

/* ---- set through ctypes by computing.py ---- */

EXPORT void null_gpu_copy_limit(size_t bytes) { copy_limit = bytes; }

/* Without values a scalar is read as zero; with values memory is read as it is. */
EXPORT void null_gpu_read_memory(int on) { memory_is_read = on; }

/* ---- tapes: what the thread read back in one call, for calls of the same kind that compute no values ---- */

struct taped_read {
  size_t bytes;
  void *data;
};

struct tape {
  struct taped_read *reads;
  size_t length, room, position;
  int differs;
};

enum tape_mode { TAPE_OFF, TAPE_RECORDS, TAPE_REPLAYS };

static __thread enum tape_mode tape_mode;
static __thread struct tape *tape;

EXPORT struct tape *null_gpu_new_tape(void) { return calloc(1, sizeof(struct tape)); }

static void clear_tape(struct tape *of) {
  while (of->length) free(of->reads[--of->length].data);
}

EXPORT void null_gpu_free_tape(struct tape *of) {
  clear_tape(of);
  free(of->reads);
  free(of);
}

/* Use a tape in this thread: a recording begins with an empty tape, a replay at the tape's start. */
EXPORT void null_gpu_use_tape(struct tape *of, int mode) {
  tape = of;
  tape_mode = (enum tape_mode)mode;
  of->position = 0;
  of->differs = 0;
  if (mode == TAPE_RECORDS) clear_tape(of);
}

/* Whether the reads since the start of the replay differ from those on the tape, in number or size. */
EXPORT int null_gpu_tape_differs(void) { return tape->differs || tape->position != tape->length; }

/* Replace the last read: its conversion was computed afterwards. */
EXPORT void null_gpu_amend_tape(const void *data, size_t bytes) {
  if (tape_mode != TAPE_RECORDS || !tape->length) return;
  struct taped_read *last = &tape->reads[tape->length - 1];
  if (last->bytes == bytes) memcpy(last->data, data, bytes);
}

static void append_to_tape(const void *data, size_t bytes) {
  if (tape->length == tape->room) {
    size_t room = tape->room ? 2 * tape->room : 64;
    struct taped_read *longer = realloc(tape->reads, room * sizeof *longer);
    if (!longer) return;
    tape->reads = longer;
    tape->room = room;
  }
  void *copy = malloc(bytes);
  if (copy) tape->reads[tape->length++] = (struct taped_read){.bytes = bytes, .data = memcpy(copy, data, bytes)};
}

static int read_tape(void *to, size_t bytes) {
  if (tape->position >= tape->length || tape->reads[tape->position].bytes != bytes) {
    tape->differs = 1;
    return 0;
  }
  memcpy(to, tape->reads[tape->position++].data, bytes);
  return 1;
}

/* ---- moving ---- */

static int reads_zero(size_t bytes) {
  if (bytes > copy_limit) return 1;
  return bytes <= SCALAR_BYTES && !memory_is_read && answering() == ANSWERS_OFF;
}

static void read_back(void *to, const void *from, size_t bytes) {
  if (tape_mode == TAPE_REPLAYS && read_tape(to, bytes)) return;
  if (answering() == ANSWERS_GIVEN) answer(to, bytes);
  else if (reads_zero(bytes)) write_zeros(to, bytes);
  else memmove(to, from, bytes);
  if (tape_mode == TAPE_RECORDS) append_to_tape(to, bytes);
}

static const char *direction(enum cudaMemcpyKind kind) {
  static const char *const names[] = {"host to host", "host to device", "device to host", "device to device"};
  return names[kind & 3];
}

void copy_bytes(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
  if (!bytes) return;
  count_named(TALLY_COPY, direction(kind), bytes);
  if (bytes > copy_limit) count_named(TALLY_SKIPPED_COPY, direction(kind), bytes);
  if (kind == cudaMemcpyDeviceToHost) read_back(to, from, bytes);
  else if (kind == cudaMemcpyHostToHost || bytes <= copy_limit) memmove(to, from, bytes);
}

enum cudaMemcpyKind resolve_kind(const void *to, const void *from, enum cudaMemcpyKind kind) {
  if (kind != cudaMemcpyDefault) return kind;
  int from_device = place_of(from, NULL) == PLACE_DEVICE, to_device = place_of(to, NULL) == PLACE_DEVICE;
  if (from_device) return to_device ? cudaMemcpyDeviceToDevice : cudaMemcpyDeviceToHost;
  return to_device ? cudaMemcpyHostToDevice : cudaMemcpyHostToHost;
}

void fill_bytes(void *to, int value, size_t width, size_t units) {
  count_named(TALLY_FILL, "fill", width * units);
  if (width * units > copy_limit) return;
  for (size_t i = 0; i < units; i++) memcpy((char *)to + i * width, &value, width);
}

static cudaError_t enqueue_copy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream) {
  struct node node = {.type = NODE_COPY, .to = to, .from = from, .bytes = bytes, .rows = 1,
                      .kind = resolve_kind(to, from, kind)};
  return enqueue(stream, &node);
}

/* Whether an asynchronous copy blocks the host all the same, because of pageable memory. */
static int blocks_host(const void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
  if (kind == cudaMemcpyDeviceToHost) return place_of(to, NULL) == PLACE_PAGEABLE;
  return kind == cudaMemcpyHostToDevice && bytes > STAGED_BYTES && place_of(from, NULL) == PLACE_PAGEABLE;
}

/* ---- the entry points ---- */

EXPORT cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
  kind = resolve_kind(to, from, kind);
  cudaError_t error = prohibited_by_capture();
  if (!error) error = enqueue_copy(to, from, bytes, kind, cudaStreamLegacy);
  if (!error && kind != cudaMemcpyDeviceToDevice && kind != cudaMemcpyHostToHost) {
    clock_sync_stream("cudaMemcpy", cudaStreamLegacy);
    host_sync("cudaMemcpy");
  }
  return error;
}

/* The stream on which this thread's last call was a copy that blocked: a sync right after it waits for nothing. */
static __thread cudaStream_t waited_for;
static __thread int just_waited;

int already_waited(cudaStream_t stream) {
  int already = just_waited && waited_for == stream;
  just_waited = 0;
  return already;
}

void forget_wait(void) { just_waited = 0; }

EXPORT cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream) {
  kind = resolve_kind(to, from, kind);
  cudaError_t error = enqueue_copy(to, from, bytes, kind, stream);
  if (error || is_capturing(stream) || !blocks_host(to, from, bytes, kind)) return error;
  const char *api =
      kind == cudaMemcpyDeviceToHost ? "cudaMemcpyAsync to pageable memory" : "cudaMemcpyAsync from pageable memory";
  clock_sync_stream(api, stream);
  host_sync(api);
  waited_for = stream;
  just_waited = 1;
  return cudaSuccess;
}

EXPORT cudaError_t cudaMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device, size_t bytes,
                                       cudaStream_t stream) {
  (void)to_device, (void)from_device;
  return enqueue_copy(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
}

EXPORT cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                                     size_t height, enum cudaMemcpyKind kind, cudaStream_t stream) {
  struct node node = {.type = NODE_COPY, .to = to, .from = from, .bytes = width, .rows = height, .to_pitch = to_pitch,
                      .from_pitch = from_pitch, .kind = resolve_kind(to, from, kind)};
  return enqueue(stream, &node);
}

static cudaError_t enqueue_fill(void *to, int value, size_t width, size_t units, cudaStream_t stream) {
  struct node node = {.type = NODE_FILL, .to = to, .value = value, .width = width, .bytes = units};
  return enqueue(stream, &node);
}

EXPORT cudaError_t cudaMemset(void *to, int value, size_t bytes) {
  cudaError_t error = prohibited_by_capture();
  return error ? error : enqueue_fill(to, value, 1, bytes, cudaStreamLegacy);
}

EXPORT cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream) {
  return enqueue_fill(to, value, 1, bytes, stream);
}

EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t n, CUstream stream) {
  return (CUresult)enqueue_fill((void *)to, value, 1, n, (cudaStream_t)stream);
}

EXPORT CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t n, CUstream stream) {
  return (CUresult)enqueue_fill((void *)to, (int)value, 4, n, (cudaStream_t)stream);
}

EXPORT CUresult cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr to, cuuint32_t value, unsigned flags) {
  (void)flags;
  return cuMemsetD32Async(to, value, 1, stream);
}

EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t n) {
  return (CUresult)cudaMemcpy((void *)to, from, n, cudaMemcpyHostToDevice);
}

EXPORT CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t n) {
  return (CUresult)cudaMemcpy(to, (void *)from, n, cudaMemcpyDeviceToHost);
}

EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t n, CUstream stream) {
  return (CUresult)cudaMemcpyAsync((void *)to, from, n, cudaMemcpyHostToDevice, (cudaStream_t)stream);
}

EXPORT CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t n, CUstream stream) {
  return (CUresult)cudaMemcpyAsync(to, (void *)from, n, cudaMemcpyDeviceToHost, (cudaStream_t)stream);
}

EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream stream) {
  return (CUresult)cudaMemcpyAsync((void *)to, (void *)from, n, cudaMemcpyDeviceToDevice, (cudaStream_t)stream);
}
