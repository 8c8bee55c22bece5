"""An import finder for BentoML 0.13.1 on CPython 3.11 and later, with current packages.

Three of its modules cannot be imported there unchanged, so a finder replaces them:

- ``bentoml.yatai.proto.*_pb2`` were generated for protobuf 3.8 to 3.20, and protobuf 4 and later
  refuse them. Their messages are built from the description that each file holds.
- ``bentoml.types``: dataclasses refuse a default that has no hash since 3.11, which they take for
  one that can be changed. ``HTTPHeaders`` gets the hash of any object.
- ``bentoml.utils.cloudpickle`` is a copy of 2020 that cannot read the code objects of 3.11. The
  package itself stands in for it.

`install` has to come before the first import of BentoML. In this package `ktt_serving` itself calls
it. A bundle's environment has this file as a package of its own, which is called when Python starts
(`ktt_packing.packer.import_wheel`), because BentoML's commands import BentoML before any code of a
bundle. So the module imports nothing but the standard library until it is needed.
"""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.machinery
import re
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType
from typing import Any

__all__ = ["install"]

_PROTO = "bentoml.yatai.proto"
_PROTO_MODULE = re.compile(rf"{re.escape(_PROTO)}\.\w+_pb2")
# Import lines of others' modules, and of BentoML's generated ones.
_GOOGLE = ("struct", "timestamp", "empty", "duration", "wrappers", "any")
_OTHERS = re.compile(rf"^import {re.escape(_PROTO)}\.(\w+_pb2) as (\w+)", re.MULTILINE)
_TYPES, _PICKLE = "bentoml.types", "bentoml.utils.cloudpickle"
_HEADERS = b"class HTTPHeaders(CIMultiDict):\n"


def install() -> None:
    """Install the finder. Idempotent."""
    if not any(getattr(finder, "finds_for_bentoml", False) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    finds_for_bentoml = True

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == _PICKLE:
            return importlib.machinery.ModuleSpec(fullname, _StandIn("cloudpickle"))
        if fullname != _TYPES and not _PROTO_MODULE.fullmatch(fullname):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            kind = _HashableHeaders if fullname == _TYPES else _Messages
            spec.loader = kind(fullname, spec.loader.path)
        return spec


class _StandIn(importlib.abc.Loader):
    """Loads a module in place of another."""

    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return importlib.import_module(self._name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _HashableHeaders(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType | None:
        # Not from the compiled file, which belongs to the unchanged source.
        return self.source_to_code(self.get_data(self.path), self.path)

    def source_to_code(  # type: ignore[override]
        self, data: bytes, path: str, *, _optimize: int = -1
    ) -> CodeType:
        changed = data.replace(_HEADERS, _HEADERS + b"    __hash__ = object.__hash__\n")
        code: CodeType = super().source_to_code(changed, path)
        return code


class _Messages(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        from google.protobuf import descriptor_pool
        from google.protobuf.internal import builder

        source = self.get_data(self.path).decode()
        for name in _GOOGLE:
            importlib.import_module(f"google.protobuf.{name}_pb2")
        for name, alias in _OTHERS.findall(source):
            setattr(module, alias, importlib.import_module(f"{_PROTO}.{name}"))
        descriptor = descriptor_pool.Default().AddSerializedFile(_description(source))
        names: dict[str, Any] = vars(module)
        names["DESCRIPTOR"] = descriptor
        builder.BuildMessageAndEnumDescriptors(descriptor, names)
        builder.BuildTopDescriptorsAndMessages(descriptor, module.__name__, names)


def _description(source: str) -> bytes:
    """Return the serialized description that a generated file holds."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "serialized_pb":
            found = ast.literal_eval(node.value)
            if isinstance(found, bytes) and found:
                return found
    raise ImportError("a generated file has no description of its messages")
