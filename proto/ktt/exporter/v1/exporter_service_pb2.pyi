from ktt.exporter.v1 import exports_pb2 as _exports_pb2
from ktt.exporter.v1 import predict_pb2 as _predict_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
