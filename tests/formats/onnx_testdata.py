# SPDX-License-Identifier: MIT
#
# onnx_testdata.py FOLDER: what ONNX's own library says of every model in a folder, one JSON object a
# line: the other side of onnx_testdata.cpp. Types are numbers of TensorProto.DataType, "" for what is no tensor.

import json
import os
import sys

import onnx


def value(info):
    kind = info.type.WhichOneof("value")
    if kind != "tensor_type":
        return [info.name, kind, None]
    tensor = info.type.tensor_type
    shape = None
    if tensor.HasField("shape"):
        shape = []
        for dimension in tensor.shape.dim:
            which = dimension.WhichOneof("value")
            size = dimension.dim_value if which == "dim_value" and dimension.dim_value >= 0 else -1
            shape.append([size, dimension.dim_param if which == "dim_param" else ""])
    return [info.name, tensor.elem_type, shape]


# NAME: what has none of its own is called as the node's output.
def dense(tensor, name=""):
    return [tensor.name or name, list(tensor.dims), tensor.data_type]


def sparse(tensor, name=""):
    values = tensor.values
    return [values.name or name, list(tensor.dims), values.data_type, list(values.dims)]


def walk_nodes(some, nodes, tensors):
    for node in some:
        nodes.append(node)
        for attribute in node.attribute:
            for inner in list(attribute.graphs) + ([attribute.g] if attribute.HasField("g") else []):
                walk(inner, nodes, tensors)
            name = node.output[0] if node.output else node.name
            for held in list(attribute.tensors) + ([attribute.t] if attribute.HasField("t") else []):
                tensors.append(dense(held, name))
            one = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
            for held in list(attribute.sparse_tensors) + one:
                tensors.append(sparse(held, name))


def walk(graph, nodes, tensors):
    for initializer in graph.initializer:
        tensors.append(dense(initializer))
    for initializer in graph.sparse_initializer:
        tensors.append(sparse(initializer))
    walk_nodes(graph.node, nodes, tensors)


for folder, _, names in sorted(os.walk(sys.argv[1])):
    for name in sorted(names):
        if not name.endswith(".onnx"):
            continue
        path = os.path.join(folder, name)
        model = onnx.load(path, load_external_data=False)
        nodes, tensors, operators = [], [], {}
        walk(model.graph, nodes, tensors)
        for function in model.functions:
            walk_nodes(function.node, nodes, tensors)
        for node in nodes:
            domain = "" if node.domain == "ai.onnx" else node.domain
            operator = domain + "::" + node.op_type if domain else node.op_type
            operators[operator] = operators.get(operator, 0) + 1
        given = {initializer.name for initializer in model.graph.initializer}
        given |= {initializer.values.name for initializer in model.graph.sparse_initializer}
        print(json.dumps({
            "path": path,
            "ir": model.ir_version,
            "graph": model.graph.name,
            "producer": model.producer_name,
            "opsets": [["" if opset.domain == "ai.onnx" else opset.domain, opset.version] for opset in model.opset_import],
            "inputs": [value(info) for info in model.graph.input if info.name not in given],
            "outputs": [value(info) for info in model.graph.output],
            "operators": operators,
            "tensors": tensors,
        }))
