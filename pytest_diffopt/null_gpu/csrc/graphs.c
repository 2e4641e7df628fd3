/* Graphs: lists of what a stream recorded. A launch does their copies and counts their kernels. */
#include "clock.h"

#include <stdio.h>

struct user_object {
  void *pointer;
  cudaHostFn_t destroy;
  long references;
};

struct executable {
  struct graph graph;
};

struct graph *new_graph(void) { return calloc(1, sizeof(struct graph)); }

void add_node(struct graph *graph, const struct node *node) {
  if (graph->length == graph->room)
    graph->nodes = realloc(graph->nodes, (graph->room = graph->room * 2 + 64) * sizeof *graph->nodes);
  graph->nodes[graph->length++] = *node;
}

static void copy_rows(const struct node *node) {
  if (node->rows == 1) {
    copy_bytes(node->to, node->from, node->bytes, node->kind);
    return;
  }
  for (size_t row = 0; row < node->rows; row++)
    copy_bytes((char *)node->to + row * node->to_pitch, (const char *)node->from + row * node->from_pitch, node->bytes,
               node->kind);
}

void run_node(struct stream *stream, const struct node *node, int in_graph) {
  clock_work(stream, node, in_graph);
  switch (node->type) {
    case NODE_KERNEL: case NODE_LIBRARY: count(in_graph ? node->in_graph : node->direct, 0); break;
    case NODE_COPY: copy_rows(node); break;
    case NODE_FILL: fill_bytes(node->to, node->value, node->width, node->bytes); break;
    case NODE_HOST:
      count_named(TALLY_HOST_CALLBACK, "cudaLaunchHostFunc", 0);
      node->function(node->argument);
      break;
    case NODE_GRAPH: run_graph(stream, node->graph); break;
    case NODE_EMPTY: break;
  }
}

void run_graph(struct stream *stream, const struct graph *graph) {
  for (size_t i = 0; i < graph->length; i++) run_node(stream, &graph->nodes[i], 1);
}

/* ---- user objects: what a graph keeps alive ---- */

static void release_object(struct user_object *object, long n) {
  if (__atomic_sub_fetch(&object->references, n, __ATOMIC_ACQ_REL) > 0) return;
  object->destroy(object->pointer);
  free(object);
}

static void keep_object(struct graph *graph, struct user_object *object) {
  graph->objects = realloc(graph->objects, (graph->n_objects + 1) * sizeof *graph->objects);
  graph->objects[graph->n_objects++] = object;
}

EXPORT cudaError_t cudaUserObjectCreate(cudaUserObject_t *result, void *pointer, cudaHostFn_t destroy, unsigned references,
                                        unsigned flags) {
  (void)flags;
  struct user_object *object = malloc(sizeof *object);
  *object = (struct user_object){pointer, destroy, references};
  *result = (cudaUserObject_t)object;
  return cudaSuccess;
}

EXPORT cudaError_t cudaUserObjectRelease(cudaUserObject_t object, unsigned n) {
  release_object((struct user_object *)object, n);
  return cudaSuccess;
}

EXPORT cudaError_t cudaGraphRetainUserObject(cudaGraph_t graph, cudaUserObject_t handle, unsigned n, unsigned flags) {
  struct user_object *object = (struct user_object *)handle;
  if (!(flags & cudaGraphUserObjectMove)) __atomic_add_fetch(&object->references, n, __ATOMIC_ACQ_REL);
  for (unsigned i = 0; i < n; i++) keep_object((struct graph *)graph, object);
  return cudaSuccess;
}

static void empty_graph(struct graph *graph) {
  for (size_t i = 0; i < graph->n_objects; i++) release_object(graph->objects[i], 1);
  free(graph->objects);
  free(graph->nodes);
  memset(graph, 0, sizeof *graph);
}

/* ---- graphs ---- */

EXPORT cudaError_t cudaGraphCreate(cudaGraph_t *graph, unsigned flags) {
  (void)flags;
  *graph = (cudaGraph_t)new_graph();
  return cudaSuccess;
}

EXPORT cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  if (!graph) return fail(cudaErrorInvalidValue);
  empty_graph((struct graph *)graph);
  free(graph);
  return cudaSuccess;
}

EXPORT cudaError_t cudaGraphGetNodes(cudaGraph_t handle, cudaGraphNode_t *nodes, size_t *n) {
  struct graph *graph = (struct graph *)handle;
  for (size_t i = 0; nodes && i < *n; i++) nodes[i] = (cudaGraphNode_t)(i < graph->length ? &graph->nodes[i] : NULL);
  if (!nodes || *n > graph->length) *n = graph->length;
  return cudaSuccess;
}

EXPORT cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, enum cudaGraphNodeType *type) {
  static const enum cudaGraphNodeType types[] = {
      [NODE_KERNEL] = cudaGraphNodeTypeKernel, [NODE_LIBRARY] = cudaGraphNodeTypeKernel, [NODE_COPY] = cudaGraphNodeTypeMemcpy,
      [NODE_FILL] = cudaGraphNodeTypeMemset,   [NODE_HOST] = cudaGraphNodeTypeHost,      [NODE_GRAPH] = cudaGraphNodeTypeGraph,
      [NODE_EMPTY] = cudaGraphNodeTypeEmpty};
  *type = types[((struct node *)node)->type];
  return cudaSuccess;
}

static cudaError_t instantiate(cudaGraphExec_t *result, cudaGraph_t handle) {
  struct graph *graph = (struct graph *)handle;
  if (!graph) return fail(cudaErrorInvalidValue);
  struct executable *executable = calloc(1, sizeof *executable);
  for (size_t i = 0; i < graph->length; i++) add_node(&executable->graph, &graph->nodes[i]);
  for (size_t i = 0; i < graph->n_objects; i++) {
    __atomic_add_fetch(&graph->objects[i]->references, 1, __ATOMIC_ACQ_REL);
    keep_object(&executable->graph, graph->objects[i]);
  }
  *result = (cudaGraphExec_t)executable;
  return cudaSuccess;
}

EXPORT cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *result, cudaGraph_t graph, unsigned long long flags) {
  (void)flags;
  return instantiate(result, graph);
}

EXPORT cudaError_t cudaGraphInstantiate(cudaGraphExec_t *result, cudaGraph_t graph, unsigned long long flags) {
  (void)flags;
  return instantiate(result, graph);
}

EXPORT cudaError_t cudaGraphExecDestroy(cudaGraphExec_t handle) {
  empty_graph(&((struct executable *)handle)->graph);
  free(handle);
  return cudaSuccess;
}

EXPORT cudaError_t cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t stream) {
  (void)executable, (void)stream;
  return cudaSuccess;
}

/* A graph that is launched into a stream that captures becomes a part of the new graph. */
static cudaError_t enqueue_all(cudaStream_t stream, const struct graph *graph) {
  cudaError_t error = cudaSuccess;
  for (size_t i = 0; i < graph->length && !error; i++) error = enqueue(stream, &graph->nodes[i]);
  return error;
}

EXPORT cudaError_t cudaGraphLaunch(cudaGraphExec_t handle, cudaStream_t stream) {
  if (!handle) return fail(cudaErrorInvalidValue);
  struct graph *graph = &((struct executable *)handle)->graph;
  if (is_capturing(stream)) return enqueue_all(stream, graph);
  struct node node = {.type = NODE_GRAPH, .graph = graph};
  cudaError_t error = enqueue(stream, &node);
  if (!error) count_named(TALLY_GRAPH_LAUNCH, "cudaGraphLaunch", 0);
  return error;
}

EXPORT cudaError_t cudaGraphDebugDotPrint(cudaGraph_t handle, const char *path, unsigned flags) {
  (void)flags;
  FILE *file = fopen(path, "w");
  if (!file) return fail(cudaErrorInvalidValue);
  struct graph *graph = (struct graph *)handle;
  fprintf(file, "digraph null_gpu {\n");
  for (size_t i = 0; i < graph->length; i++) {
    const struct tally *tally = graph->nodes[i].direct;
    fprintf(file, "  n%zu [label=\"%s\"];\n", i, tally ? tally->name : "copy, fill or host function");
    if (i) fprintf(file, "  n%zu -> n%zu;\n", i - 1, i);
  }
  fprintf(file, "}\n");
  fclose(file);
  return cudaSuccess;
}

#if CUDART_VERSION >= 13000
EXPORT cudaError_t cudaGraphNodeGetDependencies(cudaGraphNode_t node, cudaGraphNode_t *dependencies,
                                                cudaGraphEdgeData *edges, size_t *n) {
  (void)node, (void)dependencies, (void)edges;
  unmodelled("cudaGraphNodeGetDependencies");
  *n = 0;
  return cudaSuccess;
}

/* The value of a condition does not exist: the body counts once for each launch, and the record names it. */
EXPORT cudaError_t cudaGraphAddNode(cudaGraphNode_t *result, cudaGraph_t handle, const cudaGraphNode_t *dependencies,
                                    const cudaGraphEdgeData *edges, size_t n, struct cudaGraphNodeParams *parameters) {
  (void)dependencies, (void)edges, (void)n;
  unmodelled("cudaGraphAddNode");
  if (parameters->type != cudaGraphNodeTypeConditional) return fail(cudaErrorNotSupported);
  cudaGraph_t *bodies = calloc(parameters->conditional.size, sizeof *bodies);
  struct graph *graph = (struct graph *)handle;
  for (unsigned i = 0; i < parameters->conditional.size; i++) {
    struct node node = {.type = NODE_GRAPH, .graph = new_graph()};
    bodies[i] = (cudaGraph_t)node.graph;
    add_node(graph, &node);
  }
  parameters->conditional.phGraph_out = bodies;
  *result = (cudaGraphNode_t)&graph->nodes[graph->length - 1];
  return cudaSuccess;
}

EXPORT cudaError_t cudaGraphConditionalHandleCreate(cudaGraphConditionalHandle *result, cudaGraph_t graph, unsigned value,
                                                    unsigned flags) {
  (void)graph, (void)value, (void)flags;
  *result = 1;
  return cudaSuccess;
}
#endif
