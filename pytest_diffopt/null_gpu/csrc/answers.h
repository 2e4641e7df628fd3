/* The numbers that an operation reads back which its kernels did not write (answers.c). */
#ifndef NULL_GPU_ANSWERS_H
#define NULL_GPU_ANSWERS_H

#include "null_gpu.h"

enum answering { ANSWERS_OFF, ANSWERS_IN_MEMORY, ANSWERS_GIVEN };

/* How this thread reads device memory back. */
enum answering answering(void);
/* Writes the next number, or zero. */
void answer(void *to, size_t bytes);

#endif
