from __future__ import annotations

import errno
import multiprocessing
import os
from pathlib import Path

import pytest

from ktt_core import atomic
from ktt_core.atomic import TEMPORARY_PREFIX, atomic_directory, atomic_file, sweep_leftovers
from ktt_core.errors import ConflictError


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.json"
    for content in ("one", "two"):
        with atomic_file(path) as temporary:
            temporary.write_text(content)
            assert not path.exists() or path.read_text() == "one"
        assert path.read_text() == content
    assert _names(path.parent) == ["file.json"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["file"]


def test_a_write_that_fails_says_to_which_file(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught, atomic_file(tmp_path / "file.json"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(tmp_path / "file.json")


def test_published_files_and_folders_obey_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        with atomic_file(tmp_path / "file") as temporary:
            temporary.write_text("x")
        with atomic_directory(tmp_path / "folder"):
            pass
    finally:
        os.umask(mask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "datasets" / "toys"
    with atomic_directory(path) as temporary:
        (temporary / "a").write_text("1")
        assert not path.exists()
    assert _names(path) == ["a"]
    assert _names(path.parent) == ["toys"]


def test_a_failed_folder_leaves_nothing_not_even_its_parents(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_directory(tmp_path / "new" / "toys") as temporary:
        (temporary / "a").write_text("1")
        raise KeyboardInterrupt
    assert _names(tmp_path) == []


@pytest.mark.parametrize("content", [[], ["kept"]])
def test_an_existing_folder_is_kept(tmp_path: Path, content: list[str]) -> None:
    path = tmp_path / "toys"
    path.mkdir()
    for name in content:
        (path / name).write_text("old")
    with pytest.raises(ConflictError, match="exists already"), atomic_directory(path) as temporary:
        (temporary / "a").write_text("1")
    assert _names(path) == content
    assert _names(tmp_path) == ["toys"]


@pytest.mark.parametrize("exchange", [True, False], ids=["in one step", "in two"])
def test_replacing_swaps_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    if not exchange:
        # An unknown flag: the system answers EINVAL, as file systems without the exchange do.
        monkeypatch.setattr(atomic, "_RENAME_EXCHANGE", 1 << 20)
    path = tmp_path / "toys"
    for content in ("one", "two"):
        with atomic_directory(path, replace=True) as temporary:
            (temporary / content).write_text(content)
        assert _names(path) == [content]
    assert _names(tmp_path) == ["toys"]


def test_a_failed_replacement_keeps_the_old_folder(tmp_path: Path) -> None:
    path = tmp_path / "toys"
    with atomic_directory(path) as temporary:
        (temporary / "old").write_text("1")
    with pytest.raises(RuntimeError), atomic_directory(path, replace=True) as temporary:
        raise RuntimeError
    assert _names(path) == ["old"]
    assert _names(tmp_path) == ["toys"]


def test_a_file_in_the_way_is_never_replaced_by_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "toys"
    path.write_text("not yours")
    with pytest.raises(ConflictError), atomic_directory(path, replace=True):
        pass
    assert path.read_text() == "not yours"


def _write_and_wait(folder: Path, started: multiprocessing.synchronize.Event) -> None:
    with atomic_directory(folder / "toys") as temporary, atomic_file(folder / "file"):
        (temporary / "half").write_text("x")
        started.set()
        multiprocessing.Event().wait()


def test_a_sweep_removes_what_a_killed_writer_left_but_not_what_a_living_one_writes(
    tmp_path: Path,
) -> None:
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    writer = context.Process(target=_write_and_wait, args=(tmp_path, started))
    writer.start()
    assert started.wait(60)
    assert sweep_leftovers(tmp_path) == []
    assert len(_names(tmp_path)) == 2
    writer.kill()
    writer.join()
    assert len(sweep_leftovers(tmp_path)) == 2
    assert _names(tmp_path) == []


def test_a_sweep_touches_nothing_else(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    swept = tmp_path / "swept"
    swept.mkdir()
    (swept / "toys").mkdir()
    (swept / f"{TEMPORARY_PREFIX}link").symlink_to(outside)
    assert sweep_leftovers(swept) == []
    assert _names(outside) == ["kept"]
    assert (swept / "toys").is_dir()
