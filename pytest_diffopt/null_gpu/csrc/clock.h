/* The virtual clock (clock.c): what the other files tell it, and the entries of its log. */
#ifndef NULL_GPU_CLOCK_H
#define NULL_GPU_CLOCK_H

#include "streams.h"

/* Order and meaning are mirrored by EntryType in clock.py. */
enum entry_type { ENTRY_WORK, ENTRY_GRAPH_WORK, ENTRY_RECORD, ENTRY_WAIT, ENTRY_SYNC };

#define ALL_STREAMS ((unsigned long long)-1)

struct entry {
  enum entry_type type;
  const char *name;
  unsigned long long stream; /* a sync of an event: 0; of the device: ALL_STREAMS */
  const struct event *event; /* record, wait, and a sync of an event */
  long host_ns;              /* the machine's clock, without what the host has waited on the virtual one */
  long device_ns;            /* work */
};

int clock_runs(void);
/* The host's clock: the machine's, and what it has waited on the virtual one. */
long clock_now_ns(void);
/* The number under which a duration is learned for this work; 0 unless the clock learns. */
size_t clock_learn(const struct node *node);
void clock_work(struct stream *stream, const struct node *node, int in_graph);
void clock_record(struct event *event, struct stream *stream);
void clock_stream_waits(struct stream *stream, struct event *event);
void clock_sync_stream(const char *api, cudaStream_t stream);
void clock_sync_event(const char *api, const struct event *event);
void clock_sync_device(const char *api);

#endif
