/* Streams, events and captures: what streams.c, events.c and capture.c share. */
#ifndef NULL_GPU_STREAMS_H
#define NULL_GPU_STREAMS_H

#include "null_gpu.h"

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
  long clock_ns; /* the end of its work on the virtual clock */
  struct capture *capture;
  int joined; /* while it captures: whether the origin waits for all that it recorded */
  struct stream *next;
};

struct event {
  int device;
  long recorded_ns; /* 0: never */
  long clock_ns;    /* when its record happens on the virtual clock */
  struct capture *capture;
  struct stream *stream;
};

extern struct stream *all_streams;   /* guarded by stream_lock */
extern struct capture *all_captures; /* guarded by stream_lock */
extern pthread_mutex_t stream_lock;

/* The stream of a handle, NULL for a handle that is none. */
struct stream *stream_of(cudaStream_t handle);
int is_legacy(const struct stream *stream);
unsigned long long next_id(void);
cudaError_t invalidate(struct capture *capture, cudaError_t error);
int is_going_on(const struct capture *capture);
/* The error of work on the legacy stream while a blocking stream captures. */
cudaError_t implicit_dependency(const struct stream *stream);

#endif
