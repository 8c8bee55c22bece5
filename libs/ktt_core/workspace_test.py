from __future__ import annotations

from pathlib import Path

import pytest

from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import DataError, InvalidArgumentError, NotFoundError
from ktt_core.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "a.csv").write_text("text,name\nx,A\ny,B\n")
    workspace = Workspace(tmp_path / "workspace")
    for name in ("toys", "Bikes"):
        options = ImportOptions("text", level_columns=("name",))
        import_dataset(tmp_path / "a.csv", workspace.dataset_folder(name), options)
    return workspace


def test_datasets_are_listed_and_opened_by_name(workspace: Workspace) -> None:
    assert workspace.datasets() == ["Bikes", "toys"]
    assert workspace.open_dataset("toys").name == "toys"


def test_a_missing_dataset_is_reported_with_the_existing_ones(workspace: Workspace) -> None:
    with pytest.raises(NotFoundError, match=r"no dataset 'cars' in .*; there are: Bikes, toys"):
        workspace.open_dataset("cars")


def test_an_empty_workspace_is_reported_with_how_to_import(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "nowhere")
    assert workspace.datasets() == []
    assert workspace.sweep() == []
    with pytest.raises(NotFoundError, match="ktt data import"):
        workspace.open_dataset("cars")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/b", "CON", "", "..", "a\x00b", "x" * 5_000]
)
def test_names_never_leave_the_workspace(workspace: Workspace, name: str) -> None:
    for use in (
        workspace.dataset_folder,
        workspace.open_dataset,
        lambda wrong: workspace.weights_folder(wrong, "toys"),
        lambda wrong: workspace.weights_folder("tfidf_lsgd", wrong),
    ):
        with pytest.raises(InvalidArgumentError):
            use(name)


def test_weights_stand_under_the_model_and_the_dataset(tmp_path: Path) -> None:
    folder = Workspace(tmp_path).weights_folder("tfidf_lsgd", "toys")
    assert folder == tmp_path / "weights" / "tfidf_lsgd" / "toys"


def test_a_folder_without_a_hierarchy_is_not_a_dataset(workspace: Workspace) -> None:
    (workspace.root / "datasets" / "half").mkdir()
    assert "half" not in workspace.datasets()
    with pytest.raises(DataError, match="damaged"):
        workspace.open_dataset("half")


def test_leftovers_are_not_listed_and_can_be_removed(workspace: Workspace) -> None:
    leftovers = [workspace.root / "datasets" / ".tmp-1-x", workspace.root / "weights/m/d/.tmp-1-y"]
    for leftover in leftovers:
        leftover.mkdir(parents=True)
        (leftover / "hierarchy.json").write_text("{")
    assert workspace.datasets() == ["Bikes", "toys"]
    assert sorted(workspace.sweep()) == sorted(leftovers)
    assert workspace.datasets() == ["Bikes", "toys"]


def test_a_workspace_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidArgumentError, match="is a file"):
        Workspace(tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("file/below", "Not a directory"),
        ("file/far/below", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("x/" * 2_100, "File name too long"),
        ("a\x00b", "null byte"),
    ],
)
def test_an_impossible_workspace_is_refused_with_the_reason(
    tmp_path: Path, name: str, problem: str
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidArgumentError, match=f"cannot be used: .*{problem}") as error:
        Workspace(tmp_path / name)
    assert len(str(error.value)) < 500


def test_a_workspace_whose_datasets_would_have_too_long_paths_is_refused(tmp_path: Path) -> None:
    room = 4_090 - len(str(tmp_path)) - 1
    with pytest.raises(InvalidArgumentError, match="File name too long"):
        Workspace(tmp_path / ("y/" * (room // 2)))


def test_remove_caches_removes_those_of_one_dataset_only(tmp_path: Path) -> None:
    kept = tmp_path / "cache" / "tokens" / "bikes" / "a.arrow"
    gone = [tmp_path / "cache" / kind / "toys" / "a.arrow" for kind in ("tokens", "features")]
    for file in (kept, *gone):
        file.parent.mkdir(parents=True)
        file.touch()
    Workspace(tmp_path).remove_caches("toys")
    assert kept.exists()
    assert not any(file.parent.exists() for file in gone)
    with pytest.raises(InvalidArgumentError):
        Workspace(tmp_path).remove_caches("*")
