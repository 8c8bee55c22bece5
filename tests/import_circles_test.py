"""No module imports itself by way of others; imports in functions count, those of types do not."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOTS = ("libs", "services", "clients")


def modules(folder: Path) -> dict[str, Path]:
    """Return the modules below the source roots of a folder, without tests."""
    found = {}
    for root in ROOTS:
        for path in (folder / root).rglob("*.py"):
            if path.name.endswith("_test.py") or path.name == "conftest.py":
                continue
            parts = path.relative_to(folder / root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def import_statements(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield what is imported when the code runs, wherever it stands."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        yield from import_statements(node)


def imports(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """Return which of the known modules a module imports."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in import_statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        above = package[: len(package) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            found.add(inner if inner in known else base)
    return {one for one in found if one in known and one != name}


def circle(folder: Path) -> list[str]:
    """Return the modules of one circle; none if there is none."""
    known = modules(folder)
    graph = {name: imports(name, path, known) for name, path in known.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert len(modules(Path())) > 300
    assert circle(Path()) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from a import b\n", True),
        ("def f():\n    from . import b\n", True),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a.b\n", False),
        ("import a\n", False),
    ],
)
def test_a_circle_is_found_unless_it_is_of_types(tmp_path: Path, code: str, found: bool) -> None:
    (tmp_path / "libs/a").mkdir(parents=True)
    (tmp_path / "libs/a/__init__.py").touch()
    (tmp_path / "libs/a/b.py").write_text("import a.c\n")
    (tmp_path / "libs/a/c.py").write_text(code)
    assert bool(circle(tmp_path)) is found
