"""The API reference: the contracts' comments as one Markdown page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

__all__ = ["PageError", "page"]

_HEAD = """\
# API reference

Every call and message of KTT's services. The contracts themselves are the `.proto` files in
[proto/](../proto); this page is generated from them by `./pants run build-support/protos:generate`.
A running service tells the same by server reflection, and `grpc.health.v1.Health` tells whether it
serves.
"""
# What a client calls comes first, what it finds in the answers after it.
_PACKAGES = ("ktt.trainer.v1", "ktt.exporter.v1", "ktt.jobs.v1", "ktt.artifacts.v1")
# Where descriptor.proto keeps what a location's path leads through.
_FILE_PACKAGE, _FILE_MESSAGE, _FILE_ENUM, _FILE_SERVICE = 2, 4, 5, 6
_MESSAGE_FIELD, _MESSAGE_NESTED, _MESSAGE_ENUM = 2, 3, 4
_ENUM_VALUE = _SERVICE_METHOD = 2


class PageError(ValueError):
    """The contracts cannot be shown on one page."""


def page(files: FileDescriptorSet) -> str:
    """Return the page.

    Parameters
    ----------
    files
        The contracts' descriptors, with source information.

    Raises
    ------
    PageError
        If two things have one name, so that a link to it would not say which is meant.
    """
    packages = {file.package for file in files.file}
    order = [*_PACKAGES, *sorted(packages - set(_PACKAGES))]
    entries = [entry for file in files.file for entry in _entries(file)]
    names = [entry.name for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PageError(f"more than one contract names {', '.join(twice)}")
    parts = [_HEAD]
    for package in order:
        own = [entry for entry in entries if entry.package == package]
        if not own:
            continue
        parts.append(f"## {package}\n")
        parts += [f"{text}\n" for file in files.file if (text := _about(file, package))]
        # Services first; the rest as the contracts have it.
        parts += [entry.text for entry in sorted(own, key=lambda entry: not entry.service)]
    return "\n".join(parts)


@dataclass(frozen=True)
class _Entry:
    """One heading of the page with what is below it."""

    package: str
    name: str
    text: str
    service: bool = False


class _Comments:
    """The comments of one file, by where they stand."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._texts = {
            tuple(location.path): location.leading_comments
            for location in file.source_code_info.location
        }

    def lines(self, path: Sequence[int]) -> str:
        """Return a comment as it was written."""
        text = self._texts.get(tuple(path), "")
        return "\n".join(line.strip() for line in text.splitlines()).strip()

    def cell(self, path: Sequence[int]) -> str:
        """Return a comment as one line of a table."""
        return " ".join(self.lines(path).split()).replace("|", "\\|")


def _about(file: FileDescriptorProto, package: str) -> str:
    return _Comments(file).lines([_FILE_PACKAGE]) if file.package == package else ""


def _entries(file: FileDescriptorProto) -> Iterable[_Entry]:
    comments = _Comments(file)
    for index, service in enumerate(file.service):
        text = _service(service, comments, (_FILE_SERVICE, index))
        yield _Entry(file.package, service.name, text, service=True)
    for index, message in enumerate(file.message_type):
        yield from _message(file.package, "", message, comments, (_FILE_MESSAGE, index))
    for index, enum in enumerate(file.enum_type):
        yield _Entry(file.package, enum.name, _enum("", enum, comments, (_FILE_ENUM, index)))


def _service(service: ServiceDescriptorProto, comments: _Comments, path: tuple[int, ...]) -> str:
    rows = []
    for index, method in enumerate(service.method):
        request, response = _link(method.input_type), _link(method.output_type)
        rows.append(
            [
                f"`{method.name}`",
                f"stream of {request}" if method.client_streaming else request,
                f"stream of {response}" if method.server_streaming else response,
                comments.cell((*path, _SERVICE_METHOD, index)),
            ]
        )
    table = _table(["call", "request", "response", "what it does"], rows)
    return f"### {service.name}\n\n{comments.lines(path)}\n\n{table}"


def _message(
    package: str,
    outer: str,
    message: DescriptorProto,
    comments: _Comments,
    path: tuple[int, ...],
) -> Iterable[_Entry]:
    name = f"{outer}{message.name}"
    rows = [
        [
            f"`{field.name}`",
            _type(field, message),
            str(field.number),
            comments.cell((*path, _MESSAGE_FIELD, index)),
        ]
        for index, field in enumerate(message.field)
    ]
    table = _table(["field", "type", "number", "what it is"], rows) if rows else "No fields.\n"
    yield _Entry(package, name, f"### {name}\n\n{comments.lines(path)}\n\n{table}")
    for index, nested in enumerate(message.nested_type):
        if not nested.options.map_entry:
            inner = (*path, _MESSAGE_NESTED, index)
            yield from _message(package, f"{name}.", nested, comments, inner)
    for index, enum in enumerate(message.enum_type):
        inner = (*path, _MESSAGE_ENUM, index)
        yield _Entry(package, f"{name}.{enum.name}", _enum(f"{name}.", enum, comments, inner))


def _enum(outer: str, enum: EnumDescriptorProto, comments: _Comments, path: tuple[int, ...]) -> str:
    rows = [
        [f"`{value.name}`", str(value.number), comments.cell((*path, _ENUM_VALUE, index))]
        for index, value in enumerate(enum.value)
    ]
    table = _table(["value", "number", "what it means"], rows)
    return f"### {outer}{enum.name}\n\n{comments.lines(path)}\n\n{table}"


def _type(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    """Say a field's type as a contract would, with a link to what is on the page."""
    entries = {nested.name: nested for nested in message.nested_type if nested.options.map_entry}
    entry = entries.get(field.type_name.rpartition(".")[2])
    if entry is not None:
        key, value = (_type(part, entry) for part in entry.field)
        return f"map of {key} to {value}"
    name = _link(field.type_name) if field.type_name else f"`{_scalar(field)}`"
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {name}"
    if field.proto3_optional:
        return f"optional {name}"
    if field.HasField("oneof_index"):
        return f"{name}, one of `{message.oneof_decl[field.oneof_index].name}`"
    return name


def _scalar(field: FieldDescriptorProto) -> str:
    name: str = FieldDescriptorProto.Type.Name(field.type)
    return name.removeprefix("TYPE_").lower()


def _link(type_name: str) -> str:
    name = type_name.removeprefix(".")
    for package in _PACKAGES:
        if name.startswith(f"{package}."):
            short = name.removeprefix(f"{package}.")
            return f"[{short}](#{short.replace('.', '').lower()})"
    return f"`{name}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
