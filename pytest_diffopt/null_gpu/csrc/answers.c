/* What a thread reads back of the device while an operation runs whose kernels wrote nothing: numbers that were
 * computed before it, and then zero. Blocks may be nested, as operations are. */
#include "answers.h"
#include "zeros.h"

enum { SCALAR_BYTES = 8, NUMBERS = 64, DEPTH = 32 };

struct answers {
  int are_in_memory;
  int64_t numbers[NUMBERS];
  int length, next, missing;
};

static __thread struct answers blocks[DEPTH];
static __thread int depth;

static struct answers *innermost(void) { return &blocks[(depth < DEPTH ? depth : DEPTH) - 1]; }

/* ---- called through ctypes by values/answering.py ---- */

/* Until null_gpu_end_answers(), what this thread reads back is one of the numbers, in order, and then zero. */
EXPORT void null_gpu_begin_answers(const int64_t *numbers, int n) {
  depth++;
  struct answers *block = innermost();
  *block = (struct answers){.length = n < NUMBERS ? n : NUMBERS};
  memcpy(block->numbers, numbers, (size_t)block->length * sizeof *numbers);
}

/* Until null_gpu_end_answers(), this thread reads memory as it is. */
EXPORT void null_gpu_begin_memory(void) {
  depth++;
  *innermost() = (struct answers){.are_in_memory = 1};
}

/* Ends the innermost block, and returns how often zero was read for want of a number. */
EXPORT int null_gpu_end_answers(void) {
  int missing = innermost()->missing;
  depth--;
  return missing;
}

/* ---- for copies.c ---- */

enum answering answering(void) {
  if (!depth) return ANSWERS_OFF;
  return innermost()->are_in_memory ? ANSWERS_IN_MEMORY : ANSWERS_GIVEN;
}

void answer(void *to, size_t bytes) {
  struct answers *block = innermost();
  int is_known = bytes <= SCALAR_BYTES && block->next < block->length;
  int64_t number = is_known ? block->numbers[block->next++] : 0;
  block->missing += !is_known;
  write_zeros(to, bytes);
  memcpy(to, &number, bytes < sizeof number ? bytes : sizeof number); /* both architectures are little-endian */
}
