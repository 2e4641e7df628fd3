/* The virtual clock: durations that a model gave to work, what streams and the host would wait for, and a log of both.
 *
 * Kernels compute nothing and take no time. While the clock runs, each piece of work adds its modelled duration to the
 * clock of its stream, a synchronizing call moves the host's clock to that of the stream, and the host's own time runs on.
 *
 * Durations are learned in one call and used in the next one of the same kind, so that the model costs no host time while
 * the clock runs. One thread drives the device meanwhile. */
#include "clock.h"

#include <time.h>

enum clock_mode { CLOCK_OFF, CLOCK_LEARNS, CLOCK_RUNS };

/* One piece of work outside of graphs, in the order in which a thread enqueued it, or one node of a graph. */
struct duration {
  const struct tally *tally;
  long ns;
};

static enum clock_mode mode;
static struct duration *durations; /* the first one is unused: a node without a duration has the number 0 */
static size_t n_durations = 1, room;
static size_t next_duration, last_duration;
static int differs;
static const char *learned_name, *enqueued_name; /* of the first work that differs */
static double ns_per_byte[5]; /* by the kind of copy; fills */
static long shift_ns;         /* how far the host's clock is ahead of the machine's: what it has waited */
static long latest_ns;        /* the end of all work so far */
static struct entry *entries;
static size_t n_entries, entry_room;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static long machine_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000L + time.tv_nsec;
}

int clock_runs(void) { return mode == CLOCK_RUNS && !muted(); }

long clock_now_ns(void) { return machine_ns() + (mode == CLOCK_RUNS ? shift_ns : 0); }

static struct entry *new_entry(enum entry_type type, const char *name, unsigned long long stream) {
  if (n_entries == entry_room) {
    size_t larger = entry_room ? 2 * entry_room : 1 << 14;
    struct entry *longer = realloc(entries, larger * sizeof *longer);
    if (!longer) abort();
    entries = longer;
    entry_room = larger;
  }
  struct entry *entry = &entries[n_entries++];
  *entry = (struct entry){.type = type, .name = name, .stream = stream, .host_ns = machine_ns()};
  return entry;
}

/* ---- durations ---- */

size_t clock_learn(const struct node *node) {
  if (mode != CLOCK_LEARNS || muted() || node->duration || !node->direct) return node->duration;
  pthread_mutex_lock(&lock);
  if (n_durations >= room) {
    room = room ? 2 * room : 1 << 14;
    durations = realloc(durations, room * sizeof *durations);
    if (!durations) abort();
  }
  size_t number = n_durations++;
  durations[number] = (struct duration){node->direct, 0};
  pthread_mutex_unlock(&lock);
  return number;
}

/* The next piece of work that was learned; it must have the same name. */
static long next_ns(const struct tally *tally) {
  int is_more = next_duration >= last_duration;
  if (is_more || durations[next_duration].tally != tally) {
    if (!differs) {
      learned_name = is_more ? NULL : durations[next_duration].tally->name;
      enqueued_name = tally->name;
    }
    differs = 1;
    return 0;
  }
  return durations[next_duration++].ns;
}

static long ns_of(const struct node *node, int in_graph) {
  if (node->fixed_ns) {
    if (!in_graph) next_ns(node->direct);
    return node->fixed_ns;
  }
  if (node->type == NODE_COPY) return (long)(ns_per_byte[node->kind & 3] * (double)(node->bytes * node->rows));
  if (node->type == NODE_FILL) return (long)(ns_per_byte[4] * (double)(node->bytes * node->width));
  if (!node->direct) return 0;
  return in_graph ? durations[node->duration].ns : next_ns(node->direct);
}

/* ---- work, events, waiting ---- */

void clock_work(struct stream *stream, const struct node *node, int in_graph) {
  if (!clock_runs() || node->type == NODE_GRAPH || node->type == NODE_EMPTY || node->type == NODE_HOST) return;
  static const char *const names[] = {[NODE_COPY] = "copy", [NODE_FILL] = "fill"};
  const char *name = node->direct ? node->direct->name : names[node->type];
  pthread_mutex_lock(&lock);
  struct entry *entry = new_entry(in_graph ? ENTRY_GRAPH_WORK : ENTRY_WORK, name, stream->id);
  entry->device_ns = ns_of(node, in_graph);
  long host = entry->host_ns + shift_ns;
  stream->clock_ns = (stream->clock_ns > host ? stream->clock_ns : host) + entry->device_ns;
  if (stream->clock_ns > latest_ns) latest_ns = stream->clock_ns;
  pthread_mutex_unlock(&lock);
}

void clock_record(struct event *event, struct stream *stream) {
  if (!clock_runs()) {
    event->clock_ns = clock_now_ns();
    return;
  }
  pthread_mutex_lock(&lock);
  struct entry *entry = new_entry(ENTRY_RECORD, "event", stream->id);
  entry->event = event;
  long now = entry->host_ns + shift_ns;
  event->clock_ns = stream->clock_ns > now ? stream->clock_ns : now;
  pthread_mutex_unlock(&lock);
}

void clock_stream_waits(struct stream *stream, struct event *event) {
  if (!clock_runs()) return;
  pthread_mutex_lock(&lock);
  new_entry(ENTRY_WAIT, "event", stream->id)->event = event;
  if (event->clock_ns > stream->clock_ns) stream->clock_ns = event->clock_ns;
  pthread_mutex_unlock(&lock);
}

/* The host waits until a time; the entry says for what. */
static void host_waits(const char *api, unsigned long long stream, const struct event *event, long until_ns) {
  pthread_mutex_lock(&lock);
  struct entry *entry = new_entry(ENTRY_SYNC, api, stream);
  entry->event = event;
  long wait_ns = until_ns - (entry->host_ns + shift_ns);
  if (wait_ns > 0) shift_ns += wait_ns;
  pthread_mutex_unlock(&lock);
}

void clock_sync_stream(const char *api, cudaStream_t handle) {
  struct stream *stream = clock_runs() ? stream_of(handle) : NULL;
  if (stream) host_waits(api, stream->id, NULL, stream->clock_ns);
}

void clock_sync_event(const char *api, const struct event *event) {
  if (clock_runs()) host_waits(api, 0, event, event->clock_ns);
}

void clock_sync_device(const char *api) {
  if (clock_runs()) host_waits(api, ALL_STREAMS, NULL, latest_ns);
}

/* ---- called through ctypes by clock.py ---- */

/* Start or stop to learn; returns whether the clock learned before. */
EXPORT int null_gpu_clock_learn(int on) {
  int before = mode == CLOCK_LEARNS;
  mode = on ? CLOCK_LEARNS : CLOCK_OFF;
  return before;
}

EXPORT void null_gpu_clock_stop(void) { mode = CLOCK_OFF; }

/* How many durations there are; the next work that is learned has this number. */
EXPORT size_t null_gpu_clock_durations(void) { return n_durations; }

EXPORT void null_gpu_clock_set_duration(size_t number, long ns) {
  if (number && number < n_durations) durations[number].ns = ns;
}

EXPORT void null_gpu_clock_set_copies(int kind, double ns_for_a_byte) { ns_per_byte[kind] = ns_for_a_byte; }

/* Run the clock from now on, with the durations from `first` to before `last`; the log begins. */
EXPORT void null_gpu_clock_run(size_t first, size_t last) {
  n_entries = 0;
  next_duration = first;
  last_duration = last;
  differs = 0;
  learned_name = enqueued_name = NULL;
  shift_ns = latest_ns = 0;
  mode = CLOCK_RUNS;
}

/* Whether the work since then differs from what was learned, in number or in names. */
EXPORT int null_gpu_clock_differs(void) { return differs || next_duration != last_duration; }

/* What was learned, and what was enqueued instead: the first work that differs; NULL where there is none. */
EXPORT const char *null_gpu_clock_learned(void) {
  if (!differs && next_duration < last_duration) return durations[next_duration].tally->name;
  return learned_name;
}

EXPORT const char *null_gpu_clock_enqueued(void) { return enqueued_name; }

EXPORT size_t null_gpu_clock_log(const struct entry **rows) {
  *rows = entries;
  return n_entries;
}

EXPORT long null_gpu_clock_now_ns(void) { return clock_now_ns(); }
