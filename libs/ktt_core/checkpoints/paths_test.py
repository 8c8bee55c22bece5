"""Checkpoints are found again by label and time."""

from __future__ import annotations

from pathlib import Path

import pytest

from ktt_core.checkpoints.paths import (
    checkpoint_path,
    find_checkpoint,
    list_checkpoint_files,
    reference_path,
    report_path,
)
from ktt_core.errors import InvalidArgumentError, NotFoundError

T1, T2, T3 = "2026-01-31T12:34:56", "2026-01-31T12:34:57", "2026-02-01T00:00:00"


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


def test_names_are_those_of_the_workspace(tmp_path: Path) -> None:
    assert checkpoint_path(tmp_path, "best", T1, ".pt").name == "best_2026-01-31T12:34:56.pt"
    assert reference_path(tmp_path, T1).name == "last_2026-01-31T12:34:56_reference.parquet"
    assert report_path(tmp_path, T1).name == "last_2026-01-31T12:34:56_report.html"


def test_the_newest_best_is_found_whatever_its_extension(tmp_path: Path) -> None:
    touch(
        tmp_path,
        f"best_{T1}.safetensors",
        f"best_{T2}.pt",
        f"last_{T3}.pt",
        f"last_{T3}_reference.parquet",
    )
    assert find_checkpoint(tmp_path).path.name == f"best_{T2}.pt"
    assert find_checkpoint(tmp_path, "last").path.name == f"last_{T3}.pt"
    assert find_checkpoint(tmp_path, "best", T1).path.name == f"best_{T1}.safetensors"
    assert [(file.label, file.time) for file in list_checkpoint_files(tmp_path)] == [
        ("last", T3),
        ("best", T2),
        ("best", T1),
    ]


def test_files_of_other_kinds_are_no_checkpoints(tmp_path: Path) -> None:
    touch(
        tmp_path,
        f"last_{T1}_reference.parquet",
        f"last_{T1}_report.html",
        f".tmp-1-best_{T1}.pt",
        f"best_{T1}.pt.bak",
        "best.pt",
        f".run-{T1}",
    )
    (tmp_path / f"best_{T2}.pt").mkdir()
    assert list_checkpoint_files(tmp_path) == []


def test_a_missing_checkpoint_lists_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing was trained there yet"):
        find_checkpoint(tmp_path / "nowhere")
    touch(tmp_path, f"best_{T1}.safetensors", f"best_{T2}.safetensors")
    with pytest.raises(NotFoundError, match=f"'best' checkpoint of {T3}.*best {T2}, best {T1}"):
        find_checkpoint(tmp_path, "best", T3)
    with pytest.raises(NotFoundError, match="keeps only its best state.*best"):
        find_checkpoint(tmp_path, "last")


@pytest.mark.parametrize(
    "run_time",
    ["", "yesterday", "../../etc/passwd", "2026-02-30T00:00:00", T1 + "Z", "2026-1-1T1:1:1"],
)
def test_a_time_that_is_none_is_refused(tmp_path: Path, run_time: str) -> None:
    with pytest.raises(InvalidArgumentError, match="not a run's time"):
        find_checkpoint(tmp_path, "best", run_time)


def test_a_label_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="'best' or 'last'"):
        find_checkpoint(tmp_path, "worst")
