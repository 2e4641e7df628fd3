/* Streams and their capture, under the rules of CUDA's programming guide ("Prohibited and Unhandled Operations").
 *
 * The device does its work at once: nothing is ever pending, so that waiting returns at once, and is counted. */
#include "null_gpu.h"

enum { STREAM_MAGIC = 0x57e4 };

struct capture {
  struct graph *graph;
  struct stream *origin;
  enum cudaStreamCaptureMode mode;
  pthread_t thread;
  unsigned long long id;
  int invalid;
  int owns_graph;
  struct capture *next;
};

struct stream {
  int magic;
  int device;
  int non_blocking;
  int priority;
  unsigned long long id;
  struct capture *capture;
  int joined; /* while it captures: whether the origin waits for all that it recorded */
  struct stream *next;
};

struct event {
  int device;
  long recorded_ns; /* 0: never */
  struct capture *capture;
  struct stream *stream;
};

static struct stream *streams;    /* all that exist */
static struct capture *captures;  /* all that are going on */
static struct stream legacy[MAX_DEVICES];
static __thread struct stream per_thread[MAX_DEVICES];
static __thread enum cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;
static unsigned long long last_id = 2;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct stream *stream_of(cudaStream_t handle) {
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

static int is_legacy(const struct stream *stream) { return stream == &legacy[stream->device]; }

/* ---- what a capture prohibits ---- */

static cudaError_t invalidate(struct capture *capture, cudaError_t error) {
  capture->invalid = 1;
  return fail(error);
}

/* Whether a capture prohibits potentially unsafe calls in this thread: cudaThreadExchangeStreamCaptureMode's rules. */
static int prohibits(const struct capture *capture) {
  if (thread_mode == cudaStreamCaptureModeRelaxed || capture->mode == cudaStreamCaptureModeRelaxed) return 0;
  if (pthread_equal(capture->thread, pthread_self())) return 1;
  return thread_mode == cudaStreamCaptureModeGlobal && capture->mode == cudaStreamCaptureModeGlobal;
}

cudaError_t prohibited_by_capture(void) {
  cudaError_t error = cudaSuccess;
  if (!__atomic_load_n(&captures, __ATOMIC_ACQUIRE)) return error;
  pthread_mutex_lock(&lock);
  for (struct capture *c = captures; c; c = c->next)
    if (prohibits(c)) error = invalidate(c, cudaErrorStreamCaptureUnsupported);
  pthread_mutex_unlock(&lock);
  return error;
}

/* Work on the legacy stream depends on every blocking stream of the device: on one that captures it cannot. */
static cudaError_t blocking_capture(const struct stream *stream, int invalidates) {
  cudaError_t error = cudaSuccess;
  if (!__atomic_load_n(&captures, __ATOMIC_ACQUIRE)) return error;
  pthread_mutex_lock(&lock);
  for (struct stream *s = streams; s; s = s->next)
    if (s->capture && !s->non_blocking && s->device == stream->device) {
      s->capture->invalid |= invalidates;
      error = fail(cudaErrorStreamCaptureImplicit);
    }
  pthread_mutex_unlock(&lock);
  return error;
}

static cudaError_t implicit_dependency(const struct stream *stream) { return blocking_capture(stream, 1); }

cudaError_t check_stream_sync(cudaStream_t handle) {
  struct stream *stream = stream_of(handle);
  if (!stream) return fail(cudaErrorInvalidResourceHandle);
  if (stream->capture) return invalidate(stream->capture, cudaErrorStreamCaptureUnsupported);
  cudaError_t error = is_legacy(stream) ? implicit_dependency(stream) : cudaSuccess;
  return error ? error : prohibited_by_capture();
}

cudaError_t check_device_sync(void) {
  cudaError_t error = cudaSuccess;
  pthread_mutex_lock(&lock);
  for (struct capture *c = captures; c; c = c->next)
    if (c->origin->device == current_device()) error = invalidate(c, cudaErrorStreamCaptureUnsupported);
  pthread_mutex_unlock(&lock);
  return error;
}

int is_capturing(cudaStream_t handle) {
  struct stream *stream = stream_of(handle);
  return stream && stream->capture;
}

cudaError_t enqueue(cudaStream_t handle, const struct node *node) {
  forget_wait();
  struct stream *stream = stream_of(handle);
  if (!stream) return fail(cudaErrorInvalidResourceHandle);
  if (stream->capture) {
    if (stream->capture->invalid) return fail(cudaErrorStreamCaptureInvalidated);
    add_node(stream->capture->graph, node);
    stream->joined = 0;
    return cudaSuccess;
  }
  cudaError_t error = is_legacy(stream) ? implicit_dependency(stream) : cudaSuccess;
  if (!error) run_node(node, 0);
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
  pthread_mutex_lock(&lock);
  stream->id = ++last_id;
  stream->next = streams;
  streams = stream;
  pthread_mutex_unlock(&lock);
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
  pthread_mutex_lock(&lock);
  for (struct stream **at = &streams; *at; at = &(*at)->next)
    if (*at == stream) {
      *at = stream->next;
      break;
    }
  pthread_mutex_unlock(&lock);
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
  if (!error && !already_waited(handle)) host_sync("cudaStreamSynchronize");
  return error;
}

EXPORT cudaError_t cudaDeviceSynchronize(void) {
  cudaError_t error = check_device_sync();
  if (!error) error = prohibited_by_capture();
  if (!error) host_sync("cudaDeviceSynchronize");
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

/* ---- events ---- */

#include <time.h>

static long now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000L + time.tv_nsec;
}

EXPORT cudaError_t cudaEventCreateWithFlags(cudaEvent_t *result, unsigned flags) {
  (void)flags;
  if (!device_count) return fail(cudaErrorNoDevice);
  struct event *event = calloc(1, sizeof *event);
  event->device = current_device();
  *result = (cudaEvent_t)event;
  return cudaSuccess;
}

EXPORT cudaError_t cudaEventCreate(cudaEvent_t *event) { return cudaEventCreateWithFlags(event, 0); }

EXPORT cudaError_t cudaEventDestroy(cudaEvent_t event) {
  free(event);
  return cudaSuccess;
}

EXPORT cudaError_t cudaEventRecordWithFlags(cudaEvent_t handle, cudaStream_t stream_handle, unsigned flags) {
  struct event *event = (struct event *)handle;
  struct stream *stream = stream_of(stream_handle);
  if (!stream || !event) return fail(cudaErrorInvalidResourceHandle);
  if (stream->capture && stream->capture->invalid) return fail(cudaErrorStreamCaptureInvalidated);
  cudaError_t error = is_legacy(stream) ? implicit_dependency(stream) : cudaSuccess;
  if (error) return error;
  int external = stream->capture && (flags & cudaEventRecordExternal);
  event->capture = external ? NULL : stream->capture;
  event->stream = stream;
  event->recorded_ns = now_ns();
  return cudaSuccess;
}

EXPORT cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return cudaEventRecordWithFlags(event, stream, 0);
}

static int going_on(const struct capture *capture) {
  pthread_mutex_lock(&lock);
  struct capture *c = captures;
  while (c && c != capture) c = c->next;
  pthread_mutex_unlock(&lock);
  return c != NULL;
}

static cudaError_t check_event(const struct event *event) {
  if (!event) return fail(cudaErrorInvalidResourceHandle);
  if (event->capture && going_on(event->capture)) return invalidate(event->capture, cudaErrorCapturedEvent);
  return prohibited_by_capture();
}

EXPORT cudaError_t cudaEventQuery(cudaEvent_t event) { return check_event((struct event *)event); }

EXPORT cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  cudaError_t error = check_event((struct event *)event);
  if (!error) host_sync("cudaEventSynchronize");
  return error;
}

/* Host time between the two records: there is no GPU time here. */
EXPORT cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start_handle, cudaEvent_t end_handle) {
  struct event *start = (struct event *)start_handle, *end = (struct event *)end_handle;
  if (!start || !end || !start->recorded_ns || !end->recorded_ns) return fail(cudaErrorInvalidResourceHandle);
  *ms = (float)(end->recorded_ns - start->recorded_ns) / 1e6f;
  return cudaSuccess;
}

static cudaError_t wait_while_capturing(struct stream *stream, struct event *event, unsigned flags) {
  struct capture *capture = stream->capture;
  if (capture->invalid) return fail(cudaErrorStreamCaptureInvalidated);
  if (event->capture == capture) {
    if (event->stream != stream) event->stream->joined = 1;
    stream->joined = 0;
    return cudaSuccess;
  }
  if (event->capture && going_on(event->capture)) {
    event->capture->invalid = 1;
    return invalidate(capture, cudaErrorStreamCaptureMerge);
  }
  if (!event->recorded_ns || flags & cudaEventWaitExternal) return cudaSuccess;
  return invalidate(capture, cudaErrorStreamCaptureIsolation);
}

EXPORT cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned flags) {
  struct stream *stream = stream_of(handle);
  struct event *event = (struct event *)event_handle;
  if (!stream || !event) return fail(cudaErrorInvalidResourceHandle);
  if (stream->capture) return wait_while_capturing(stream, event, flags);
  if (!event->capture || !going_on(event->capture)) return cudaSuccess;
  if (is_legacy(stream)) return invalidate(event->capture, cudaErrorStreamCaptureImplicit);
  stream->capture = event->capture; /* it joins the capture that the event was recorded in */
  stream->joined = 0;
  event->stream->joined = 1;
  return cudaSuccess;
}

/* ---- capture ---- */

static cudaError_t begin_capture(cudaStream_t handle, struct graph *graph, enum cudaStreamCaptureMode mode) {
  struct stream *stream = stream_of(handle);
  if (!stream) return fail(cudaErrorInvalidResourceHandle);
  if (is_legacy(stream)) return fail(cudaErrorStreamCaptureUnsupported);
  if (stream->capture) return fail(cudaErrorIllegalState);
  struct capture *capture = calloc(1, sizeof *capture);
  *capture = (struct capture){.graph = graph ? graph : new_graph(), .origin = stream, .mode = mode,
                              .thread = pthread_self(), .owns_graph = !graph};
  pthread_mutex_lock(&lock);
  capture->id = ++last_id;
  capture->next = captures;
  __atomic_store_n(&captures, capture, __ATOMIC_RELEASE);
  stream->capture = capture;
  stream->joined = 1;
  pthread_mutex_unlock(&lock);
  return cudaSuccess;
}

EXPORT cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) {
  return begin_capture(stream, NULL, mode);
}

/* Takes the capture from the list and its streams; returns whether one of these had work that nothing waits for. */
static int dissolve(struct capture *capture) {
  int unjoined = 0;
  pthread_mutex_lock(&lock);
  for (struct stream *s = streams; s; s = s->next)
    if (s->capture == capture) {
      unjoined |= s != capture->origin && !s->joined;
      s->capture = NULL;
    }
  capture->origin->capture = NULL; /* a thread's own stream is not in the list */
  for (struct capture **at = &captures; *at; at = &(*at)->next)
    if (*at == capture) {
      *at = capture->next;
      break;
    }
  pthread_mutex_unlock(&lock);
  return unjoined;
}

EXPORT cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t *result) {
  struct stream *stream = stream_of(handle);
  *result = NULL;
  if (!stream) return fail(cudaErrorInvalidResourceHandle);
  struct capture *capture = stream->capture;
  if (!capture) return fail(cudaErrorIllegalState);
  if (capture->origin != stream) return invalidate(capture, cudaErrorStreamCaptureUnmatched);
  if (capture->mode != cudaStreamCaptureModeRelaxed && !pthread_equal(capture->thread, pthread_self()))
    return invalidate(capture, cudaErrorStreamCaptureWrongThread);
  int unjoined = dissolve(capture);
  cudaError_t error = capture->invalid ? cudaErrorStreamCaptureInvalidated : unjoined ? cudaErrorStreamCaptureUnjoined : 0;
  if (!error) *result = (cudaGraph_t)capture->graph;
  /* The record stays: an event may refer to it, and a new one at its address would be taken for it. */
  return fail(error);
}

EXPORT cudaError_t cudaStreamIsCapturing(cudaStream_t handle, enum cudaStreamCaptureStatus *status) {
  struct stream *stream = stream_of(handle);
  if (!stream) return fail(cudaErrorInvalidResourceHandle);
  *status = !stream->capture            ? cudaStreamCaptureStatusNone
            : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
  return is_legacy(stream) ? blocking_capture(stream, 0) : cudaSuccess;
}

static cudaError_t capture_info(cudaStream_t handle, enum cudaStreamCaptureStatus *status, unsigned long long *id,
                                cudaGraph_t *graph, const cudaGraphNode_t **dependencies, size_t *n) {
  static const cudaGraphNode_t none[1];
  cudaError_t error = cudaStreamIsCapturing(handle, status);
  if (error || *status == cudaStreamCaptureStatusNone) return error;
  struct capture *capture = stream_of(handle)->capture;
  if (id) *id = capture->id;
  if (graph) *graph = (cudaGraph_t)capture->graph;
  if (dependencies) *dependencies = none;
  if (n) *n = 0; /* a graph is a list here: no dependencies are kept */
  return cudaSuccess;
}

#if CUDART_VERSION >= 13000
EXPORT cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, enum cudaStreamCaptureStatus *status,
                                            unsigned long long *id, cudaGraph_t *graph,
                                            const cudaGraphNode_t **dependencies, const cudaGraphEdgeData **edges, size_t *n) {
  if (edges) *edges = NULL;
  return capture_info(stream, status, id, graph, dependencies, n);
}

EXPORT cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t stream, cudaGraphNode_t *dependencies,
                                                       const cudaGraphEdgeData *edges, size_t n, unsigned flags) {
  (void)dependencies, (void)edges, (void)n, (void)flags;
  return is_capturing(stream) ? cudaSuccess : fail(cudaErrorIllegalState);
}
#else
EXPORT cudaError_t cudaStreamGetCaptureInfo_v2(cudaStream_t stream, enum cudaStreamCaptureStatus *status,
                                               unsigned long long *id, cudaGraph_t *graph,
                                               const cudaGraphNode_t **dependencies, size_t *n) {
  return capture_info(stream, status, id, graph, dependencies, n);
}

EXPORT cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t stream, cudaGraphNode_t *dependencies, size_t n,
                                                       unsigned flags) {
  (void)dependencies, (void)n, (void)flags;
  return is_capturing(stream) ? cudaSuccess : fail(cudaErrorIllegalState);
}
#endif

#if CUDART_VERSION >= 12030
EXPORT cudaError_t cudaStreamBeginCaptureToGraph(cudaStream_t stream, cudaGraph_t graph, const cudaGraphNode_t *dependencies,
                                                 const cudaGraphEdgeData *edges, size_t n, enum cudaStreamCaptureMode mode) {
  (void)dependencies, (void)edges, (void)n;
  return begin_capture(stream, (struct graph *)graph, mode);
}
#endif

EXPORT cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode) {
  enum cudaStreamCaptureMode before = thread_mode;
  thread_mode = *mode;
  *mode = before;
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
EXPORT CUresult cuEventCreate(CUevent *event, unsigned flags) {
  return (CUresult)cudaEventCreateWithFlags((cudaEvent_t *)event, flags);
}
EXPORT CUresult cuEventRecord(CUevent event, CUstream stream) {
  return (CUresult)cudaEventRecord((cudaEvent_t)event, (cudaStream_t)stream);
}
EXPORT CUresult cuEventSynchronize(CUevent event) { return (CUresult)cudaEventSynchronize((cudaEvent_t)event); }
EXPORT CUresult cuEventQuery(CUevent event) { return (CUresult)cudaEventQuery((cudaEvent_t)event); }
EXPORT CUresult cuEventDestroy_v2(CUevent event) { return (CUresult)cudaEventDestroy((cudaEvent_t)event); }
EXPORT CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status) {
  return (CUresult)cudaStreamIsCapturing((cudaStream_t)stream, (enum cudaStreamCaptureStatus *)status);
}
