/* Zeros on the host, without memory where the system can give them on demand. */
#ifndef NULL_GPU_ZEROS_H
#define NULL_GPU_ZEROS_H

#include <stddef.h>

void write_zeros(void *to, size_t bytes);

#endif
