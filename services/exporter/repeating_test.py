"""A request that is repeated gets its job, whatever has become of what the job needed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from exporter.conftest import MODELS
from exporter.handlers import Exporter
from exporter.job_kind import EXPORT, open_jobs
from exporter.requests import ExportSpec
from ktt_core.errors import AlreadyExistsError, NotFoundError


def test_an_export_is_repeated_without_its_checkpoint(workspace: Path) -> None:
    exporter = Exporter(workspace, open_jobs(workspace))
    spec = ExportSpec("shop", MODELS[0])
    job = exporter.submit(EXPORT, spec, "once")
    shutil.rmtree(workspace / "weights")
    shutil.rmtree(workspace / "datasets")
    assert exporter.submit(EXPORT, spec, "once").id == job.id
    with pytest.raises(NotFoundError):
        exporter.submit(EXPORT, spec, "twice")
    for other in (ExportSpec("shop", MODELS[1]), ExportSpec("../..", "no model")):
        with pytest.raises(AlreadyExistsError, match="'once' was made before"):
            exporter.submit(EXPORT, other, "once")
