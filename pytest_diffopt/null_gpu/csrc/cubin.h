/* Compiled kernels (cubin.c). */
#ifndef NULL_GPU_CUBIN_H
#define NULL_GPU_CUBIN_H

#include "null_gpu.h"

/* What a thread of a kernel needs; -1 where it is not known. */
struct needs {
  int registers, local_bytes;
};

/* The needs of a kernel of an image; unknown for an image that is no ELF file, such as PTX. */
struct needs cubin_needs(const void *image, const char *kernel);
/* A copy of an image in memory, or of a file; NULL if it is no ELF file, or cannot be read. */
void *cubin_copy(const void *image);
void *cubin_read(const char *path);

#endif
