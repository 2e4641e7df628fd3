/* Events: when they were recorded, by the host's clock or by the virtual one, and in which capture. */
#include "clock.h"

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
  event->recorded_ns = clock_now_ns();
  if (!event->capture) clock_record(event, stream);
  return cudaSuccess;
}

EXPORT cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return cudaEventRecordWithFlags(event, stream, 0);
}

static cudaError_t check_event(const struct event *event) {
  if (!event) return fail(cudaErrorInvalidResourceHandle);
  if (event->capture && is_going_on(event->capture)) return invalidate(event->capture, cudaErrorCapturedEvent);
  return prohibited_by_capture();
}

EXPORT cudaError_t cudaEventQuery(cudaEvent_t event) { return check_event((struct event *)event); }

EXPORT cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  cudaError_t error = check_event((struct event *)event);
  if (!error) {
    clock_sync_event("cudaEventSynchronize", (struct event *)event);
    host_sync("cudaEventSynchronize");
  }
  return error;
}

/* The time between the two records by the virtual clock, if it runs; else host time, because there is no GPU time. */
EXPORT cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start_handle, cudaEvent_t end_handle) {
  struct event *start = (struct event *)start_handle, *end = (struct event *)end_handle;
  if (!start || !end || !start->recorded_ns || !end->recorded_ns) return fail(cudaErrorInvalidResourceHandle);
  *ms = (float)(end->clock_ns - start->clock_ns) / 1e6f;
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
  if (event->capture && is_going_on(event->capture)) {
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
  if (!event->capture || !is_going_on(event->capture)) {
    clock_stream_waits(stream, event);
    return cudaSuccess;
  }
  if (is_legacy(stream)) return invalidate(event->capture, cudaErrorStreamCaptureImplicit);
  stream->capture = event->capture; /* it joins the capture that the event was recorded in */
  stream->joined = 0;
  event->stream->joined = 1;
  return cudaSuccess;
}

/* ---- the driver's names ---- */

EXPORT CUresult cuEventCreate(CUevent *event, unsigned flags) {
  return (CUresult)cudaEventCreateWithFlags((cudaEvent_t *)event, flags);
}
EXPORT CUresult cuEventRecord(CUevent event, CUstream stream) {
  return (CUresult)cudaEventRecord((cudaEvent_t)event, (cudaStream_t)stream);
}
EXPORT CUresult cuEventSynchronize(CUevent event) { return (CUresult)cudaEventSynchronize((cudaEvent_t)event); }
EXPORT CUresult cuEventQuery(CUevent event) { return (CUresult)cudaEventQuery((cudaEvent_t)event); }
EXPORT CUresult cuEventDestroy_v2(CUevent event) { return (CUresult)cudaEventDestroy((cudaEvent_t)event); }
