"""A folder is only replaced by a newer export of the same, and only used whole."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from cli.backend.folders import check_files, check_owner
from ktt_core.errors import ConflictError, DataError

FILES = {"model.onnx": b"graph", "sub/terms.json": b"{}"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tfidf_hsgd_shop"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    change(folder)
    return folder


def change(folder: Path, **fields: Any) -> None:
    manifest = {
        "format": "onnx",
        "model": "tfidf_hsgd",
        "dataset": "shop",
        "files": [
            {"path": name, "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in FILES.items()
        ],
    }
    (folder / "manifest.json").write_text(json.dumps({**manifest, **fields}))


def pipe(path: Path) -> None:
    """Put a pipe, whose opening waits for a writer, where a file was."""
    path.unlink()
    os.mkfifo(path)


def test_a_whole_folder_is_taken(folder: Path) -> None:
    assert check_files(folder, "tfidf_hsgd", "shop")["model"] == "tfidf_hsgd"
    check_owner(folder, "tfidf_hsgd", "shop", "onnx")
    check_owner(folder.with_name("not_there"), "tfidf_hsgd", "shop", "onnx")


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "model.onnx").write_bytes(b"other"),
        lambda folder: (folder / "model.onnx").unlink(),
        lambda folder: (folder / "more.py").write_bytes(b"import os"),
        lambda folder: (folder / "manifest.json").unlink(),
        lambda folder: (folder / "manifest.json").write_text("["),
        lambda folder: pipe(folder / "manifest.json"),
        lambda folder: pipe(folder / "model.onnx"),
        lambda folder: (folder / "manifest.json").write_text("[]"),
        lambda folder: change(folder, files=3),
        lambda folder: change(folder, files=["model.onnx"]),
        lambda folder: change(folder, files=[{"path": "model.onnx"}]),
        lambda folder: change(folder, model="tfidf_lsgd"),
        lambda folder: change(folder, dataset="other"),
    ],
)
def test_a_folder_that_is_not_as_its_manifest_says_is_refused(folder: Path, harm: Any) -> None:
    harm(folder)
    with pytest.raises(DataError):
        check_files(folder, "tfidf_hsgd", "shop")


def test_what_belongs_to_something_else_is_not_replaced(folder: Path) -> None:
    with pytest.raises(ConflictError, match="'tfidf_hsgd' on 'shop'"):
        check_owner(folder, "tfidf", "hsgd_shop", "onnx")
    (folder / "manifest.json").unlink()
    with pytest.raises(ConflictError, match="not from an export"):
        check_owner(folder, "tfidf_hsgd", "shop", "onnx")
    link = folder.with_name("link")
    link.symlink_to(folder)
    with pytest.raises(ConflictError, match="not a folder"):
        check_owner(link, "tfidf_hsgd", "shop", "onnx")
    with pytest.raises(ConflictError, match="not a folder"):
        check_owner(folder / "model.onnx", "tfidf_hsgd", "shop", "onnx")
