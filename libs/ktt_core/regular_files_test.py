from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ktt_core.checkpoints.format import read_metadata
from ktt_core.config import read_hyperparameters
from ktt_core.datasets.dataset import Dataset
from ktt_core.errors import KttError
from ktt_core.regular_files import open_regular, read_regular

pytestmark = pytest.mark.timeout(20)

KINDS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "device": lambda path: path.symlink_to("/dev/zero"),
}


def test_a_regular_file_is_read_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "b").symlink_to("a")
    assert read_regular(tmp_path / "a") == read_regular(tmp_path / "b") == b"content"


@pytest.mark.parametrize("kind", KINDS)
def test_other_files_are_refused_at_once(tmp_path: Path, kind: str) -> None:
    KINDS[kind](tmp_path / "a")
    with pytest.raises(OSError, match="a folder" if kind == "folder" else "not a regular file"):
        open_regular(tmp_path / "a")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("read", [read_hyperparameters, read_metadata])
def test_those_who_read_files_of_users_say_so(
    tmp_path: Path, kind: str, read: Callable[[Path], object]
) -> None:
    KINDS[kind](tmp_path / "a")
    with pytest.raises(KttError, match="a folder" if kind == "folder" else "not a regular file"):
        read(tmp_path / "a")


@pytest.mark.parametrize("kind", KINDS)
def test_a_dataset_with_another_kind_of_file_is_refused(tmp_path: Path, kind: str) -> None:
    KINDS[kind](tmp_path / "hierarchy.json")
    with pytest.raises(KttError, match="a folder" if kind == "folder" else "not a regular file"):
        Dataset.open(tmp_path)
