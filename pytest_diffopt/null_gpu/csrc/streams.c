/* Streams, and work on them. The device does its work at once: nothing is ever pending, so that waiting returns at once,
 * and is counted. */
#include "clock.h"

enum { STREAM_MAGIC = 0x57e4 };

struct stream *all_streams;
struct capture *all_captures;
pthread_mutex_t stream_lock = PTHREAD_MUTEX_INITIALIZER;
static struct stream legacy[MAX_DEVICES];
static __thread struct stream per_thread[MAX_DEVICES];
static unsigned long long last_id = 2;

struct stream *stream_of(cudaStream_t handle) {
  int device = current_device();
  if (!handle || handle == cudaStreamLegacy) {
    legacy[device].magic = STREAM_MAGIC;
    legacy[device].device = device;
    return &legacy[device];
  }
  if (handle == cudaStreamPerThread) {
    per_thread[device].magic = STREAM_MAGIC;
    per_thread[device].device = device;
    return &per_thread[device];
  }
  struct stream *stream = (struct stream *)handle;
  return stream->magic == STREAM_MAGIC ? stream : NULL;
}

int is_legacy(const struct stream *stream) { return stream == &legacy[stream->device]; }

unsigned long long next_id(void) { return __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED); }

/* ---- work ---- */

cudaError_t enqueue(cudaStream_t handle, const struct node *node) {
  forget_wait();
  struct stream *stream = stream_of(handle);
  if (!stream) return fail(cudaErrorInvalidResourceHandle);
  struct node work = *node;
  work.duration = clock_learn(node);
  if (stream->capture) {
    if (stream->capture->invalid) return fail(cudaErrorStreamCaptureInvalidated);
    add_node(stream->capture->graph, &work);
    stream->joined = 0;
    return cudaSuccess;
  }
  cudaError_t error = is_legacy(stream) ? implicit_dependency(stream) : cudaSuccess;
  if (!error) run_node(stream, &work, 0);
  return error;
}

/* ---- streams ---- */

static cudaError_t create_stream(cudaStream_t *result, unsigned flags, int priority) {
  if (!device_count) return fail(cudaErrorNoDevice);
  struct stream *stream = calloc(1, sizeof *stream);
  stream->magic = STREAM_MAGIC;
  stream->device = current_device();
  stream->non_blocking = flags & cudaStreamNonBlocking;
  stream->priority = priority;
  pthread_mutex_lock(&stream_lock);
  stream->id = next_id();
  stream->next = all_streams;
  all_streams = stream;
  pthread_mutex_unlock(&stream_lock);
  *result = (cudaStream_t)stream;
  return cudaSuccess;
}

EXPORT cudaError_t cudaStreamCreate(cudaStream_t *stream) { return create_stream(stream, 0, 0); }

EXPORT cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) { return create_stream(stream, flags, 0); }

EXPORT cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int priority) {
  return create_stream(stream, flags, priority);
}

EXPORT cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  struct stream *stream = stream_of(handle);
  if (!stream || is_legacy(stream)) return fail(cudaErrorInvalidResourceHandle);
  pthread_mutex_lock(&stream_lock);
  for (struct stream **at = &all_streams; *at; at = &(*at)->next)
    if (*at == stream) {
      *at = stream->next;
      break;
    }
  pthread_mutex_unlock(&stream_lock);
  stream->magic = 0; /* kept: a later use of the handle is an error and not a crash */
  return cudaSuccess;
}

EXPORT cudaError_t cudaStreamGetPriority(cudaStream_t handle, int *priority) {
  struct stream *stream = stream_of(handle);
  if (!stream) return fail(cudaErrorInvalidResourceHandle);
  *priority = stream->priority;
  return cudaSuccess;
}

EXPORT cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned *flags) {
  struct stream *stream = stream_of(handle);
  if (!stream) return fail(cudaErrorInvalidResourceHandle);
  *flags = stream->non_blocking ? cudaStreamNonBlocking : cudaStreamDefault;
  return cudaSuccess;
}

EXPORT cudaError_t cudaStreamGetId(cudaStream_t handle, unsigned long long *id) {
  struct stream *stream = stream_of(handle);
  if (!stream) return fail(cudaErrorInvalidResourceHandle);
  *id = stream->id;
  return cudaSuccess;
}

EXPORT cudaError_t cudaStreamQuery(cudaStream_t handle) { return check_stream_sync(handle); }

EXPORT cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  cudaError_t error = check_stream_sync(handle);
  if (!error && !already_waited(handle)) {
    clock_sync_stream("cudaStreamSynchronize", handle);
    host_sync("cudaStreamSynchronize");
  }
  return error;
}

EXPORT cudaError_t cudaDeviceSynchronize(void) {
  cudaError_t error = check_device_sync();
  if (!error) error = prohibited_by_capture();
  if (!error) {
    clock_sync_device("cudaDeviceSynchronize");
    host_sync("cudaDeviceSynchronize");
  }
  return error;
}

EXPORT cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *argument) {
  struct node node = {.type = NODE_HOST, .function = function, .argument = argument};
  return enqueue(stream, &node);
}

EXPORT cudaError_t cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t callback, void *argument, unsigned flags) {
  (void)flags;
  if (is_capturing(stream)) return check_stream_sync(stream);
  count_named(TALLY_HOST_CALLBACK, "cudaStreamAddCallback", 0);
  callback(stream, cudaSuccess, argument);
  return cudaSuccess;
}

/* ---- the driver's names ---- */

EXPORT CUresult cuStreamSynchronize(CUstream stream) { return (CUresult)cudaStreamSynchronize((cudaStream_t)stream); }
EXPORT CUresult cuCtxSynchronize(void) { return (CUresult)cudaDeviceSynchronize(); }
EXPORT CUresult cuStreamCreate(CUstream *stream, unsigned flags) {
  return (CUresult)create_stream((cudaStream_t *)stream, flags, 0);
}
EXPORT CUresult cuStreamDestroy_v2(CUstream stream) { return (CUresult)cudaStreamDestroy((cudaStream_t)stream); }
EXPORT CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
  return (CUresult)cudaStreamWaitEvent((cudaStream_t)stream, (cudaEvent_t)event, flags);
}
EXPORT CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status) {
  return (CUresult)cudaStreamIsCapturing((cudaStream_t)stream, (enum cudaStreamCaptureStatus *)status);
}
