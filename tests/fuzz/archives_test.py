"""Archives and uploads: what comes over the wire is written whole, under the folder, or refused."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cli.backend.archive import unpack
from fuzz.damage import Edit, edited, edits, fuzzed, survives
from ktt_core.errors import DataError, KttError
from trainer.uploads import UploadStore

FILES = {"top/manifest.json": b"{}", "top/sub/terms.npz": bytes(range(256)) * 5, "top/a": b""}


def archive(form: int = tarfile.GNU_FORMAT, **headers: str) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:", format=form) as opened:
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(content), headers
            opened.addfile(info, io.BytesIO(content))
    return written.getvalue()


WHOLE = {
    "gnu": archive(),
    "ustar": archive(tarfile.USTAR_FORMAT),
    "pax": archive(tarfile.PAX_FORMAT, comment="some words"),
}


def with_checksums(content: bytes) -> bytes:
    """Return an archive in which every block with a name has a header's checksum."""
    blocks = [content[at : at + 512] for at in range(0, len(content), 512)]
    for place, block in enumerate(blocks):
        if block[257:262] == b"ustar" and len(block) == 512:
            blank = block[:148] + b" " * 8 + block[156:]
            blocks[place] = blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]
    return b"".join(blocks)


def header(name: bytes, kind: bytes, size: bytes) -> bytes:
    block = name.ljust(100, b"\0") + b"0000644\0" * 3 + size.ljust(12, b"\0") + b"0" * 11 + b"\0"
    return with_checksums((block + b" " * 8 + kind).ljust(257, b"\0") + b"ustar  \0" + b"\0" * 247)


def unpacked(folder: Path, content: bytes, strip: int = 1) -> list[str] | None:
    outer = folder / "outer"
    outer.joinpath("inner").mkdir(parents=True)
    (outer / "whole.tar").write_bytes(content)
    try:
        with (outer / "whole.tar").open("rb") as file:
            names = survives(lambda: unpack(file, outer / "inner", strip=strip), DataError)
        assert {path.name for path in outer.iterdir()} == {"inner", "whole.tar"}
        assert [path.name for path in folder.iterdir()] == ["outer"]
        assert not any(path.is_symlink() for path in outer.rglob("*"))
        return names
    finally:
        shutil.rmtree(outer)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("archives")


@pytest.mark.parametrize("form", WHOLE)
@fuzzed(60)
@given(edits())
def test_a_damaged_archive_is_refused_or_unpacked(folder, form, damage):
    content = edited(WHOLE[form], damage)
    unpacked(folder, content)
    unpacked(folder, with_checksums(content))


@pytest.mark.parametrize(
    "size", [b"\x80" + b"\xff" * 11, b"\xff" * 12, b"77777777777", b"-1", b"z"]
)
@pytest.mark.parametrize("kind", [b"0", b"5", b"L", b"K", b"x", b"g", b"S", b"Z"])
def test_a_size_beyond_the_archive_is_refused(folder, kind, size):
    assert unpacked(folder, header(b"top/x", kind, size) + WHOLE["gnu"]) in (
        None,
        ["manifest.json", "sub/terms.npz", "a"],
    )


@pytest.mark.parametrize("kind", [b"L", b"x", b"g"])
def test_headers_upon_headers_are_refused(folder, kind):
    record = header(b"top/x", kind, b"00000000016") + b"14 comment=ab\n".ljust(512, b"\0")
    survives(lambda: unpacked(folder, record * 3000 + WHOLE["gnu"]), DataError)


def test_a_name_that_no_disk_can_hold_is_refused(folder):
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:") as opened:
        opened.addfile(tarfile.TarInfo("top/" + "x" * 300))
    assert unpacked(folder, written.getvalue()) is None


DATA = b"text,path\n" + b"a trail shoe,Sport > Shoes\n" * 40


@fuzzed(60)
@given(
    st.lists(st.tuples(st.integers(-1, len(DATA) + 1), edits(2)), max_size=4),
    st.text(max_size=30),
    st.one_of(st.just(len(DATA)), st.integers(-2, 2**63)),
)
@example([(0, (Edit("delete", 0.9, length=5),))], "shop.csv", len(DATA))
def test_chunks_of_an_upload(tmp_path_factory, chunks, name, size):
    folder = tmp_path_factory.mktemp("uploads")
    store = UploadStore(folder / "uploads", (".csv", ".csv.gz"), limit_bytes=10_000, max_uploads=3)
    digest = hashlib.sha256(DATA).hexdigest()
    upload = survives(lambda: store.create(name, size, digest), KttError)
    if upload is None:
        upload = store.create("shop.csv", len(DATA), digest)

    def write(offset: int, content: bytes) -> None:
        with store.writing(upload.id, offset) as writer:
            writer.write(content)
            writer.finish()

    for offset, damage in chunks:
        survives(lambda: write(offset, edited(DATA, damage)), KttError)  # noqa: B023
        found = survives(lambda: store.get(upload.id), KttError)
        assert found is None or not found.complete or found.committed_bytes == len(DATA)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files if path.suffix == ".csv") <= 10_000
    shutil.rmtree(folder)
