"""The package beside a graph that turns texts into its inputs.

It holds copies of the modules that training uses, so that an exported folder needs nothing but
numpy, and the two cannot drift apart.

The copies differ from their originals in their imports alone: the modules stand in one folder, and
PyStemmer's place is taken by a stemmer in pure Python. That one is of the ``snowballstemmer``
package, by the authors of Snowball and compiled from the same algorithms; only the language in use
is copied, with its licence.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata, resources

from ktt_core.tfidf import text_rows

__all__ = ["PACKAGE", "package_files"]

#: The package's folder in the export.
PACKAGE = "text_rows"

_STEMMER_PACKAGE = "snowballstemmer"
_OWN_IMPORT = re.compile(r"^( *)from (ktt_core(?:\.\w+)*)\.(\w+) import ", re.MULTILINE)
_PYSTEMMER_IMPORT = re.compile(r"^( *)import Stemmer\b.*$", re.MULTILINE)

_INIT = '''"""Turns texts into the inputs of ../model.onnx; see ../README.md.

Nothing here opens a connection, writes a file, starts a process or runs code from a data file.
"""

from __future__ import annotations

from .{module} import TextRows

__all__ = ["TextRows"]
'''

_STEMMER = '''"""Snowball's stemmer of one language in pure Python, under the names of PyStemmer."""

from __future__ import annotations

from .{package}.{language}_stemmer import {class_name}

_LANGUAGE = "{language}"


def algorithms() -> list[str]:
    """Return the languages there are."""
    return [_LANGUAGE]


class Stemmer:
    """Stems words, one at a time."""

    def __init__(self, language: str, cache_size: int = 0) -> None:
        if language != _LANGUAGE:
            raise KeyError(f"this export has the stemmer of {{_LANGUAGE}}, not of {{language}}")
        self._stemmer = {class_name}()

    def stemWord(self, word: str) -> str:  # noqa: N802
        """Return a word's stem."""
        stem: str = self._stemmer.stemWord(word)
        return stem
'''


@cache
def package_files(language: str | None) -> dict[str, bytes]:
    """Return the package's files by their paths in it.

    Parameters
    ----------
    language : str or None
        Of the words' stemmer; None: words are not stemmed.
    """
    main = text_rows.__name__
    sources: dict[str, str] = {}
    _follow(main, sources)
    sources["__init__"] = _INIT.format(module=main.rpartition(".")[2])
    files = {f"{name}.py": source for name, source in sources.items()}
    if language is not None:
        files |= _stemmer_files(language)
    return {path: source.encode() for path, source in sorted(files.items())}


def _follow(module: str, sources: dict[str, str]) -> None:
    """Add a module's source, and those of all modules of ours it imports, by their bare names."""
    package, _, name = module.rpartition(".")
    original = resources.files(package).joinpath(f"{name}.py").read_text(encoding="utf-8")
    source = _OWN_IMPORT.sub(r"\1from .\3 import ", original)
    source = _PYSTEMMER_IMPORT.sub(r"\1from . import stemmer as Stemmer", source)
    if sources.setdefault(name, source) != source:
        raise ValueError(f"two modules of the package would be called {name}")
    for _, imported_package, imported in _OWN_IMPORT.findall(original):
        if imported not in sources:
            _follow(f"{imported_package}.{imported}", sources)


def _stemmer_files(language: str) -> dict[str, str]:
    import snowballstemmer

    module = f"{language}_stemmer"
    source = resources.files(snowballstemmer)
    files = {
        f"{_STEMMER_PACKAGE}/{name}.py": source.joinpath(f"{name}.py").read_text(encoding="utf-8")
        for name in ("among", "basestemmer", module)
    }
    found = re.search(
        r"^class (\w+)\(BaseStemmer\)", files[f"{_STEMMER_PACKAGE}/{module}.py"], re.M
    )
    if found is None:
        raise ValueError(f"{_STEMMER_PACKAGE}'s {module} has no stemmer of the kind that is known")
    version = metadata.version(_STEMMER_PACKAGE)
    files[f"{_STEMMER_PACKAGE}/__init__.py"] = (
        f'"""The {language} stemmer of snowballstemmer {version}, unchanged; see COPYING."""\n'
    )
    files[f"{_STEMMER_PACKAGE}/COPYING"] = _licence()
    files["stemmer.py"] = _STEMMER.format(
        package=_STEMMER_PACKAGE, language=language, class_name=found.group(1)
    )
    return files


def _licence() -> str:
    distribution = metadata.distribution(_STEMMER_PACKAGE)
    # By name, because a packed PEX keeps the files of a distribution, but not the list of them.
    for place in ("licenses/COPYING", "COPYING"):
        if text := distribution.read_text(place):
            return text
    raise ValueError(f"{_STEMMER_PACKAGE} came without its licence, so it is not handed on")
