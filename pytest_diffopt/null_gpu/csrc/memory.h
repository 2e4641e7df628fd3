/* The blocks of memory that the process has: what memory.c and virtual_memory.c share. */
#ifndef NULL_GPU_MEMORY_H
#define NULL_GPU_MEMORY_H

#include "null_gpu.h"

#include <sys/mman.h>

struct block {
  char *start;
  size_t bytes;
  size_t counted; /* what it takes from the device's memory */
  enum place place;
  int device;
  int owned; /* whether cudaFree or cudaFreeHost unmaps it */
};

extern size_t used_bytes[MAX_DEVICES];

void insert_block(struct block block);
/* Takes the block that starts at the address out of the list; its size is 0 when there is none. */
struct block remove_block(const void *start);
/* Address space without memory; NULL if there is none. */
void *reserve(size_t bytes, int protection);

#endif
