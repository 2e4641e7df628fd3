/* Zeros on the host, without memory where the system can give them on demand: offloaded weights are never read. */
#define _GNU_SOURCE /* for madvise */
#include "zeros.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WORTH_LOOKING_BYTES = 1 << 20 }; /* reading the list of mappings takes as long as writing some of them */

/* Whether one private mapping without a file holds the bytes: its pages are zero once they have been given up. */
static int is_anonymous(uintptr_t start, uintptr_t end) {
  FILE *maps = fopen("/proc/self/maps", "re");
  if (!maps) return 0;
  char line[512];
  int found = 0;
  while (!found && fgets(line, sizeof line, maps)) {
    uintptr_t from, to;
    unsigned long inode;
    char access[5];
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*x %*s %lu", &from, &to, access, &inode) != 4) continue;
    if (from > start) break; /* sorted by address */
    found = end <= to && !inode && access[1] == 'w' && access[3] == 'p';
  }
  fclose(maps);
  return found;
}

void write_zeros(void *to, size_t bytes) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)to;
  uintptr_t first = (start + page - 1) / page * page, last = (start + bytes) / page * page;
  if (bytes < WORTH_LOOKING_BYTES || !is_anonymous(first, last) || madvise((void *)first, last - first, MADV_DONTNEED)) {
    memset(to, 0, bytes);
    return;
  }
  memset(to, 0, first - start);
  memset((void *)last, 0, start + bytes - last);
}
