/* cuDNN: the backend API, by which torch asks for convolutions and attention, and what its C++ frontend asks of it.
 *
 * A descriptor keeps a summary of what it was made of; an execution plan hands it to the counters. */
#include "null_gpu.h"

#include <cudnn.h>
#include <stdio.h>

EXPORT size_t cudnnGetVersion(void) { return CUDNN_VERSION; }
EXPORT size_t cudnnGetCudartVersion(void) { return CUDART_VERSION; }
EXPORT const char *cudnnGetErrorString(cudnnStatus_t status) { return status ? "not modelled by the null GPU" : "success"; }

EXPORT void cudnnGetLastErrorString(char *text, size_t room) {
  if (room) *text = 0;
}

EXPORT cudnnStatus_t cudnnGetProperty(libraryPropertyType type, int *value) {
  *value = type == MAJOR_VERSION ? CUDNN_MAJOR : type == MINOR_VERSION ? CUDNN_MINOR : CUDNN_PATCHLEVEL;
  return CUDNN_STATUS_SUCCESS;
}

EXPORT cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
  *handle = (cudnnHandle_t)new_handle();
  return CUDNN_STATUS_SUCCESS;
}

EXPORT cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  free(handle);
  return CUDNN_STATUS_SUCCESS;
}

EXPORT cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  ((struct handle *)handle)->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

EXPORT cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t *stream) {
  *stream = ((struct handle *)handle)->stream;
  return CUDNN_STATUS_SUCCESS;
}

/* ---- the backend's descriptors ---- */

EXPORT cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *result) {
  struct handle *descriptor = new_handle();
  descriptor->type = type;
  *result = descriptor;
  return CUDNN_STATUS_SUCCESS;
}

EXPORT cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  free(descriptor);
  return CUDNN_STATUS_SUCCESS;
}

static const char *operation_name(int type) {
  switch (type) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR: return "convolution";
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR: return "convolution backward data";
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR: return "convolution backward filter";
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR: return "matmul";
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR: return "pointwise";
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR: return "reduction";
    case CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR: return "norm";
    case CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR: return "norm backward";
#if CUDNN_VERSION >= 91300
    case CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR: return "attention";
#endif
    default: return "operation";
  }
}

static void append(struct handle *descriptor, const char *text) {
  size_t length = strlen(descriptor->summary);
  if (strstr(descriptor->summary, text)) return; /* a graph of forty pointwise operations is named once */
  snprintf(descriptor->summary + length, sizeof descriptor->summary - length, "%s%s", length ? " + " : "", text);
}

static void describe_tensor(struct handle *tensor, const int64_t *sizes, int64_t n) {
  size_t length = 0;
  for (int64_t i = 0; i < n && length + 24 < sizeof tensor->summary; i++)
    length += (size_t)snprintf(tensor->summary + length, sizeof tensor->summary - length, "%s%ld", i ? "x" : "",
                               (long)sizes[i]);
}

static int is_operand(int attribute) {
  switch (attribute) {
    case CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X: case CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W:
    case CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY: case CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W:
    case CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X: case CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY:
    case CUDNN_ATTR_OPERATION_MATMUL_ADESC: case CUDNN_ATTR_OPERATION_MATMUL_BDESC:
#if CUDNN_VERSION >= 91300
    case CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC: case CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC:
#endif
      return 1;
    default: return 0;
  }
}

static void take_descriptors(struct handle *descriptor, int attribute, int64_t n, struct handle *const *others) {
  if (attribute == CUDNN_ATTR_OPERATIONGRAPH_OPS) {
    for (int64_t i = 0; i < n; i++) {
      char text[200];
      snprintf(text, sizeof text, "%s%s%s", operation_name(others[i]->type), *others[i]->summary ? " " : "",
               others[i]->summary);
      append(descriptor, text);
    }
    return;
  }
  int inherits = attribute == CUDNN_ATTR_ENGINE_OPERATION_GRAPH || attribute == CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH ||
                 attribute == CUDNN_ATTR_ENGINECFG_ENGINE || attribute == CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG;
  if (n && inherits) memcpy(descriptor->summary, others[0]->summary, sizeof descriptor->summary);
  if (n && is_operand(attribute) && *others[0]->summary) append(descriptor, others[0]->summary);
}

EXPORT cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t attribute,
                                              cudnnBackendAttributeType_t type, int64_t n, const void *values) {
  if (attribute == CUDNN_ATTR_TENSOR_DIMENSIONS) describe_tensor(descriptor, values, n);
  if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) take_descriptors(descriptor, attribute, n, values);
  if (type == CUDNN_TYPE_HANDLE && n) ((struct handle *)descriptor)->links[0] = *(void *const *)values;
  return CUDNN_STATUS_SUCCESS;
}

EXPORT cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  (void)descriptor;
  return CUDNN_STATUS_SUCCESS;
}

static int64_t bytes_of(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_INT64: case CUDNN_TYPE_DOUBLE: case CUDNN_TYPE_HANDLE: case CUDNN_TYPE_VOID_PTR: return 8;
    case CUDNN_TYPE_BOOLEAN: case CUDNN_TYPE_CHAR: return 1;
    default: return 4; /* the enumerations, INT32 and FLOAT */
  }
}

/* One engine, which needs no workspace and no shared memory and has no notes: an answer of one value that is zero. */
EXPORT cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t handle, cudnnBackendAttributeName_t attribute,
                                              cudnnBackendAttributeType_t type, int64_t room, int64_t *n, void *values) {
  struct handle *descriptor = handle;
  int notes = attribute == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE || attribute == CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE ||
              attribute == CUDNN_ATTR_ENGINE_KNOB_INFO;
  if (n) *n = !notes;
  if (notes || !room || !values) return CUDNN_STATUS_SUCCESS;
  if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
    struct handle *const *results = values;
    if (*results && *results != descriptor) memcpy((*results)->summary, descriptor->summary, sizeof descriptor->summary);
    return CUDNN_STATUS_SUCCESS;
  }
  memset(values, 0, (size_t)bytes_of(type));
  if (attribute == CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT) *(int64_t *)values = 1;
  if (type == CUDNN_TYPE_HANDLE) *(void **)values = descriptor->links[0];
  return CUDNN_STATUS_SUCCESS;
}

EXPORT cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
  (void)pack;
  cudaStream_t stream = ((struct handle *)handle)->stream;
  cudaError_t error = library_call("cudnn", ((struct handle *)plan)->summary, stream);
  return error ? CUDNN_STATUS_EXECUTION_FAILED : CUDNN_STATUS_SUCCESS;
}
