/* Capture, under the rules of CUDA's programming guide ("Prohibited and Unhandled Operations"). */
#include "streams.h"

static __thread enum cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

/* ---- what a capture prohibits ---- */

cudaError_t invalidate(struct capture *capture, cudaError_t error) {
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
  if (!__atomic_load_n(&all_captures, __ATOMIC_ACQUIRE)) return error;
  pthread_mutex_lock(&stream_lock);
  for (struct capture *c = all_captures; c; c = c->next)
    if (prohibits(c)) error = invalidate(c, cudaErrorStreamCaptureUnsupported);
  pthread_mutex_unlock(&stream_lock);
  return error;
}

/* Work on the legacy stream depends on every blocking stream of the device: on one that captures it cannot. */
static cudaError_t blocking_capture(const struct stream *stream, int invalidates) {
  cudaError_t error = cudaSuccess;
  if (!__atomic_load_n(&all_captures, __ATOMIC_ACQUIRE)) return error;
  pthread_mutex_lock(&stream_lock);
  for (struct stream *s = all_streams; s; s = s->next)
    if (s->capture && !s->non_blocking && s->device == stream->device) {
      s->capture->invalid |= invalidates;
      error = fail(cudaErrorStreamCaptureImplicit);
    }
  pthread_mutex_unlock(&stream_lock);
  return error;
}

cudaError_t implicit_dependency(const struct stream *stream) { return blocking_capture(stream, 1); }

cudaError_t check_stream_sync(cudaStream_t handle) {
  struct stream *stream = stream_of(handle);
  if (!stream) return fail(cudaErrorInvalidResourceHandle);
  if (stream->capture) return invalidate(stream->capture, cudaErrorStreamCaptureUnsupported);
  cudaError_t error = is_legacy(stream) ? implicit_dependency(stream) : cudaSuccess;
  return error ? error : prohibited_by_capture();
}

cudaError_t check_device_sync(void) {
  cudaError_t error = cudaSuccess;
  pthread_mutex_lock(&stream_lock);
  for (struct capture *c = all_captures; c; c = c->next)
    if (c->origin->device == current_device()) error = invalidate(c, cudaErrorStreamCaptureUnsupported);
  pthread_mutex_unlock(&stream_lock);
  return error;
}

int is_capturing(cudaStream_t handle) {
  struct stream *stream = stream_of(handle);
  return stream && stream->capture;
}

int is_going_on(const struct capture *capture) {
  pthread_mutex_lock(&stream_lock);
  struct capture *c = all_captures;
  while (c && c != capture) c = c->next;
  pthread_mutex_unlock(&stream_lock);
  return c != NULL;
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
  pthread_mutex_lock(&stream_lock);
  capture->id = next_id();
  capture->next = all_captures;
  __atomic_store_n(&all_captures, capture, __ATOMIC_RELEASE);
  stream->capture = capture;
  stream->joined = 1;
  pthread_mutex_unlock(&stream_lock);
  return cudaSuccess;
}

EXPORT cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) {
  return begin_capture(stream, NULL, mode);
}

/* Takes the capture from the list and its streams; returns whether one of these had work that nothing waits for. */
static int dissolve(struct capture *capture) {
  int unjoined = 0;
  pthread_mutex_lock(&stream_lock);
  for (struct stream *s = all_streams; s; s = s->next)
    if (s->capture == capture) {
      unjoined |= s != capture->origin && !s->joined;
      s->capture = NULL;
    }
  capture->origin->capture = NULL; /* a thread's own stream is not in the list */
  for (struct capture **at = &all_captures; *at; at = &(*at)->next)
    if (*at == capture) {
      *at = capture->next;
      break;
    }
  pthread_mutex_unlock(&stream_lock);
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
