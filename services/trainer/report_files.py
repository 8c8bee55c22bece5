"""Reading of training runs' reports."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ktt_core.checkpoints.paths import check_run_time, report_path
from ktt_core.errors import DataError, NotFoundError
from ktt_core.fields import at_field
from ktt_core.names import check_name
from ktt_core.regular_files import open_regular
from ktt_core.workspace import Workspace

__all__ = ["ReportFile", "read_report"]

_REPORT = re.compile(r"last_(.+)_report\.html")
# Far larger than any report.
_MAX_BYTES = 256 * 1024**2


@dataclass(frozen=True)
class ReportFile:
    """The report of a run.

    Attributes
    ----------
    model, dataset : str
    run_time : str
        The start of the run, UTC.
    path : Path
        File of the report.
    content : bytes
    """

    model: str
    dataset: str
    run_time: str
    path: Path
    content: bytes

    @property
    def file_name(self) -> str:
        """File name that is unique among reports."""
        return f"{self.model}_{self.dataset}_{self.run_time}_report.html"


def read_report(
    workspace: Workspace, model: str, dataset: str, run_time: str | None = None
) -> ReportFile:
    """Read the report of a run.

    Parameters
    ----------
    workspace : Workspace
    model, dataset : str
    run_time : str, optional
        The start of the run, UTC; without it, the newest that left a report.

    Raises
    ------
    InvalidArgumentError
        If a name or the time is invalid.
    NotFoundError
        If there is no report; the message lists the runs that have one.
    DataError
        If it cannot be read.
    """
    with at_field("model"):
        check_name(model, "model")
    with at_field("dataset"):
        check_name(dataset, "dataset")
    if run_time is not None:
        with at_field("run_time"):
            check_run_time(run_time)
    folder = workspace.weights_folder(model, dataset)
    times = _times(folder)
    chosen = run_time or (times[0] if times else None)
    if chosen is None or chosen not in times:
        raise NotFoundError(_missing(workspace, model, dataset, run_time, times))
    path = report_path(folder, chosen)
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            content = file.read(_MAX_BYTES)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    return ReportFile(model, dataset, chosen, path, content)


def _times(folder: Path) -> list[str]:
    """Return the runs that left a report, the newest first."""
    found = (_REPORT.fullmatch(path.name) for path in folder.glob("last_*_report.html"))
    return sorted((match[1] for match in found if match), reverse=True)


def _missing(
    workspace: Workspace, model: str, dataset: str, run_time: str | None, times: list[str]
) -> str:
    what = f"report of {model!r} on {dataset!r}{f' of {run_time}' if run_time else ''}"
    if times:
        return f"there is no {what}; there are those of: {', '.join(times[:20])}"
    others = sorted(
        path.parent.parent.name
        for path in workspace.root.glob(f"weights/*/{dataset}/last_*_report.html")
    )
    known = ", ".join(dict.fromkeys(others)) or "none"
    return (
        f"there is no {what}: every `ktt train {dataset} -m {model}` leaves one; models with a "
        f"report of {dataset!r}: {known}"
    )
