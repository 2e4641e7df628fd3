/* cuFFT: its plans are numbers, so that their streams are kept in a table. */
#include "null_gpu.h"

#include <cufft.h>
#include <cufftXt.h>

enum { PLANS = 1 << 14 };

static cudaStream_t plan_streams[PLANS];
static char plan_used[PLANS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int is_plan(cufftHandle plan) { return plan > 0 && plan < PLANS && plan_used[plan]; }

EXPORT cufftResult cufftCreate(cufftHandle *plan) {
  pthread_mutex_lock(&lock);
  int i = 1;
  while (i < PLANS && plan_used[i]) i++;
  if (i < PLANS) plan_used[i] = 1, plan_streams[i] = NULL;
  pthread_mutex_unlock(&lock);
  *plan = i;
  return i < PLANS ? CUFFT_SUCCESS : CUFFT_ALLOC_FAILED;
}

EXPORT cufftResult cufftDestroy(cufftHandle plan) {
  if (!is_plan(plan)) return CUFFT_INVALID_PLAN;
  plan_used[plan] = 0;
  return CUFFT_SUCCESS;
}

EXPORT cufftResult cufftSetStream(cufftHandle plan, cudaStream_t stream) {
  if (!is_plan(plan)) return CUFFT_INVALID_PLAN;
  plan_streams[plan] = stream;
  return CUFFT_SUCCESS;
}

EXPORT cufftResult cufftSetAutoAllocation(cufftHandle plan, int on) {
  (void)on;
  return is_plan(plan) ? CUFFT_SUCCESS : CUFFT_INVALID_PLAN;
}

EXPORT cufftResult cufftSetWorkArea(cufftHandle plan, void *area) {
  (void)area;
  return is_plan(plan) ? CUFFT_SUCCESS : CUFFT_INVALID_PLAN;
}

/* No workspace: the real library's size is not known. */
EXPORT cufftResult cufftXtMakePlanMany(cufftHandle plan, int rank, long long *n, long long *in_embed, long long in_stride,
                                       long long in_distance, cudaDataType in_type, long long *out_embed,
                                       long long out_stride, long long out_distance, cudaDataType out_type,
                                       long long batch, size_t *work_bytes, cudaDataType type) {
  (void)rank, (void)n, (void)in_embed, (void)in_stride, (void)in_distance, (void)in_type, (void)out_embed;
  (void)out_stride, (void)out_distance, (void)out_type, (void)batch, (void)type;
  *work_bytes = 0;
  return is_plan(plan) ? CUFFT_SUCCESS : CUFFT_INVALID_PLAN;
}

EXPORT cufftResult cufftXtExec(cufftHandle plan, void *in, void *out, int direction) {
  (void)in, (void)out, (void)direction;
  if (!is_plan(plan)) return CUFFT_INVALID_PLAN;
  return library_call("cufftXtExec", "", plan_streams[plan]) ? CUFFT_EXEC_FAILED : CUFFT_SUCCESS;
}
