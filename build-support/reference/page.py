"""The public Python interface as one Markdown page, read from source: nothing is imported."""

from __future__ import annotations

import logging
import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import griffe
from griffe import DocstringSectionKind as Kind

__all__ = ["SECTIONS", "PageError", "page"]

#: What the page shows: a heading, and the modules below it, each with the names of its ``__all__``.
SECTIONS = {
    "Data": [
        "ktt_core.taxonomy",
        "ktt_core.labels",
        "ktt_core.datasets.importer",
        "ktt_core.datasets.options",
        "ktt_core.datasets.dataset",
        "ktt_core.preprocessors",
    ],
    "Models": [
        "ktt_core.model",
        "ktt_core.registry",
        "ktt_core.config",
        "ktt_core.checkpoints.format",
        "ktt_core.reference",
        "ktt_core.parity",
    ],
    "Answers and metrics": ["ktt_core.decoding", "ktt_core.metrics"],
    "Models on scikit-learn": [
        "ktt_models.sklearn.model",
        "ktt_models.sklearn.config",
        "ktt_models.sklearn.contract",
    ],
    "Models on PyTorch": [
        "ktt_models.pytorch.model",
        "ktt_models.pytorch.config",
        "ktt_models.pytorch.head",
        "ktt_models.pytorch.hierarchy",
        "ktt_models.pytorch.balancing",
    ],
    "Bundles": [
        "ktt_packing.client.bundle",
        "ktt_packing.packer.layout",
        "ktt_serving.service",
        "ktt_serving.adapters",
        "ktt_serving.scores",
        "ktt_serving.artifact_files",
        "ktt_serving.scoring",
    ],
    "Errors": ["ktt_core.errors"],
}

_HEAD = """\
# Python reference

The public interface of KTT's libraries: what [a model of one's own](add-a-model.md) and programs
around KTT build on. It is generated from the docstrings by
`./pants run build-support/reference:generate`; the services' interface is in the
[API reference](api-reference.md). `n` is a number of rows, `C` of classes, `n_h` of classes of
level h.
"""
_FIELDS = {Kind.parameters: "Parameters", Kind.attributes: "Attributes"}
_OUTCOMES = {Kind.returns: "Returns", Kind.yields: "Yields", Kind.raises: "Raises"}
_ROLE = re.compile(r":[a-z]+:`([^`]+)`")


class PageError(ValueError):
    """Something that is to be on the page is missing, or says nothing of itself."""


def page(libraries: Path) -> str:
    """Return the page.

    Parameters
    ----------
    libraries
        The folder of the packages' sources.

    Raises
    ------
    PageError
        If a module has no ``__all__``, names what it does not have, or holds something without a
        docstring.
    """
    # It would warn of every docstring that says no more than the annotations do.
    logging.getLogger("griffe").setLevel(logging.ERROR)
    loader = griffe.GriffeLoader(search_paths=[libraries], docstring_parser=griffe.Parser.numpy)
    shown = {name.partition(".")[0] for names in SECTIONS.values() for name in names}
    for package in sorted(shown):
        loader.load(package, submodules=True)
    loader.resolve_aliases(implicit=True)
    parts = [_HEAD, *_contents()]
    for heading, modules in SECTIONS.items():
        parts.append(f"\n## {heading}\n")
        for name in modules:
            parts.extend(_module(loader.modules_collection[name]))
    lines = [line.rstrip() for line in "".join(f"{part}\n" for part in parts).splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def _contents() -> Iterator[str]:
    yield ""
    for heading, modules in SECTIONS.items():
        links = " · ".join(f"[`{name}`](#{_anchor(name)})" for name in modules)
        yield f"- **{heading}**: {links}"


def _anchor(title: str) -> str:
    """Return the anchor that a heading gets where Markdown is shown."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _module(module: Any) -> Iterator[str]:
    names = sorted(module.exports or (), key=str)
    if not names:
        raise PageError(f"{module.path} has no __all__")
    yield f"\n### `{module.path}`\n"
    yield from _docstring(module)
    for name in map(str, names):
        try:
            member = module.members[name]
            thing = member.final_target if member.is_alias else member
        except (KeyError, griffe.AliasResolutionError) as error:
            raise PageError(f"{module.path} names {name}, which is not there") from error
        yield from _thing(thing, name)


def _thing(thing: Any, name: str) -> Iterator[str]:
    if thing.is_attribute:
        yield f"\n#### `{name}`\n"
        yield f"```python\n{name} = {thing.value}\n```\n"
        yield from _docstring(thing)
        yield f"{_prose(_comment(thing))}\n"
        return
    if not thing.docstring:
        raise PageError(f"{thing.path} has no docstring")
    yield f"\n#### `{name}`\n"
    if thing.is_function:
        yield _signature(thing, name)
        yield from _docstring(thing)
        return
    bases = ", ".join(str(base) for base in thing.bases)
    initializer = thing.members.get("__init__")
    yield (
        _signature(initializer, f"class {name}", bases)
        if initializer is not None
        else f"```python\nclass {name}({bases})\n```\n"
    )
    yield from _docstring(thing)
    yield from _members(thing)


def _comment(attribute: Any) -> str:
    """Return the comment above an attribute that begins with ``#:``, which is its docstring."""
    lines: list[str] = []
    for line in reversed(attribute.module.source.splitlines()[: attribute.lineno - 1]):
        if not line.startswith("#:"):
            break
        lines.insert(0, line[2:].strip())
    return "\n".join(lines)


def _members(thing: Any) -> Iterator[str]:
    for name, member in thing.members.items():
        if name.startswith("_") or member.is_alias or not member.docstring:
            continue
        if member.is_function:
            yield f"\n##### `{thing.name}.{name}`\n"
            yield _signature(member, name)
            yield from _docstring(member)
        elif member.is_attribute and "property" in member.labels:
            yield f"\n##### `{thing.name}.{name}`\n"
            yield f"```python\n{name}: {member.annotation}\n```\n"
            yield from _docstring(member)


def _signature(function: Any, name: str, bases: str = "") -> str:
    """Return how it is called, a line a parameter where one line is too short."""
    parameters = [p for p in function.parameters if p.name not in ("self", "cls")]
    shown = list(_parameters(parameters))
    result = "" if function.returns is None or bases else f" -> {function.returns}"
    if name.startswith("class "):
        result = ""
    line = f"{name}({', '.join(shown)}){result}"
    if len(line) > 88:
        line = f"{name}(\n" + "".join(f"    {part},\n" for part in shown) + f"){result}"
    decorators = "".join(
        f"@{label}\n" for label in ("classmethod", "staticmethod") if label in function.labels
    )
    return f"```python\n{decorators}{line}\n```\n"


def _parameters(parameters: Iterable[Any]) -> Iterator[str]:
    starred = False
    for parameter in parameters:
        kind = griffe.ParameterKind
        if parameter.kind is kind.keyword_only and not starred:
            starred = True
            yield "*"
        prefix = {kind.var_positional: "*", kind.var_keyword: "**"}.get(parameter.kind, "")
        starred = starred or prefix == "*"
        text = prefix + parameter.name
        if parameter.annotation is not None:
            text += f": {parameter.annotation}"
        if parameter.default is not None and not prefix:
            spaced = " = " if parameter.annotation is not None else "="
            text += f"{spaced}{parameter.default}"
        yield text


def _docstring(thing: Any) -> Iterator[str]:
    if not thing.docstring:
        return
    for section in thing.docstring.parsed:
        if section.kind is Kind.text:
            yield _prose(section.value) + "\n"
        elif section.kind in _FIELDS:
            yield f"{_FIELDS[section.kind]}:\n"
            for item in section.value:
                what = f" (`{item.annotation}`)" if item.annotation else ""
                yield _item(f"`{item.name}`{what}", item.description)
            yield ""
        elif section.kind in _OUTCOMES:
            yield f"{_OUTCOMES[section.kind]}:\n"
            for item in section.value:
                yield _item(f"`{item.annotation}`", item.description)
            yield ""
        elif section.kind is Kind.examples:
            yield "Examples:\n"
            for kind, text in section.value:
                yield f"```python\n{text}\n```\n" if kind is Kind.examples else f"{_prose(text)}\n"
        elif section.kind is Kind.admonition:
            yield f"{section.title or section.value.kind.title()}:\n"
            yield _prose(section.value.contents) + "\n"


def _item(name: str, description: str) -> str:
    if not description:
        return f"- {name}"
    text = _prose(description)
    if "\n\n" in text or "```" in text:
        return f"- {name}: " + text.replace("\n", "\n  ")
    return f"- {name}: " + " ".join(text.split())


def _prose(text: str) -> str:
    """Turn what docstrings are written in into Markdown: literals, roles, and indented blocks."""
    text = _ROLE.sub(r"`\1`", text).replace("``", "`")
    # A line that ends in two colons is followed by a block that is shown as it is.
    lines: list[str] = []
    block: list[str] | None = None

    def close() -> None:
        nonlocal block
        if block is not None:
            shown = textwrap.dedent("\n".join(block)).strip("\n")
            lines.extend(["```", *shown.split("\n"), "```", ""])
        block = None

    for line in text.split("\n"):
        if block is not None and (not line or line.startswith(" ")):
            block.append(line)
            continue
        close()
        if line.endswith("::"):
            lines += [line[:-1], ""]
            block = []
        else:
            lines.append(line)
    close()
    return "\n".join(lines).strip("\n")
