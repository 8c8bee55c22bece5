"""The package in an encoder's export is training's own code, on numpy and tokenizers alone."""

from __future__ import annotations

import ast
import re
import sys
from importlib import import_module, resources

import pytest

from ktt_models.export.package import package_sources

MODULES = [
    ("ktt_core.preprocessors.token_rows", "TokenRows", {"numpy", "tokenizers"}),
    ("ktt_core.tfidf.text_rows", "TextRows", {"numpy", "Stemmer"}),
]


@pytest.mark.parametrize(("module", "name", "others"), MODULES)
def test_it_imports_little(module, name, others):
    found = set()
    sources = package_sources(module, name)
    for path, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add((node.module or "").partition(".")[0])
            elif isinstance(node, ast.ImportFrom):
                assert f"{node.module}.py" in sources, (path, node.module)
    assert found - sys.stdlib_module_names == others


@pytest.mark.parametrize(("module", "name", "others"), MODULES)
def test_it_differs_from_its_originals_in_imports_alone(module, name, others):
    package = module.rpartition(".")[0]
    own = module.rpartition(".")[2]
    original = resources.files(package).joinpath(f"{own}.py").read_text(encoding="utf-8")
    copy = package_sources(module, name)[f"{own}.py"]
    for ours, theirs in zip(original.splitlines(), copy.splitlines(), strict=True):
        assert ours == theirs or re.match(r" *from ktt_core\S* import ", ours), (ours, theirs)
    assert hasattr(import_module(module), name)


@pytest.mark.parametrize(("module", "name", "others"), MODULES)
def test_every_package_offers_the_same_name(module, name, others):
    source = package_sources(module, name)["__init__.py"]
    (line,) = re.findall(r"^from \.\w+ import .*$", source, re.M)
    assert line.endswith("TextRows")
