"""An export is checked once, before its job; the job notices what has changed since."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter import checking, planning
from exporter.checkpoints import locate
from exporter.conftest import TIME
from exporter.exporting import run_export
from exporter.handlers import Exporter
from exporter.job_kind import EXPORT, open_jobs
from exporter.requests import ExportSpec
from exporter.rows import parity_split
from ktt_core.checkpoints.format import read_arrays, write_arrays
from ktt_jobs import Job, TaskContext
from ktt_jobs.context import EventWriter

SPEC = ExportSpec("shop", "tfidf_hsgd")
CHECKPOINT = f"weights/tfidf_hsgd/shop/best_{TIME}.safetensors"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the calls in this process, where checks and look-ups are made."""
    counts: Counter[str] = Counter()

    def count(module: Any, function: Callable[..., Any]) -> None:
        name = f"{module.__name__}.{function.__name__}"

        def counted(*arguments: Any) -> Any:
            counts[name] += 1
            return function(*arguments)

        monkeypatch.setattr(module, function.__name__, counted)

    count(checking, checking.check_export)
    for module in (checking, planning):
        count(module, locate)
        count(module, parity_split)
    return counts


CHECKED_ONCE = {
    "exporter.checking.check_export": 1,
    "exporter.checking.locate": 1,
    "exporter.checking.parity_split": 1,
}


def test_a_submission_checks_once(workspace: Path, calls: Counter[str]) -> None:
    Exporter(workspace, open_jobs(workspace)).submit(EXPORT, SPEC)
    assert calls == CHECKED_ONCE


def test_an_export_in_a_command_checks_once(workspace: Path, calls: Counter[str]) -> None:
    Exporter(workspace).export(SPEC)
    assert calls == CHECKED_ONCE


def test_an_export_that_was_validated_is_not_checked_again(
    workspace: Path, calls: Counter[str]
) -> None:
    exporter = Exporter(workspace)
    exporter.validate(EXPORT, SPEC)
    exporter.run_export(SPEC)
    assert calls == CHECKED_ONCE


def test_a_job_looks_up_what_it_needs_and_checks_nothing_again(
    workspace: Path, calls: Counter[str]
) -> None:
    folder = workspace / "jobs/exporter/0b5e6f1c-2f7a-4d7e-9d55-6a1f0c3e8b42"
    (folder / "files").mkdir(parents=True)
    run_export(SPEC.to_json(), TaskContext(folder.name, 1, folder, EventWriter(io.StringIO())))
    assert calls == {"exporter.planning.locate": 1, "exporter.planning.parity_split": 1}


# -- what changes while a job is queued ------------------------------------------------------------


def damage(workspace: Path) -> None:
    content = bytearray((workspace / CHECKPOINT).read_bytes())
    content[-1] ^= 1
    (workspace / CHECKPOINT).write_bytes(content)


def put_another_models(workspace: Path) -> None:
    header, arrays = read_arrays(workspace / CHECKPOINT, "tfidf_hsgd")
    write_arrays(workspace / CHECKPOINT, {**header, "model": "tfidf_lsgd"}, arrays)


def take_the_folder(workspace: Path) -> None:
    (workspace / "outputs/tfidf_hsgd_shop").mkdir(parents=True)
    (workspace / "outputs/tfidf_hsgd_shop/thesis.tex").write_text("irreplaceable")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda path: (path / CHECKPOINT).unlink(), "NotFoundError", "there is no"),
        (damage, "CheckpointError", "damaged"),
        (put_another_models, "CheckpointError", "tfidf_lsgd"),
        (
            lambda path: shutil.rmtree(path / "datasets/shop"),
            "FailedPreconditionError",
            "import it again",
        ),
        (take_the_folder, "FailedPreconditionError", "has no manifest.json"),
    ],
)
def test_what_changes_between_submission_and_start_fails_the_job(
    workspace: Path, change: Callable[[Path], None], error: str, message: str
) -> None:
    exporter = Exporter(workspace, open_jobs(workspace))
    job_id = exporter.submit(EXPORT, SPEC).id
    change(workspace)
    job = finish(exporter, job_id)
    assert job.error is not None
    assert job.error.type == error
    assert message in job.error.message
    assert not list((workspace / "outputs").glob("*/manifest.json"))


def test_a_checkpoint_that_is_replaced_while_queued_is_the_one_exported(workspace: Path) -> None:
    exporter = Exporter(workspace, open_jobs(workspace))
    job_id = exporter.submit(EXPORT, SPEC).id
    newer = (workspace / CHECKPOINT).with_name("best_2026-02-01T00:00:00.safetensors")
    shutil.move(workspace / CHECKPOINT, newer)
    result = finish(exporter, job_id).result
    assert result is not None
    assert result["manifest"]["checkpoint"]["run_time"] == "2026-02-01T00:00:00"


def finish(exporter: Exporter, job_id: str) -> Job:
    """Start the queue, and return the job at its end."""
    exporter.jobs.start()
    try:
        for _ in exporter.jobs.watch(job_id):
            pass
        return exporter.jobs.get(job_id)
    finally:
        exporter.jobs.stop()
