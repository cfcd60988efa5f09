#!/usr/bin/python3
# SPDX-License-Identifier: MIT
#
# triton.py FILE...: reads each as Triton reads its config.pbtxt, by protobuf's own parser, and prints
# a line of JSON for each. The message is made here of what Triton documents of its ModelConfig, so
# a field or a type that it does not have is an error.
import json
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, text_format

F = descriptor_pb2.FieldDescriptorProto
TYPES = ["INVALID", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
         "FP16", "FP32", "FP64", "STRING", "BF16"]


def message(file, name, *fields):
    made = file.message_type.add(name=name)
    for number, (field, kind, label) in fields:
        one = made.field.add(name=field, number=number, label=label)
        if isinstance(kind, str):
            one.type_name = ".t." + kind
            one.type = F.TYPE_ENUM if kind == "DataType" else F.TYPE_MESSAGE
        else:
            one.type = kind


def model_config():
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto3")
    types = file.enum_type.add(name="DataType")
    for number, name in enumerate(TYPES):
        types.value.add(name="TYPE_" + name, number=number)
    one, many = F.LABEL_OPTIONAL, F.LABEL_REPEATED
    message(file, "ModelTensorReshape", (1, ("shape", F.TYPE_INT64, many)))
    for name, reshape in (("ModelInput", 5), ("ModelOutput", 5)):
        message(file, name, (1, ("name", F.TYPE_STRING, one)), (2, ("data_type", "DataType", one)),
                (4 if name == "ModelInput" else 3, ("dims", F.TYPE_INT64, many)),
                (reshape, ("reshape", "ModelTensorReshape", one)))
    message(file, "Specific", (1, ("versions", F.TYPE_INT64, many)))
    message(file, "ModelVersionPolicy", (3, ("specific", "Specific", one)))
    message(file, "ModelConfig", (3, ("version_policy", "ModelVersionPolicy", one)), (1, ("name", F.TYPE_STRING, one)), (17, ("backend", F.TYPE_STRING, one)),
            (4, ("max_batch_size", F.TYPE_INT32, one)), (5, ("input", "ModelInput", many)),
            (6, ("output", "ModelOutput", many)), (8, ("default_model_filename", F.TYPE_STRING, one)))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("t.ModelConfig")
    get = getattr(message_factory, "GetMessageClass", None)  # of newer releases
    return get(found) if get else message_factory.MessageFactory(pool).GetPrototype(found)


Config = model_config()
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        config = text_format.Parse(file.read().decode("utf-8"), Config())
    for value in list(config.input) + list(config.output):
        # What Triton refuses to load.
        assert value.name and value.dims and value.data_type, path
        assert all(dim > 0 or dim == -1 for dim in value.dims), path
        if value.HasField("reshape"):
            assert config.max_batch_size > 0 and not value.reshape.shape and list(value.dims) == [1], path
    print(json.dumps(json_format.MessageToDict(config, preserving_proto_field_name=True)))
