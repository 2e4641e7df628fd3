/* Counters: one tally for each kind and name, the mute of a thread, and the hook for host-device synchronization. */
#include "null_gpu.h"

enum { BUCKETS = 1 << 14 };

static struct tally *buckets[BUCKETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int mute_depth;
static void (*sync_hook)(const char *api);

static unsigned hash_of(enum tally_kind kind, const char *name) {
  unsigned hash = 2166136261u ^ (unsigned)kind;
  for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 16777619u;
  return hash % BUCKETS;
}

struct tally *find_tally(enum tally_kind kind, const char *name) {
  struct tally **bucket = &buckets[hash_of(kind, name)];
  pthread_mutex_lock(&lock);
  struct tally *found = *bucket;
  while (found && (found->kind != kind || strcmp(found->name, name))) found = found->next;
  if (!found) {
    found = calloc(1, sizeof *found);
    found->kind = kind;
    found->name = strdup(name);
    found->next = *bucket;
    *bucket = found;
  }
  pthread_mutex_unlock(&lock);
  return found;
}

int muted(void) { return mute_depth > 0; }

void count(struct tally *tally, size_t bytes) {
  if (mute_depth) return;
  __atomic_add_fetch(&tally->count, 1, __ATOMIC_RELAXED);
  __atomic_add_fetch(&tally->bytes, (long)bytes, __ATOMIC_RELAXED);
}

void count_named(enum tally_kind kind, const char *name, size_t bytes) {
  if (!mute_depth) count(find_tally(kind, name), bytes);
}

void unmodelled(const char *name) { count_named(TALLY_UNMODELLED, name, 0); }

void host_sync(const char *api) {
  if (mute_depth) return;
  count_named(TALLY_SYNC, api, 0);
  void (*hook)(const char *) = __atomic_load_n(&sync_hook, __ATOMIC_ACQUIRE);
  if (hook) hook(api);
}

/* ---- read through ctypes by counters.py ---- */

struct row {
  int kind;
  const char *name;
  long count, bytes;
};

/* Writes the tallies that are not zero, at most `room` of them, and returns how many there are. */
EXPORT size_t null_gpu_tallies(struct row *rows, size_t room) {
  size_t n = 0;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < BUCKETS; i++)
    for (struct tally *t = buckets[i]; t; t = t->next) {
      if (!t->count) continue;
      if (n < room) rows[n] = (struct row){(int)t->kind, t->name, t->count, t->bytes};
      n++;
    }
  pthread_mutex_unlock(&lock);
  return n;
}

EXPORT void null_gpu_mute(int by) { mute_depth += by; }

EXPORT void null_gpu_on_sync(void (*hook)(const char *)) { __atomic_store_n(&sync_hook, hook, __ATOMIC_RELEASE); }
