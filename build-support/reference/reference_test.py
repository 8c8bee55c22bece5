"""The Python reference is up to date, and cannot leave out what is public."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reference import generate
from reference.page import PageError, page


def write_module(libraries: Path, name: str, text: str) -> None:
    package = libraries.joinpath(*name.split("."))
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(text)


@pytest.fixture
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("reference.page.SECTIONS", {"Data": ["one"]})
    return tmp_path / "libs"


def test_the_page_is_what_the_docstrings_make() -> None:
    assert generate.PAGE.read_text(encoding="utf-8") == page(
        generate.LIBRARIES
    ), "make it anew: ./pants run build-support/reference:generate"


def test_a_function_is_shown_with_its_parameters_and_errors(libraries: Path) -> None:
    write_module(
        libraries,
        "one",
        '''"""A module."""
__all__ = ["LIMIT", "half"]

#: In rows.
LIMIT = 3

def half(rows: list[int], *, up: bool = False) -> int:
    """Return half of ``rows``::

        rows / 2

    Parameters
    ----------
    rows : list of int
        What to halve.

    Raises
    ------
    ValueError
        If there are none.
    """
''',
    )
    shown = page(libraries)
    assert "half(rows: list[int], *, up: bool = False) -> int" in shown
    assert "- `rows` (`list of int`): What to halve." in shown
    assert "- `ValueError`: If there are none." in shown
    assert "Return half of `rows`:\n\n```\nrows / 2\n```" in shown
    assert "LIMIT = 3\n```\n\nIn rows." in shown


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('"""A module."""\n', "one has no __all__"),
        ('"""A module."""\n__all__ = ["gone"]\n', "names gone"),
        ('"""A module."""\n__all__ = ["f"]\ndef f(): ...\n', "f has no docstring"),
    ],
)
def test_what_is_missing_is_an_error(libraries: Path, text: str, complaint: str) -> None:
    write_module(libraries, "one", text)
    with pytest.raises(PageError, match=complaint):
        page(libraries)


def test_nothing_is_written_outside_the_root_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["generate"])
    assert generate.main() == 2
    assert "root of the repository" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(generate.LIBRARIES, tmp_path / generate.LIBRARIES)
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["generate"])
    assert generate.main() == 0
    assert "is up to date" in capsys.readouterr().out
    assert generate.PAGE.read_text(encoding="utf-8").startswith("# Python reference")
