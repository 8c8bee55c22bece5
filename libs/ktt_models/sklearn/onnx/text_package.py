"""The package beside a tf-idf graph that turns texts into its inputs.

It uses a stemmer in pure Python instead of PyStemmer: that of the ``snowballstemmer`` package, by
the authors of Snowball and compiled from the same algorithms. Only the stemmer of the language in
use is copied, with its licence.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata, resources
from typing import TYPE_CHECKING

from ktt_core.errors import UnsupportedError
from ktt_core.own_preprocessor import portable_source
from ktt_core.preprocessors import SnowballStemmerPreprocessor
from ktt_core.tfidf import text_rows
from ktt_models.export.package import package_sources

__all__ = ["package_files", "package_of"]

if TYPE_CHECKING:
    from ktt_models.sklearn.model import SklearnModel

_STEMMER_PACKAGE = "snowballstemmer"
_PYSTEMMER_IMPORT = re.compile(r"^( *)import Stemmer\b.*$", re.MULTILINE)

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


def package_of(model: SklearnModel) -> dict[str, bytes]:
    """Return the files of the package in a model's export, by their paths in it.

    Raises
    ------
    UnsupportedError
        If the model's own preprocessor cannot be exported.
    """
    preprocessor, language = model.preprocessor, model.vectorizer.stem
    if isinstance(preprocessor, SnowballStemmerPreprocessor):
        if language not in (None, preprocessor.language):
            raise UnsupportedError(
                f"{model.model_id} is not exported to ONNX: it stems in {preprocessor.language} "
                f"and then in {language}, and an export has the stemmer of one language; set "
                f"stem to null or {preprocessor.language!r}"
            )
        language = preprocessor.language
    return package_files(language, portable_source(preprocessor, model.model_id))


@cache
def package_files(language: str | None, own: str | None = None) -> dict[str, bytes]:
    """Return the package's files by their paths in it.

    Parameters
    ----------
    language : str or None
        Language of the stemmer; None: words are not stemmed.
    own : str, optional
        See `ktt_models.export.package.package_sources`.
    """
    files = {
        path: _PYSTEMMER_IMPORT.sub(r"\1from . import stemmer as Stemmer", source)
        for path, source in package_sources(text_rows.__name__, "TextRows", own).items()
    }
    if language is not None:
        files |= _stemmer_files(language)
    return {path: source.encode() for path, source in sorted(files.items())}


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
    # By name, because a packed PEX keeps the files of a distribution, but not their list.
    for place in ("licenses/COPYING", "COPYING"):
        if text := distribution.read_text(place):
            return text
    raise ValueError(f"{_STEMMER_PACKAGE} came without its licence, so it is not handed on")
