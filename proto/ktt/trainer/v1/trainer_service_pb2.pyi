from ktt.trainer.v1 import datasets_pb2 as _datasets_pb2
from ktt.trainer.v1 import evaluation_pb2 as _evaluation_pb2
from ktt.trainer.v1 import models_pb2 as _models_pb2
from ktt.trainer.v1 import training_pb2 as _training_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
