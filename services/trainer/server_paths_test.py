"""Only files that really lie under an allowed folder can be named."""

from __future__ import annotations

from pathlib import Path

import pytest

from ktt_core.errors import InvalidArgumentError, PermissionDeniedError
from trainer.server_paths import AllowedRoots


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Return a folder with a file, and links to what is inside and outside of it."""
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "rows.csv").touch()
    (tmp_path / "secret.csv").touch()
    (folder / "inside.csv").symlink_to("rows.csv")
    (folder / "outside.csv").symlink_to(tmp_path / "secret.csv")
    (folder / "up").symlink_to("..")
    return folder


def test_files_under_an_allowed_folder_are_found(shared: Path) -> None:
    roots = AllowedRoots([shared])
    real = (shared / "rows.csv").resolve()
    for name in ("rows.csv", "inside.csv", "./up/shared/rows.csv"):
        assert roots.resolve(f"{shared}/{name}") == real
    assert roots.resolve(f"{shared}/missing.csv").name == "missing.csv"


@pytest.mark.parametrize(
    "name",
    ["outside.csv", "../secret.csv", "up/secret.csv", "../shared", "../sharedrows.csv", "up/none"],
)
def test_what_lies_elsewhere_is_refused_whether_it_exists_or_not(shared: Path, name: str) -> None:
    with pytest.raises(PermissionDeniedError, match="not under a folder that this server allows"):
        AllowedRoots([shared]).resolve(f"{shared}/{name}")


@pytest.mark.parametrize("path", ["", "rows.csv", "../x", "~/x", "/x\0y", "/" + "x" * 5000])
def test_what_is_no_absolute_path_is_refused(shared: Path, path: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        AllowedRoots([shared]).resolve(path)
    assert caught.value.field == "server_path"


def test_without_allowed_folders_no_file_can_be_named(shared: Path) -> None:
    with pytest.raises(PermissionDeniedError, match="--allowed-root"):
        AllowedRoots().resolve(str(shared / "rows.csv"))


def test_an_allowed_folder_must_be_one(shared: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="is not a folder"):
        AllowedRoots([shared / "rows.csv"])
