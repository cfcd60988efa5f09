// SPDX-License-Identifier: MIT
//
// Graphs: made by capture or node by node, instantiated, launched. A launch pushes the nodes into
// the stream one after the other, in the order in which they were added: right by their
// dependencies, without what branches could overlap.
#include <algorithm>

#include "driver.h"

using namespace standin;

namespace {

CUresult add(CUgraphNode* node, CUgraph graph, const CUgraphNode* after, size_t count, Op op) {
  if (!node || !driver().graphs.has(graph) || (count && !after)) return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < count; ++i)
    if (std::none_of(graph->nodes.begin(), graph->nodes.end(),
                     [&](const auto& own) { return own.get() == after[i]; }))
      return CUDA_ERROR_INVALID_VALUE;
  graph->nodes.push_back(std::make_unique<CUgraphNode_st>(
      CUgraphNode_st{std::move(op), std::vector<CUgraphNode>(after, after + count)}));
  *node = graph->nodes.back().get();
  return CUDA_SUCCESS;
}

CUresult add_kernel(CUgraphNode* node, CUgraph graph, const CUgraphNode* after, size_t count,
                    void** parameters, void** extra) {
  return with_driver([&](Lock&) {
    Op op;
    const CUresult error = kernel(parameters, extra, &op);
    return error == CUDA_SUCCESS ? add(node, graph, after, count, std::move(op)) : error;
  });
}

CUresult instantiate(CUgraphExec* exec, CUgraph graph) {
  return with_driver([&](Lock&) {
    if (!exec || !driver().graphs.has(graph)) return CUDA_ERROR_INVALID_VALUE;
    auto made = std::make_unique<CUgraphExec_st>();
    for (const auto& node : graph->nodes) made->ops.push_back(node->op);
    *exec = driver().execs.add(std::move(made));
    return CUDA_SUCCESS;
  });
}

}  // namespace

STANDIN_API cuGraphCreate(CUgraph* graph, unsigned flags) {
  return with_driver([&](Lock&) {
    if (!graph || flags) return CUDA_ERROR_INVALID_VALUE;
    *graph = driver().graphs.add(std::make_unique<CUgraph_st>());
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuGraphDestroy(CUgraph graph) {
  return with_driver(
      [&](Lock&) { return driver().graphs.drop(graph) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE; });
}

STANDIN_API cuGraphGetNodes(CUgraph graph, CUgraphNode* nodes, size_t* count) {
  return with_driver([&](Lock&) {
    if (!driver().graphs.has(graph) || !count) return CUDA_ERROR_INVALID_VALUE;
    if (nodes)
      for (size_t i = 0; i < *count; ++i)
        nodes[i] = i < graph->nodes.size() ? graph->nodes[i].get() : nullptr;
    *count = nodes ? std::min(*count, graph->nodes.size()) : graph->nodes.size();
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuGraphAddEmptyNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* after,
                                size_t count) {
  return with_driver([&](Lock&) { return add(node, graph, after, count, {}); });
}

STANDIN_API cuGraphAddKernelNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* after,
                                 size_t count, const CUDA_KERNEL_NODE_PARAMS_v1* kernel) {
  return add_kernel(node, graph, after, count, kernel->kernelParams, kernel->extra);
}

STANDIN_API cuGraphAddKernelNode_v2(CUgraphNode* node, CUgraph graph, const CUgraphNode* after,
                                    size_t count, const CUDA_KERNEL_NODE_PARAMS* kernel) {
  return add_kernel(node, graph, after, count, kernel->kernelParams, kernel->extra);
}

STANDIN_API cuGraphAddHostNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* after,
                               size_t count, const CUDA_HOST_NODE_PARAMS* host) {
  return with_driver([&](Lock&) {
    const CUhostFn function = host->fn;
    void* const data = host->userData;
    return add(node, graph, after, count,
               {Unit::kHost, [=] { call_host([=] { function(data); }); }});
  });
}

STANDIN_API cuGraphInstantiate(CUgraphExec* exec, CUgraph graph, CUgraphNode*, char*, size_t) {
  return instantiate(exec, graph);
}
STANDIN_API cuGraphInstantiate_v2(CUgraphExec* exec, CUgraph graph, CUgraphNode*, char*, size_t) {
  return instantiate(exec, graph);
}
STANDIN_API cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, unsigned long long) {
  return instantiate(exec, graph);
}

STANDIN_API cuGraphInstantiateWithParams(CUgraphExec* exec, CUgraph graph,
                                         CUDA_GRAPH_INSTANTIATE_PARAMS* parameters) {
  const CUresult error = instantiate(exec, graph);
  if (error == CUDA_SUCCESS) parameters->result_out = CUDA_GRAPH_INSTANTIATE_SUCCESS;
  return error;
}
STANDIN_API cuGraphInstantiateWithParams_ptsz(CUgraphExec* exec, CUgraph graph,
                                              CUDA_GRAPH_INSTANTIATE_PARAMS* parameters) {
  return cuGraphInstantiateWithParams(exec, graph, parameters);
}

STANDIN_API cuGraphExecDestroy(CUgraphExec exec) {
  return with_driver(
      [&](Lock&) { return driver().execs.drop(exec) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE; });
}

STANDIN_API cuGraphUpload(CUgraphExec exec, CUstream handle) {
  return with_stream(handle, [&](Lock&, CUstream) {
    return driver().execs.has(exec) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}
STANDIN_API cuGraphUpload_ptsz(CUgraphExec exec, CUstream stream) {
  return cuGraphUpload(exec, per_thread(stream));
}

STANDIN_API cuGraphLaunch(CUgraphExec exec, CUstream handle) {
  if (const CUresult error = entry(); error != CUDA_SUCCESS) return error;
  LaunchTime time;
  return with_stream(handle, [&](Lock& lock, CUstream stream) {
    if (!driver().execs.has(exec)) return CUDA_ERROR_INVALID_VALUE;
    const std::vector<Op> ops = exec->ops;  // whatever becomes of it while this waits for room
    for (const Op& op : ops)
      if (const CUresult error = push(lock, stream, op); error != CUDA_SUCCESS) return error;
    return CUDA_SUCCESS;
  });
}
STANDIN_API cuGraphLaunch_ptsz(CUgraphExec exec, CUstream stream) {
  return cuGraphLaunch(exec, per_thread(stream));
}
