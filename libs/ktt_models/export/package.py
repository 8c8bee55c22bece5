"""The package beside a graph that turns texts into its inputs.

It holds copies of the modules that training uses, so that an exported folder depends only on their
dependencies, and both behave the same. The copies differ from the originals only in their imports,
since all modules are in one folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path

from ktt_core.preprocessors.base import OWN_MODULE

__all__ = ["PACKAGE", "package_sources", "write_package"]

#: The package's folder in the export.
PACKAGE = "text_rows"

_OWN_IMPORT = re.compile(r"^( *)from (ktt_core(?:\.\w+)*)\.(\w+) import ", re.MULTILINE)

_INIT = '''"""Turns texts into the inputs of ../model.onnx; see ../README.md.

Doing so opens no connection, writes no file, starts no process and runs no code of a data file.
"""

from __future__ import annotations

from .{module} import {name}

__all__ = ["TextRows"]
'''


@cache
def package_sources(module: str, class_name: str, own: str | None = None) -> dict[str, str]:
    """Return the package's modules by their paths in it.

    Parameters
    ----------
    module : str
        Full name of the module with the class; modules of ``ktt_core`` that it imports are added.
    class_name : str
        Class that the package exports as ``TextRows``.
    own : str, optional
        The source of the model's own preprocessor; see
        `ktt_core.own_preprocessor.portable_source`.

    Raises
    ------
    ValueError
        If two of the modules have the same name.
    """
    sources: dict[str, str] = {}
    _follow(module, sources)
    if own is not None:
        _add(OWN_MODULE, own, sources)
    name = class_name if class_name == "TextRows" else f"{class_name} as TextRows"
    sources["__init__"] = _INIT.format(module=module.rpartition(".")[2], name=name)
    return {f"{name}.py": source for name, source in sorted(sources.items())}


def write_package(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the package's files, given by their paths in it, into an export's folder."""
    for path, content in files.items():
        target = folder / PACKAGE / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _follow(module: str, sources: dict[str, str]) -> None:
    """Add the source of a module and of all our modules that it imports, by their base names."""
    package, _, name = module.rpartition(".")
    file = resources.files(package).joinpath(f"{name}.py")
    if not file.is_file():
        file = resources.files(package).joinpath(name, "__init__.py")
    _add(name, file.read_text(encoding="utf-8"), sources)


def _add(name: str, original: str, sources: dict[str, str]) -> None:
    source = _OWN_IMPORT.sub(r"\1from .\3 import ", original)
    if sources.setdefault(name, source) != source:
        raise ValueError(f"two modules of the package would be called {name}")
    for _, imported_package, imported in _OWN_IMPORT.findall(original):
        if imported not in sources:
            _follow(f"{imported_package}.{imported}", sources)
