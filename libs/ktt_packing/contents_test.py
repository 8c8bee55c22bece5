"""One list says what a bundle carries, and the BUILD files of the packages say the same."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ktt_packing.contents import CARRIED, copy_files, copy_monitoring, source_files

LIBS = Path(__file__).resolve().parent.parent


def build_file(package: str) -> ast.Module:
    return ast.parse((LIBS / package / "BUILD").read_text(encoding="utf-8"))


def assigned(package: str, name: str) -> Any:
    """Return the value of a name in a BUILD file."""
    (value,) = (
        node.value
        for node in build_file(package).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    )
    return ast.literal_eval(value)


def sources(package: str, target: str) -> Iterator[str]:
    """Yield the patterns of a target's sources, without what they leave out."""
    for node in ast.walk(build_file(package)):
        if isinstance(node, ast.Call):
            values = {one.arg: one.value for one in node.keywords}
            if "name" in values and ast.literal_eval(values["name"]) == target:
                for pattern in ast.literal_eval(values["sources"]):
                    if not pattern.startswith("!"):
                        yield pattern


def test_what_a_bundle_carries_of_the_core_is_held_to_the_packages_of_bundles() -> None:
    assert sorted(assigned("ktt_core", "_BUNDLE")) == sorted(CARRIED["ktt_core"])


def test_programs_hold_of_the_serving_package_what_a_bundle_carries() -> None:
    page = [f"try_page/{name}" for name in sources("ktt_serving/try_page", "try_page")]
    code = list(sources("ktt_serving", "ktt_serving"))
    assert sorted(code) == sorted(sources("ktt_serving", "files"))
    assert sorted([*code, *page]) == sorted(CARRIED["ktt_serving"])


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def copied(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_tests_and_what_tools_leave_are_in_no_bundle(tmp_path: Path) -> None:
    kept = ("a.py", "b/c.py", "b/.dockerignore", "b/data/d.json")
    write(
        tmp_path / "from", *kept, "BUILD", "a_test.py", "a_fixtures.py", "conftest.py",
        "b/__pycache__/c.pyc", "b/.ruff_cache/c.py", "b/testdata/c.json",
    )  # fmt: skip
    copy_files(tmp_path / "from", tmp_path / "to")
    assert copied(tmp_path / "to") == {name: name for name in kept}
    assert list(source_files(tmp_path / "from", ["*.py"])) == [Path("a.py")]


def test_a_folder_that_is_a_link_is_looked_into(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "c.py")
    (tmp_path / "from").mkdir()
    (tmp_path / "from/b").symlink_to(tmp_path / "elsewhere")
    assert list(source_files(tmp_path / "from", ["**/*.py"])) == [Path("b/c.py")]


def test_the_monitor_is_put_together(tmp_path: Path) -> None:
    write(
        tmp_path / "from", "bundle/monitoring.py", "bundle/Dockerfile", "requirements.txt",
        "Dockerfile", "__init__.py", "main.py", "main_test.py", "conftest.py", "BUILD",
    )  # fmt: skip
    copy_monitoring(tmp_path / "from", tmp_path / "to")
    assert copied(tmp_path / "to") == {
        "Dockerfile": "bundle/Dockerfile",
        "monitoring.py": "bundle/monitoring.py",
        "requirements.txt": "requirements.txt",
        "ktt_monitor/__init__.py": "__init__.py",
        "ktt_monitor/main.py": "main.py",
    }
