"""Exports replace their own older ones and nothing else; what fails leaves things as they were."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.folders import check_owner, export_folder, folder_name, make_export
from exporter.manifests import MANIFEST_NAME, manifest_to_bytes
from exporter.requests import ExportSpec
from exporter.results import ExportedCheckpoint, Manifest, ParityResult
from ktt_core.errors import FailedPreconditionError, InvalidArgumentError

SPEC = ExportSpec("shop", "tfidf_hsgd")


def manifest(model: str = "tfidf_hsgd", dataset: str = "shop", format: str = "onnx") -> Manifest:
    return Manifest(
        format=format,
        model=model,
        dataset=dataset,
        checkpoint=ExportedCheckpoint("best_x", "best", "2026-01-31T12:34:56", "00" * 32),
        versions={"numpy": "2.4"},
        opset=17,
        parity=ParityResult(10, "test", 1.0, 0.0, 0.999, 1e-4),
        temperature=1.5,
        files=(),
        create_time=datetime(2026, 1, 31, tzinfo=UTC),
    )


def write(folder: Path, content: str = "graph", **names: str) -> str:
    (folder / "model.onnx").write_text(content)
    (folder / MANIFEST_NAME).write_bytes(manifest_to_bytes(manifest(**names)))
    return content


def export(workspace: Path, content: str, spec: ExportSpec = SPEC) -> Path:
    folder = export_folder(workspace, spec)
    make_export(
        folder, spec, lambda hidden: write(hidden, content), lambda _: contextlib.nullcontext()
    )
    return folder


def files(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_a_newer_export_takes_the_place_of_the_older(tmp_path: Path) -> None:
    export(tmp_path, "old")
    folder = export(tmp_path, "new")
    assert folder == tmp_path / "outputs/tfidf_hsgd_shop"
    assert (folder / "model.onnx").read_text() == "new"
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, ".lock"}


def test_formats_have_places_of_their_own(tmp_path: Path) -> None:
    spec = replace(SPEC, format="bento")
    assert export_folder(tmp_path, spec) == tmp_path / "build/tfidf_hsgd_shop"


@pytest.mark.parametrize("name", ["../x", "", "a/b", "con", "x" * 64, "a\n"])
def test_hostile_names_make_no_path(name: str) -> None:
    with pytest.raises(InvalidArgumentError):
        folder_name("tfidf_hsgd", name)
    with pytest.raises(InvalidArgumentError):
        folder_name(name, "shop")


def foreign_folder(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("irreplaceable")


def empty_folder(folder: Path) -> None:
    folder.mkdir(parents=True)


def a_file(folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("irreplaceable")


def a_link(folder: Path) -> None:
    target = folder.parent.parent / "elsewhere"
    target.mkdir(parents=True)
    write(target)
    folder.parent.mkdir(parents=True)
    folder.symlink_to(target)


def colliding_names(folder: Path) -> None:
    folder.mkdir(parents=True)
    write(folder, model="tfidf", dataset="hsgd_shop")


def other_format(folder: Path) -> None:
    folder.mkdir(parents=True)
    write(folder, format="bento")


def nonsense_manifest(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / MANIFEST_NAME).write_text('{"model": "tfidf_hsgd", "dataset": "shop"')


def linked_manifest(folder: Path) -> None:
    folder.mkdir(parents=True)
    own = folder.parent.parent / "own.json"
    own.write_bytes(manifest_to_bytes(manifest()))
    (folder / MANIFEST_NAME).symlink_to(own)


def manifest_that_is_a_pipe(folder: Path) -> None:
    folder.mkdir(parents=True)
    os.mkfifo(folder / MANIFEST_NAME)


def manifest_that_is_a_folder(folder: Path) -> None:
    (folder / MANIFEST_NAME).mkdir(parents=True)


def later_manifest(folder: Path) -> None:
    folder.mkdir(parents=True)
    later = replace(manifest(), format_version=2)
    (folder / MANIFEST_NAME).write_bytes(manifest_to_bytes(later))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (foreign_folder, "has no manifest.json"),
        (empty_folder, "has no manifest.json"),
        (a_file, "is not a folder"),
        (a_link, "is not a folder"),
        (colliding_names, "export of 'tfidf' on 'hsgd_shop'"),
        (other_format, "an export to 'bento'"),
        (nonsense_manifest, "is not a manifest"),
        (linked_manifest, "cannot be read"),
        (manifest_that_is_a_pipe, "cannot be read"),
        (manifest_that_is_a_folder, "cannot be read"),
        (later_manifest, "another version of KTT"),
    ],
)
def test_what_is_not_ours_is_refused_and_stays(tmp_path: Path, make, message: str) -> None:
    folder = export_folder(tmp_path, SPEC)
    make(folder)
    before = files(tmp_path)
    with pytest.raises(FailedPreconditionError, match=message):
        export(tmp_path, "new")
    assert files(tmp_path) == before


def test_what_comes_during_the_writing_is_refused_too(tmp_path: Path) -> None:
    folder = export_folder(tmp_path, SPEC)

    def slow(hidden: Path) -> None:
        write(hidden)
        colliding_names(folder)

    with pytest.raises(FailedPreconditionError, match="whose name is the same"):
        make_export(folder, SPEC, slow, lambda _: contextlib.nullcontext())
    assert "hsgd_shop" in (folder / MANIFEST_NAME).read_text()


def test_a_full_disk_leaves_the_older_export(tmp_path: Path) -> None:
    folder = export(tmp_path, "old")
    before = files(folder)

    def full(hidden: Path) -> None:
        write(hidden)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        make_export(folder, SPEC, full, lambda _: contextlib.nullcontext())
    assert files(folder) == before
    assert not list(folder.parent.glob(".tmp-*"))


def test_nothing_is_published_that_cannot_be_recorded(tmp_path: Path) -> None:
    @contextlib.contextmanager
    def broken(result: str) -> Iterator[None]:
        raise OSError(errno.ENOSPC, f"no place to record {result}")
        yield

    folder = export_folder(tmp_path, SPEC)
    with pytest.raises(OSError, match="no place to record graph"):
        make_export(folder, SPEC, write, broken)
    assert not folder.exists()


def test_the_record_stands_before_the_export_does(tmp_path: Path) -> None:
    folder, seen = export_folder(tmp_path, SPEC), []

    @contextlib.contextmanager
    def recording(result: str) -> Iterator[None]:
        seen.append(folder.exists())
        yield
        seen.append(folder.exists())

    assert make_export(folder, SPEC, write, recording) == "graph"
    assert seen == [False, True]


def test_leftovers_of_killed_exports_are_removed(tmp_path: Path) -> None:
    leftover = tmp_path / "outputs/.tmp-1-x"
    leftover.mkdir(parents=True)
    export(tmp_path, "new")
    assert not leftover.exists()


def test_of_two_pairs_with_one_name_the_first_has_it(tmp_path: Path) -> None:
    specs = [ExportSpec("c", "a_b"), ExportSpec("b_c", "a")]
    assert export_folder(tmp_path, specs[0]) == export_folder(tmp_path, specs[1])
    barrier, refused = threading.Barrier(2), []

    def run(spec: ExportSpec) -> None:
        def together(hidden: Path) -> None:
            write(hidden, model=spec.model, dataset=spec.dataset)
            barrier.wait(10)

        try:
            make_export(
                export_folder(tmp_path, spec), spec, together, lambda _: contextlib.nullcontext()
            )
        except FailedPreconditionError:
            refused.append(spec)

    threads = [threading.Thread(target=run, args=[spec]) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (loser,) = refused
    (winner,) = [spec for spec in specs if spec != loser]
    check_owner(export_folder(tmp_path, winner), winner)
