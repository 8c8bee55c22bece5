"""The export itself: compared on spread rows, published once, whatever moment it is killed at."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from exporter import Exporter, ExportSpec, exporting
from exporter.checkpoints import locate
from exporter.commit_markers import marker_name, sweep_markers
from exporter.conftest import TIME, import_other_classes
from exporter.exporting import run_export
from exporter.formats import write_onnx
from exporter.job_kind import EXPORT, workspace_of
from exporter.manifests import manifest_from_bytes
from exporter.planning import plan_export
from exporter.results import ExportResult
from exporter.rows import parity_split, spread_rows, spread_texts
from ktt_core import atomic
from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    JobFailedError,
    KttError,
    NotFoundError,
    UnsupportedError,
)
from ktt_core.parity import ParityFigures
from ktt_core.progress import ignore_progress
from ktt_core.taxonomy import Taxonomy
from ktt_jobs import TaskContext
from ktt_jobs.context import EventWriter
from ktt_jobs.publishing import resolve
from ktt_models.sklearn.model import SklearnModel
from ktt_models.tfidf_hsgd.tfidf_hsgd import TfidfHSGD

SPEC = ExportSpec("shop", "tfidf_hsgd")


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def folder(workspace: Path) -> Path:
    """Return a job's folder."""
    folder = workspace / "jobs/exporter/0b5e6f1c-2f7a-4d7e-9d55-6a1f0c3e8b42"
    (folder / "files").mkdir(parents=True)
    return folder


def context(folder: Path) -> TaskContext:
    return TaskContext(folder.name, 1, folder, EventWriter(io.StringIO()))


def run(folder: Path) -> dict[str, Any]:
    """Run a job as its worker does, which empties the folder for files first."""
    shutil.rmtree(folder / "files")
    (folder / "files").mkdir()
    return run_export(SPEC.to_json(), context(folder))


def test_the_result_is_settled_once_the_folder_is_there(workspace: Path, folder: Path) -> None:
    result = run(folder)
    assert resolve(folder) == result
    assert (workspace / result["path"] / "manifest.json").is_file()


def killed_while_it_publishes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, target: object, name: str
) -> None:
    """Run a job that is killed when it calls something."""

    def killed(*arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(target, name, killed)
        # What is killed cleans nothing up.
        patched.setattr("ktt_jobs.context.abort", lambda folder: None)
        patched.setattr(shutil, "rmtree", lambda *arguments, **options: None)
        with pytest.raises(Killed):
            run_export(SPEC.to_json(), context(folder))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_an_export_killed_before_its_step_is_made_again(
    workspace: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = workspace / run(folder)["path"] / "manifest.json"
    older = manifest.read_bytes()
    shutil.rmtree(folder)
    (folder / "files").mkdir(parents=True)
    killed_while_it_publishes(folder, monkeypatch, atomic, "_swap")
    assert manifest.read_bytes() == older
    assert resolve(folder) is None
    result = run(folder)
    assert resolve(folder) == result
    assert names(workspace / "outputs") == {".lock", "tfidf_hsgd_shop"}


@pytest.mark.parametrize(
    ("target", "name"), [(Path, "rename"), (exporting, "fsync_directory"), (Path, "unlink")]
)
def test_an_export_killed_after_its_step_is_not_made_again(
    workspace: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    target: object,
    name: str,
) -> None:
    exported = workspace / run(folder)["path"]
    older = (exported / "manifest.json").read_bytes()
    shutil.rmtree(folder)
    (folder / "files").mkdir(parents=True)
    killed_while_it_publishes(folder, monkeypatch, target, name)
    newer = (exported / "manifest.json").read_bytes()
    assert newer != older
    for _ in range(2):
        result = resolve(folder)
        assert result is not None
        assert manifest_from_bytes(newer, exported) == ExportResult.from_json(result).manifest
    # Nor if another export takes its place before anybody looks.
    other = folder.with_name("6b1a83f6-0d0a-4f6b-9a58-8a4f5c3a9d21")
    (other / "files").mkdir(parents=True)
    run(other)
    assert resolve(folder) == result
    assert not [path for path in names(exported) if path.startswith(".")]


def test_marks_of_jobs_that_have_ended_go(workspace: Path) -> None:
    exporter = Exporter(workspace)
    exporter.export(SPEC)
    exported = workspace / "outputs/tfidf_hsgd_shop"
    before = names(exported)
    (ended,), _ = exporter.list_jobs(EXPORT)
    waiting = exporter.submit(EXPORT, SPEC)
    for job in (ended, waiting):
        (exported / marker_name(job.id)).touch()
    (exported / ".published-by-me").touch()
    sweep_markers(workspace, exporter.jobs)
    assert names(exported) - before == {marker_name(waiting.id), ".published-by-me"}


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


@pytest.mark.parametrize("roots", [("Bread", "Wine"), ("Bread", "Wine", "Salt")])
def test_an_export_is_of_the_checkpoints_own_classes_whatever_the_dataset_has_now(
    workspace: Path, folder: Path, tmp_path: Path, roots: tuple[str, ...]
) -> None:
    model = TfidfHSGD.from_checkpoint(
        workspace / f"weights/tfidf_hsgd/shop/best_{TIME}.safetensors"
    )
    import_other_classes(workspace, tmp_path, roots)
    result = run(folder)
    assert result["manifest"]["parity"]["top_path_agreement"] == 1.0
    hierarchy = json.loads((workspace / result["path"] / "hierarchy.json").read_text())
    assert Taxonomy.from_json(hierarchy["taxonomy"]) == model.taxonomy
    (answer,) = Exporter(workspace).predict("shop", "tfidf_hsgd", ["a red snare drum"])
    assert answer[0].path == ("Music", "Drums")


@pytest.mark.parametrize("roots", [("Bread", "Wine"), ("Bread", "Wine", "Salt")])
def test_a_graph_is_not_measured_on_labels_of_other_classes(
    workspace: Path, tmp_path: Path, roots: tuple[str, ...]
) -> None:
    model_class, file = locate(workspace, "shop", "tfidf_hsgd", "best", None)
    model = model_class.from_checkpoint(file.path)
    import_other_classes(workspace, tmp_path, roots)
    spec = dataclasses.replace(SPEC, quantize="int8")
    target = tmp_path / "exported"
    target.mkdir()
    with pytest.raises(FailedPreconditionError, match="other classes.*0 of its 4.*--quantize"):
        write_onnx(plan_export(workspace, spec), model, target, ignore_progress)
    assert not list(target.iterdir())


class Rows:
    """A split of numbered texts, which have their numbers as codes too."""

    def __init__(self, n_rows: int) -> None:
        self.n_rows = n_rows

    def iter_batches(self, batch_rows: int) -> Iterator[tuple[list[str], NDArray[np.int32]]]:
        for start in range(0, self.n_rows, 7):
            numbers = np.arange(start, min(start + 7, self.n_rows), dtype=np.int32)
            yield [str(n) for n in numbers], numbers[:, None]


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 100))
def test_rows_are_spread_over_the_split(n_rows: int, limit: int) -> None:
    found = [int(text) for text in spread_texts(Rows(n_rows), limit)]  # type: ignore[arg-type]
    assert len(found) == min(n_rows, limit)
    assert found == sorted(set(found))
    steps = {right - left for left, right in zip(found, found[1:], strict=False)}
    assert not steps or max(steps) - min(steps) <= 1
    batches = list(spread_rows(Rows(n_rows), limit))  # type: ignore[arg-type]
    assert [text for batch in batches for text in batch.inputs["text"]] == list(map(str, found))
    assert [code for batch in batches for code in batch.codes[:, 0]] == found


def test_a_jobs_folder_tells_its_workspace(tmp_path: Path) -> None:
    assert workspace_of(tmp_path / "jobs/exporter/id/files") == tmp_path
    nested = tmp_path / "jobs/exporter/ws"
    assert workspace_of(nested / "jobs/exporter/id/files") == nested
    with pytest.raises(ValueError, match="not in a store"):
        workspace_of(tmp_path / "jobs/trainer/id")


# -- without a server ------------------------------------------------------------------------------


def test_an_export_needs_no_server(workspace: Path) -> None:
    events: list[Any] = []
    exporter = Exporter(workspace)
    result = exporter.export(SPEC, events.append)
    assert result.path == "outputs/tfidf_hsgd_shop"
    assert result.manifest.checkpoint.run_time == TIME
    (job,), _ = exporter.list_jobs(EXPORT, "shop", "tfidf_hsgd")
    assert job.result == result.to_json()
    assert [event.sequence for event in exporter.jobs.watch(job.id)] == [
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
    (job,), _ = exporter.list_jobs(EXPORT)
    assert job.state == "CANCELLED"
    assert not (workspace / "outputs/tfidf_hsgd_shop").exists()


def test_what_the_worker_finds_is_raised_here(workspace: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no model 'none'"):
        Exporter(workspace).run_export(ExportSpec("shop", "none"))


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        (
            ExportSpec("shop", "tfidf_hsgd", quantize="int8"),
            UnsupportedError,
            "this model has none",
        ),
        (ExportSpec("shop", "tfidf_hsgd", quantize="int4"), InvalidArgumentError, "to 'int8', not"),
        (
            ExportSpec("shop", "tfidf_hsgd", format="bento", gpu=True, quantize="int8"),
            InvalidArgumentError,
            "not on CUDA",
        ),
    ],
)
def test_what_cannot_be_quantized_is_refused_before_a_job_is_made(
    workspace: Path, spec: ExportSpec, kind: type[KttError], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        Exporter(workspace).export(spec)
    if isinstance(caught.value, InvalidArgumentError):
        assert caught.value.field == "quantization"
    assert not (workspace / "jobs").exists()
