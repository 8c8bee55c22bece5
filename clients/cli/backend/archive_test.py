"""An archive from elsewhere can hold anything; only plain files below the folder come out."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from cli.backend import archive as archive_module
from ktt_core.errors import DataError


def entry(name: str, data: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = "") -> tuple:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(data) if kind == tarfile.REGTYPE else 0
    info.mode = 0o4777 if name == "model.onnx" else 0o4666
    return info, data


def write(path: Path, *entries: tuple) -> Path:
    with tarfile.open(path, "w:") as opened:
        for info, data in entries:
            opened.addfile(info, io.BytesIO(data) if info.isfile() else None)
    return path


def unpack(file: Path, folder: Path, strip: int = 0) -> list[str]:
    with file.open("rb") as archive:
        return archive_module.unpack(archive, folder, strip)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "outer" / "folder"
    folder.mkdir(parents=True)
    return folder


def test_plain_files_come_out_with_plain_modes(tmp_path: Path, folder: Path) -> None:
    """Of the modes only that a file can be run is kept."""
    file = write(
        tmp_path / "good.tar",
        entry("model.onnx", b"graph"),
        entry("sub", kind=tarfile.DIRTYPE),
        entry("sub/terms.json", b"{}"),
    )
    assert unpack(file, folder) == ["model.onnx", "sub/terms.json"]
    assert (folder / "model.onnx").read_bytes() == b"graph"
    assert (folder / "sub/terms.json").read_bytes() == b"{}"
    before = os.umask(0o027)
    os.umask(before)
    assert (folder / "model.onnx").stat().st_mode & 0o7777 == 0o777 & ~before & 0o755
    assert (folder / "sub/terms.json").stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize(
    "entries",
    [
        [entry("../evil")],
        [entry("sub/../../evil")],
        [entry("/tmp/evil")],
        [entry("//evil")],
        [entry("..")],
        [entry(".")],
        [entry("a\\..\\evil")],
        [entry("C:evil")],
        [entry("evil\nname")],
        [entry("/".join("d" * 20))],
        [entry("link", kind=tarfile.SYMTYPE, link="/etc/passwd")],
        [entry("link", kind=tarfile.SYMTYPE, link="model.onnx")],
        [entry("link", kind=tarfile.LNKTYPE, link="model.onnx")],
        [entry("pipe", kind=tarfile.FIFOTYPE)],
        [entry("device", kind=tarfile.CHRTYPE)],
        [entry("disk", kind=tarfile.BLKTYPE)],
        [entry("model.onnx"), entry("model.onnx", b"other")],
        [entry("model.onnx"), entry("./model.onnx", b"other")],
        [entry("model.onnx"), entry("model.onnx/inner")],
        [entry("folder/inner"), entry("folder")],
        [],
    ],
)
def test_what_is_no_export_is_refused(tmp_path: Path, folder: Path, entries: list) -> None:
    file = write(tmp_path / "bad.tar", *entries)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError, match="archive"):
        unpack(file, folder)
    assert sorted(tmp_path.iterdir()) == before
    assert sorted(folder.parent.iterdir()) == [folder]
    assert not any(path.is_symlink() for path in folder.rglob("*"))


def test_a_link_cannot_lead_later_files_out(tmp_path: Path, folder: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    file = write(
        tmp_path / "bad.tar",
        entry("way", kind=tarfile.SYMTYPE, link=str(outside)),
        entry("way/evil"),
    )
    with pytest.raises(DataError):
        unpack(file, folder)
    assert not list(outside.iterdir())


@pytest.mark.parametrize("keep", [0, 100, 700, 1024, 1400, 2000, 4700, 5200])
def test_an_archive_cut_short_is_refused(tmp_path: Path, folder: Path, keep: int) -> None:
    file = write(tmp_path / "cut.tar", entry("one", b"1" * 300), entry("two", b"2" * 3000))
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match="archive"):
        unpack(file, folder)


def test_noise_and_compressed_archives_are_refused(tmp_path: Path, folder: Path) -> None:
    noise = tmp_path / "noise.tar"
    noise.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(DataError, match="cannot be read"):
        unpack(noise, folder)
    packed = tmp_path / "packed.tar"
    with tarfile.open(packed, "w:gz") as opened:
        info, data = entry("a")
        opened.addfile(info, io.BytesIO(data))
    with pytest.raises(DataError, match="cannot be read"):
        unpack(packed, folder)


def test_endless_archives_end(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "MAX_FILES", 3)
    file = write(tmp_path / "many.tar", *(entry(f"file{number}") for number in range(5)))
    with pytest.raises(DataError, match="more than 3 files"):
        unpack(file, folder)


def test_the_folder_that_all_entries_lie_in_is_left_out(tmp_path: Path, folder: Path) -> None:
    good = write(tmp_path / "good.tar", entry("top/one"), entry("top/sub/two"))
    assert unpack(good, folder, strip=1) == ["one", "sub/two"]
    for number, names in enumerate([("top/one", "pot/two"), ("one",), ("top/one", "two")]):
        bad = write(tmp_path / f"bad{number}.tar", *map(entry, names))
        inner = folder / str(number)
        inner.mkdir()
        with pytest.raises(DataError, match="does not lie in the folder"):
            unpack(bad, inner, strip=1)
