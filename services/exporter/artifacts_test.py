"""Archives: the same bytes each time, from any offset, of one export only."""

from __future__ import annotations

import gc
import hashlib
import io
import os
import random
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.artifacts import Artifact, ArtifactStore
from exporter.manifests import MANIFEST_NAME, describe_files, manifest_to_bytes
from exporter.results import ExportedCheckpoint, Manifest, ParityResult
from ktt_core.errors import FailedPreconditionError, InvalidArgumentError

CONTENTS = {
    "model.onnx": random.Random(0).randbytes(1_500_000),
    "hierarchy.json": b"{}",
    "empty": b"",
    "vocabulary/terms.txt": b"a\n" * 512,
    f"{'long' * 30}/{'name' * 30}": b"x",
}


def export(folder: Path, contents: dict[str, bytes], seconds: int = 0) -> Manifest:
    """Write an exported folder and return its manifest."""
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    manifest = Manifest(
        format="onnx",
        model="tfidf_hsgd",
        dataset="shop",
        checkpoint=ExportedCheckpoint("best_x", "best", "2026-01-31T12:34:56", "00" * 32),
        versions={"numpy": "2.4"},
        opset=17,
        parity=ParityResult(10, "test", 1.0, 0.0, 0.999, 1e-4),
        temperature=1.5,
        files=describe_files(folder),
        create_time=datetime(2026, 1, 31, second=seconds, tzinfo=UTC),
    )
    (folder / MANIFEST_NAME).write_bytes(manifest_to_bytes(manifest))
    return manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "outputs/tfidf_hsgd_shop"


@pytest.fixture
def manifest(folder: Path) -> Manifest:
    return export(folder, CONTENTS)


def whole(artifact: Artifact) -> bytes:
    return b"".join(artifact.chunks())


def test_any_tar_reads_it(folder: Path, manifest: Manifest) -> None:
    artifact = ArtifactStore().open(folder, manifest)
    archive = whole(artifact)
    assert artifact.file_name == "tfidf_hsgd_shop.tar"
    assert (len(archive), hashlib.sha256(archive).hexdigest()) == (
        artifact.size_bytes,
        artifact.sha256,
    )
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = tar.getmembers()
        found = {member.name: tar.extractfile(member).read() for member in members}  # type: ignore[union-attr]
    expected = {**CONTENTS, MANIFEST_NAME: (folder / MANIFEST_NAME).read_bytes()}
    assert found == {f"tfidf_hsgd_shop/{name}": content for name, content in expected.items()}
    assert [member.name for member in members] == sorted(found)
    assert {(member.mode, member.mtime, member.uid, member.uname) for member in members} == {
        (0o644, 0, 0, "")
    }


def test_the_bytes_depend_on_the_files_alone(folder: Path, manifest: Manifest) -> None:
    first = ArtifactStore().open(folder, manifest)
    copy = folder.parent / "copy" / folder.name
    shutil.copytree(folder, copy)
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700 if path.is_dir() else 0o600)
    second = ArtifactStore().open(copy, manifest)
    assert second.sha256 == first.sha256
    assert whole(second) == whole(first)


def test_a_file_that_can_be_run_can_be_run_where_it_arrives(
    folder: Path, manifest: Manifest
) -> None:
    store = ArtifactStore()
    before = store.open(folder, manifest)
    (folder / "model.onnx").chmod(0o700)
    after = store.open(folder, manifest)
    assert hashlib.sha256(whole(after)).hexdigest() == after.sha256 != before.sha256
    with tarfile.open(fileobj=io.BytesIO(whole(after))) as tar:
        modes = {Path(member.name).name: member.mode for member in tar.getmembers()}
    assert modes.pop("model.onnx") == 0o755
    assert set(modes.values()) == {0o644}


def test_every_offset_gives_the_rest(folder: Path, manifest: Manifest) -> None:
    artifact = ArtifactStore().open(folder, manifest)
    archive = whole(artifact)
    random_offsets = random.Random(1).sample(range(len(archive)), 40)
    for offset in [0, 1, 511, 512, 513, len(archive) - 1, len(archive), *random_offsets]:
        assert b"".join(artifact.chunks(offset)) == archive[offset:]


def test_chunks_are_full_but_the_last(folder: Path, manifest: Manifest) -> None:
    artifact = ArtifactStore().open(folder, manifest)
    sizes = [len(chunk) for chunk in artifact.chunks(100, 256 * 1024)]
    assert set(sizes[:-1]) == {256 * 1024}
    assert sum(sizes) == artifact.size_bytes - 100


@pytest.mark.parametrize("offset", [-1, 10**9])
def test_an_offset_outside_is_refused(folder: Path, manifest: Manifest, offset: int) -> None:
    artifact = ArtifactStore().open(folder, manifest)
    with pytest.raises(InvalidArgumentError, match="no offset") as caught:
        artifact.chunks(offset)
    assert caught.value.field == "offset"


def other_export(folder: Path) -> None:
    shutil.rmtree(folder)
    export(folder, {**CONTENTS, "model.onnx": b"another"}, seconds=1)


def same_files_again(folder: Path) -> None:
    shutil.rmtree(folder)
    export(folder, CONTENTS, seconds=1)


def changed_content(folder: Path) -> None:
    (folder / "hierarchy.json").write_bytes(b"[]")


def longer(folder: Path) -> None:
    (folder / "hierarchy.json").write_bytes(b"{ }")


def removed_file(folder: Path) -> None:
    (folder / "empty").unlink()


def linked_file(folder: Path) -> None:
    (folder / "hierarchy.json").unlink()
    (folder / "hierarchy.json").symlink_to("/etc/hostname")


def a_pipe(folder: Path) -> None:
    (folder / "empty").unlink()
    os.mkfifo(folder / "empty")


def no_manifest(folder: Path) -> None:
    (folder / MANIFEST_NAME).unlink()


def nonsense_manifest(folder: Path) -> None:
    (folder / MANIFEST_NAME).write_bytes(b"nonsense")


def linked_folder(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))
    folder.symlink_to("moved")


@pytest.mark.parametrize(
    ("happens", "message"),
    [
        (other_export, "holds another export by now"),
        (same_files_again, "holds another export by now"),
        (changed_content, "the content of .* differs"),
        (longer, "the size of .* differs"),
        (removed_file, "empty: No such file"),
        (linked_file, "hierarchy.json: Too many levels"),
        (a_pipe, "is not a file"),
        (no_manifest, "manifest.json: No such file"),
        (nonsense_manifest, "not a manifest"),
        (linked_folder, "is gone"),
        (shutil.rmtree, "is gone"),
    ],
)
def test_what_is_not_that_export_any_more_is_refused(
    folder: Path, manifest: Manifest, happens, message: str
) -> None:
    store = ArtifactStore()
    store.open(folder, manifest)
    happens(folder)
    with pytest.raises(FailedPreconditionError, match=message):
        store.open(folder, manifest)


def test_a_download_that_has_begun_stays_of_one_export(folder: Path, manifest: Manifest) -> None:
    artifact = ArtifactStore().open(folder, manifest)
    chunks: Iterator[bytes] = artifact.chunks()
    begun = next(chunks)
    other_export(folder)
    archive = begun + b"".join(chunks)
    assert hashlib.sha256(archive).hexdigest() == artifact.sha256


def test_a_file_that_shrinks_under_the_reader_ends_the_download(
    folder: Path, manifest: Manifest
) -> None:
    artifact = ArtifactStore().open(folder, manifest)
    os.truncate(folder / "model.onnx", 10)
    with pytest.raises(FailedPreconditionError, match="has become shorter"):
        whole(artifact)


def test_files_are_closed_when_nobody_reads_any_more(folder: Path, manifest: Manifest) -> None:
    store = ArtifactStore()
    store.open(folder, manifest)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        whole(store.open(folder, manifest))
        next(iter(store.open(folder, manifest).chunks()))
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_the_digest_is_made_once(
    folder: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ArtifactStore()
    first = store.open(folder, manifest)
    monkeypatch.setattr("exporter.artifacts._sha256", None)
    assert store.open(folder, manifest).sha256 == first.sha256


def test_a_manifest_cannot_name_files_outside(folder: Path, manifest: Manifest) -> None:
    outside = folder.parent / "secret"
    outside.write_bytes(b"secret")
    forged = replace(manifest, files=(replace(manifest.files[0], path="../secret", size_bytes=6),))
    (folder / MANIFEST_NAME).write_bytes(manifest_to_bytes(forged))
    with pytest.raises(FailedPreconditionError):
        ArtifactStore().open(folder, manifest)
