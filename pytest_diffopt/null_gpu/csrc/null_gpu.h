/* What the parts of the null GPU share. Nothing here is exported except through the functions marked EXPORT. */
#ifndef NULL_GPU_H
#define NULL_GPU_H

#include <cuda.h>
#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

/* ---- counters.c ---- */

/* Order and meaning are mirrored by TallyKind in counters.py. */
enum tally_kind {
  TALLY_KERNEL,
  TALLY_GRAPH_KERNEL,
  TALLY_LIBRARY_CALL,
  TALLY_GRAPH_LIBRARY_CALL,
  TALLY_GRAPH_LAUNCH,
  TALLY_COPY,
  TALLY_SKIPPED_COPY,
  TALLY_FILL,
  TALLY_ALLOCATION,
  TALLY_SYNC,
  TALLY_UNMODELLED,
  TALLY_HOST_CALLBACK,
};

struct tally {
  enum tally_kind kind;
  const char *name;
  long count;
  long bytes;
  struct tally *next;
};

/* The tally of a kind under a name; made at its first use, valid for the life of the process. */
struct tally *find_tally(enum tally_kind kind, const char *name);
void count(struct tally *tally, size_t bytes);
void count_named(enum tally_kind kind, const char *name, size_t bytes);
/* Records an entry point that is not modelled. */
void unmodelled(const char *name);
/* Records a call that makes the host wait for the device, and calls the hook that was installed for it. */
void host_sync(const char *api);
/* Whether what this thread does is left out of all counters. */
int muted(void);

/* ---- device.c ---- */

struct gpu {
  char name[96];
  int capability; /* 90 for 9.0 */
  int multiprocessors;
  int shared_per_block_optin, shared_per_multiprocessor;
  int max_threads_per_multiprocessor, max_blocks_per_multiprocessor;
  size_t l2_bytes, memory_bytes;
  int memory_bus_bits, clock_khz, memory_clock_khz;
};

enum { MAX_DEVICES = 8 };
extern struct gpu gpu;
extern int device_count;
int current_device(void);
void device_uuid(int index, unsigned char *bytes);
/* The value of a device attribute; cudaDevAttr and CU_DEVICE_ATTRIBUTE share their numbers. */
int device_attribute(int attribute);

/* ---- errors.c ---- */

/* Remembers an error as the thread's last one, as the runtime does, and returns it. */
cudaError_t fail(cudaError_t error);

/* ---- memory.c ---- */

enum place { PLACE_PAGEABLE, PLACE_DEVICE, PLACE_PINNED, PLACE_MANAGED };
enum place place_of(const void *pointer, int *device);
size_t device_bytes_used(int device);
cudaError_t allocate_device(void **pointer, size_t bytes);

/* ---- copies.c ---- */

/* Moves the bytes and counts the copy. */
void copy_bytes(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind);
void fill_bytes(void *to, int value, size_t width, size_t units);
enum cudaMemcpyKind resolve_kind(const void *to, const void *from, enum cudaMemcpyKind kind);
/* Whether this thread's last call was a copy that blocked on the stream; forgets it. */
int already_waited(cudaStream_t stream);
void forget_wait(void);

/* ---- streams.c, events.c, capture.c ---- */

struct capture;
struct stream;

enum node_type { NODE_KERNEL, NODE_LIBRARY, NODE_COPY, NODE_FILL, NODE_HOST, NODE_GRAPH, NODE_EMPTY };

struct node {
  enum node_type type;
  struct tally *direct, *in_graph; /* kernel, library call */
  void *to;                        /* copy, fill */
  const void *from;
  size_t bytes;
  size_t rows, to_pitch, from_pitch; /* copy: 1 row unless it is two-dimensional */
  enum cudaMemcpyKind kind;
  int value;      /* fill */
  size_t width;   /* fill: bytes of one unit */
  cudaHostFn_t function; /* host */
  void *argument;
  struct graph *graph; /* child graph */
  size_t duration;     /* for the virtual clock, the number of what was learned */
  long fixed_ns;       /* a kernel that spins for a given time */
};

/* Runs a node now, or records it if the stream captures; keeps CUDA's rules for both. */
cudaError_t enqueue(cudaStream_t stream, const struct node *node);
void run_node(struct stream *stream, const struct node *node, int in_graph);
/* The error of an API call that a capture prohibits in this thread; it invalidates the captures. */
cudaError_t prohibited_by_capture(void);
/* The error of a call that waits for a stream, for the whole device (any_stream), or 0. */
cudaError_t check_stream_sync(cudaStream_t stream);
cudaError_t check_device_sync(void);
int is_capturing(cudaStream_t stream);

/* ---- graphs.c ---- */

struct graph {
  struct node *nodes;
  size_t length, room;
  struct user_object **objects;
  size_t n_objects;
};
struct graph *new_graph(void);
void add_node(struct graph *graph, const struct node *node);
void run_graph(struct stream *stream, const struct graph *graph);

/* ---- kernels.c ---- */

/* Gives a kernel's handle a name; the name must live as long as the process. */
void name_kernel(const void *handle, const char *name);
cudaError_t launch_kernel(const void *handle, void **arguments, cudaStream_t stream);

/* ---- libraries.c ---- */

/* What every handle and descriptor of a library starts with. */
struct handle {
  cudaStream_t stream;
  int type;
  char summary[160];
  int64_t values[24];
  void *links[4];
};
struct handle *new_handle(void);
cudaError_t library_call(const char *name, const char *shape, cudaStream_t stream);

#endif
