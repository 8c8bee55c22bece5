"""The export itself: compared on spread rows, published once, whatever moment it is killed at."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter import Exporter, ExportSpec
from exporter.conftest import TIME
from exporter.exporting import run_export
from exporter.job_kind import workspace_of
from exporter.rows import parity_split, spread_texts
from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import (
    FailedPreconditionError,
    JobFailedError,
    NotFoundError,
    UnsupportedError,
)
from ktt_core.parity import ParityFigures
from ktt_jobs import TaskContext
from ktt_jobs.context import EventWriter
from ktt_jobs.publishing import settle
from ktt_models.sklearn.model import SklearnModel

SPEC = ExportSpec("shop", "tfidf_hsgd")


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def folder(workspace: Path) -> Path:
    """Return a job's folder."""
    folder = workspace / "jobs/exporter/some-job"
    (folder / "files").mkdir(parents=True)
    return folder


def context(folder: Path) -> TaskContext:
    return TaskContext("some-job", 1, folder, EventWriter(io.StringIO()))


def run(folder: Path) -> dict[str, Any]:
    """Run a job as its worker does, which empties the folder for files first."""
    shutil.rmtree(folder / "files")
    (folder / "files").mkdir()
    return run_export(SPEC.to_json(), context(folder))


def test_the_result_is_settled_once_the_folder_is_there(workspace: Path, folder: Path) -> None:
    result = run(folder)
    assert settle(folder) == result
    assert (workspace / result["path"] / "manifest.json").is_file()


@pytest.mark.parametrize("moment", ["before the step", "after the step"])
def test_an_export_killed_while_it_publishes_is_made_again(
    workspace: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    manifest = workspace / run(folder)["path"] / "manifest.json"
    older = manifest.read_bytes()
    shutil.rmtree(folder)
    (folder / "files").mkdir(parents=True)

    def killed(*arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        if moment == "before the step":
            patched.setattr("ktt_core.atomic._swap", killed)
        else:
            patched.setattr(Path, "rename", killed)
        # What is killed cleans nothing up.
        patched.setattr("ktt_jobs.context.withdraw", lambda folder: None)
        patched.setattr(shutil, "rmtree", lambda *arguments, **options: None)
        with pytest.raises(Killed):
            run_export(SPEC.to_json(), context(folder))
    assert (manifest.read_bytes() == older) == (moment == "before the step")
    assert settle(folder) is None
    result = run(folder)
    assert settle(folder) == result
    assert {path.name for path in (workspace / "outputs").iterdir()} == {
        ".lock",
        "tfidf_hsgd_shop",
    }


@pytest.mark.parametrize(
    ("agreement", "difference", "passes"),
    [
        (1.0, 0.0, True),
        (0.999, 1e-4, True),
        (0.9989, 0.0, False),
        (1.0, 1.01e-4, False),
        (1.0, float("nan"), False),
        (float("nan"), 0.0, False),
    ],
)
def test_only_what_answers_as_its_checkpoint_is_published(
    workspace: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    agreement: float,
    difference: float,
    passes: bool,
) -> None:
    def parity(model: SklearnModel, exported: Path, texts: Iterator[str]) -> ParityFigures:
        return ParityFigures(len(list(texts)), agreement, difference)

    monkeypatch.setattr(SklearnModel, "onnx_parity", parity)
    if passes:
        assert run(folder)["manifest"]["parity"]["rows"] == 16
    else:
        with pytest.raises(JobFailedError, match="nothing was published"):
            run(folder)
    assert (workspace / "outputs/tfidf_hsgd_shop").exists() == passes
    assert not list((workspace / "outputs").glob(".tmp-*"))


def test_rows_are_of_the_first_split_that_has_some(tmp_path: Path, workspace: Path) -> None:
    assert parity_split(workspace, "shop")[0] == "test"
    source = tmp_path / "few.csv"
    source.write_text("text,class,split\n" + "".join(f"t{n},c{n % 2},train\n" for n in range(8)))
    options = ImportOptions(text="text", level_columns=("class",), split_column="split")
    import_dataset(source, workspace / "datasets/few", options)
    assert parity_split(workspace, "few")[0] == "train"
    with pytest.raises(FailedPreconditionError, match="import it again"):
        parity_split(workspace, "none")


class Rows:
    """A split of numbered texts."""

    def __init__(self, n_rows: int) -> None:
        self.n_rows = n_rows

    def iter_batches(self, batch_rows: int) -> Iterator[tuple[list[str], None]]:
        for start in range(0, self.n_rows, 7):
            yield [str(n) for n in range(start, min(start + 7, self.n_rows))], None


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 100))
def test_rows_are_spread_over_the_split(n_rows: int, limit: int) -> None:
    found = [int(text) for text in spread_texts(Rows(n_rows), limit)]  # type: ignore[arg-type]
    assert len(found) == min(n_rows, limit)
    assert found == sorted(set(found))
    steps = {right - left for left, right in zip(found, found[1:], strict=False)}
    assert not steps or max(steps) - min(steps) <= 1


def test_a_jobs_folder_tells_its_workspace(tmp_path: Path) -> None:
    assert workspace_of(tmp_path / "jobs/exporter/id/files") == tmp_path
    nested = tmp_path / "jobs/exporter/ws"
    assert workspace_of(nested / "jobs/exporter/id/files") == nested
    with pytest.raises(ValueError, match="in no store"):
        workspace_of(tmp_path / "jobs/trainer/id")


# -- without a server ------------------------------------------------------------------------------


def test_an_export_needs_no_server(workspace: Path) -> None:
    events: list[Any] = []
    exporter = Exporter(workspace)
    result = exporter.export(SPEC, events.append)
    assert result.path == "outputs/tfidf_hsgd_shop"
    assert result.manifest.checkpoint.run_time == TIME
    (job,), _ = exporter.list_exports("shop", "tfidf_hsgd")
    assert job.result == result.to_json()
    assert [event.sequence for event in exporter.watch_export(job.id)] == [
        event.sequence for event in events
    ]
    archive = exporter.open_artifact(job.id)
    assert sum(map(len, archive.chunks())) == archive.size_bytes


def test_an_interrupted_export_publishes_nothing(workspace: Path) -> None:
    def interrupt(event: Any) -> None:
        if event.progress is not None:
            raise KeyboardInterrupt

    exporter = Exporter(workspace)
    with pytest.raises(KeyboardInterrupt):
        exporter.export(SPEC, interrupt)
    (job,), _ = exporter.list_exports()
    assert job.state == "CANCELLED"
    assert not (workspace / "outputs/tfidf_hsgd_shop").exists()


def test_what_the_worker_finds_is_raised_here(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Exporter, "validate_export", lambda self, spec: None)
    with pytest.raises(NotFoundError, match="there is no model 'none'"):
        Exporter(workspace).export(ExportSpec("shop", "none"))


def test_bento_says_what_is_missing(workspace: Path) -> None:
    with pytest.raises(UnsupportedError, match="packer"):
        Exporter(workspace).export(ExportSpec("shop", "tfidf_hsgd", format="bento"))
    assert not (workspace / "build").exists()
    assert not (workspace / "jobs").exists()
