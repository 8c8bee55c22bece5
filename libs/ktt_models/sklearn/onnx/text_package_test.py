"""The package in an export is training's own code, on numpy alone."""

from __future__ import annotations

import ast
import importlib
import random
import re
import sys
from importlib import metadata

import pytest
import Stemmer

from ktt_core.tfidf import text_rows
from ktt_models.sklearn.onnx.text_package import package_files

LANGUAGES = sorted(Stemmer.algorithms())


def imports_of(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""


@pytest.mark.parametrize("language", [None, "english", "dutch_porter"])
def test_it_imports_the_standard_library_and_numpy_alone(language):
    files = package_files(language)
    for path, content in files.items():
        if not path.endswith(".py"):
            continue
        for level, module in imports_of(content):
            if level == 0:
                top = module.partition(".")[0]
                # Optional in one module, and replaced there.
                assert top == "numpy" or top in sys.stdlib_module_names, (path, module)
            elif module and language is not None:
                folder = path.rpartition("/")[0]
                name = f"{module.replace('.', '/')}.py"
                assert (f"{folder}/{name}" if folder else name) in files, (path, module)


def test_it_differs_from_its_originals_in_imports_alone():
    files = package_files("english")
    originals = {
        name: module
        for name, module in sys.modules.items()
        if name.startswith(("ktt_core.tfidf.", "ktt_core.preprocessors.", "ktt_core.errors"))
    }
    compared = 0
    for name, module in originals.items():
        path = f"{name.rpartition('.')[2]}.py"
        if path not in files or module.__file__ is None:
            continue
        compared += 1
        with open(module.__file__, encoding="utf-8") as file:
            lines = file.read().splitlines()
        for ours, theirs in zip(lines, files[path].decode().splitlines(), strict=True):
            assert ours == theirs or re.match(r" *(from|import) ", ours), (path, ours, theirs)
    assert compared >= 10
    assert text_rows.__name__ in originals


def test_the_stemmers_licence_goes_with_it():
    licence = package_files("german")["snowballstemmer/COPYING"].decode()
    assert "Martin Porter" in licence
    assert "Redistributions of source code must retain the above copyright" in licence


def test_a_stemmer_installed_without_a_list_of_its_files_has_its_licence_too(monkeypatch):
    """As in a packed PEX."""
    monkeypatch.setattr(metadata.Distribution, "files", None)
    package_files.cache_clear()
    try:
        assert b"Martin Porter" in package_files("german")["snowballstemmer/COPYING"]
    finally:
        package_files.cache_clear()


def test_only_the_language_in_use_is_copied():
    german = {path for path in package_files("german") if path.startswith("snowballstemmer/")}
    assert german == {
        f"snowballstemmer/{name}"
        for name in ("COPYING", "__init__.py", "among.py", "basestemmer.py", "german_stemmer.py")
    }
    assert not [path for path in package_files(None) if "stemmer" in path]


@pytest.mark.parametrize("language", LANGUAGES)
def test_its_stemmer_is_pystemmers(language):
    # Words made of the pieces that the algorithm itself looks for reach its corners.
    source = package_files(language)[f"snowballstemmer/{language}_stemmer.py"].decode()
    pieces = sorted(
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 12
    )
    generator = random.Random(language)
    words = ["", "x", "don't", "naïve", "straße", "été", "日本", "ЁЖ", *pieces]
    words += ["".join(generator.choices(pieces, k=generator.randint(1, 5))) for _ in range(1500)]
    module = importlib.import_module(f"snowballstemmer.{language}_stemmer")
    (name,) = re.findall(r"^class (\w+)\(BaseStemmer\)", source, re.M)
    pure, compiled = getattr(module, name)(), Stemmer.Stemmer(language, 0)
    for word in words:
        assert pure.stemWord(word) == compiled.stemWord(word), word
