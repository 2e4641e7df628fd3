/* What the mathematical libraries share: handles that know their stream, and calls that count as one piece of work. */
#include "null_gpu.h"

#include <stdio.h>

struct handle *new_handle(void) { return calloc(1, sizeof(struct handle)); }

cudaError_t library_call(const char *name, const char *shape, cudaStream_t stream) {
  char text[256];
  snprintf(text, sizeof text, "%s%s%s", name, shape && *shape ? " " : "", shape ? shape : "");
  struct node node = {.type = NODE_LIBRARY,
                      .direct = find_tally(TALLY_LIBRARY_CALL, text),
                      .in_graph = find_tally(TALLY_GRAPH_LIBRARY_CALL, text)};
  return enqueue(stream, &node);
}
