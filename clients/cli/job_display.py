"""Display of jobs: as a row of a table, in full, as a JSON value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cli.output import format_figure, in_order, print_table
from cli.printing import echo, print_json

if TYPE_CHECKING:
    from ktt_core.progress import Progress
    from ktt_jobs import Job, JobError, JobEvent

__all__ = ["event_to_json", "job_to_json", "print_job", "print_jobs", "show_detached"]


def job_to_json(job: Job) -> dict[str, Any]:
    """Return a JSON value; times are UTC in ISO 8601."""
    return {
        "id": job.id,
        "kind": job.kind,
        "dataset": job.labels.get("dataset"),
        "model": job.labels.get("model"),
        "state": job.state.value,
        "spec": dict(job.spec),
        "create_time": _time(job.create_time),
        "start_time": _time(job.start_time),
        "end_time": _time(job.end_time),
        "progress": _progress_to_json(job.progress, job.eta),
        "jobs_ahead": job.jobs_ahead,
        "attempt": job.attempt,
        "cancel_requested": job.cancel_requested,
        "error": _error_to_json(job.error),
        "result": dict(job.result) if job.result is not None else None,
    }


def event_to_json(job_id: str, event: JobEvent) -> dict[str, Any]:
    """Return a JSON value: either "state" or "progress" is null."""
    return {
        "job": job_id,
        "sequence": event.sequence,
        "time": _time(event.time),
        "state": event.state.value if event.state else None,
        "progress": _progress_to_json(event.progress, event.eta),
    }


def _time(time: datetime | None) -> str | None:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z") if time else None


def _progress_to_json(progress: Progress | None, eta: float | None) -> dict[str, Any] | None:
    if progress is None:
        return None
    return {
        "phase": progress.phase,
        "step": progress.step,
        "total": progress.total,
        "unit": progress.unit,
        "metrics": dict(progress.metrics),
        "eta": eta,
    }


def _error_to_json(error: JobError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        "type": error.type,
        "message": error.message,
        "exit_code": error.exit_code,
        "signal": error.signal or None,
        "log_tail": list(error.log_tail),
    }


def print_jobs(jobs: Sequence[Job]) -> None:
    """Print a table."""
    print_table(
        ["job", "kind", "model", "dataset", "state", "progress", "made (UTC)", "took>"],
        [
            (
                job.id,
                job.kind,
                job.labels.get("model", ""),
                job.labels.get("dataset", ""),
                _state(job),
                _progress(job),
                f"{job.create_time.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
                _duration(job),
            )
            for job in jobs
        ],
    )


def print_job(job: Job) -> None:
    """Print all details of a job."""
    rows = [
        ("job", job.id),
        ("kind", job.kind),
        ("model", job.labels.get("model", "")),
        ("dataset", job.labels.get("dataset", "")),
        ("state", _state(job)),
        ("made", _time(job.create_time) or ""),
        ("begun", _time(job.start_time) or "-"),
        ("ended", _time(job.end_time) or "-"),
        ("attempts", str(job.attempt)),
    ]
    if job.progress is not None and not job.state.ended:
        rows.append(("progress", _progress(job)))
    rows += [
        (f"asked: {key}", str(value))
        for key, value in _asked(job).items()
        if key not in ("model", "dataset") and value not in (None, "", {}, [], False)
    ]
    if job.error is not None:
        rows.append(("error", f"{job.error.type}: {job.error.message}"))
        if job.error.signal:
            rows.append(("killed by", job.error.signal))
        elif job.error.exit_code is not None:
            rows.append(("exit code", str(job.error.exit_code)))
        rows += [("log", line) for line in job.error.log_tail]
    rows += _results(job)
    print_table(["", ""], rows)


def _asked(job: Job) -> dict[str, Any]:
    """Return a job's spec, without the split of an evaluation of a whole file."""
    if job.kind != "evaluation":
        return dict(job.spec)
    from trainer import EvaluationSpec

    return {**job.spec, "split": EvaluationSpec.from_json(job.spec).split_of_rows}


def _results(job: Job) -> list[tuple[str, str]]:
    rows = []
    for key, value in (job.result or {}).items():
        if key in ("metrics", "figures") and isinstance(value, dict):
            splits = value if key == "metrics" else {_asked(job).get("split", "test"): value}
            for split, figures in in_order(splits):
                rows += [
                    (f"{split} {name}".strip(), format_figure(it)) for name, it in in_order(figures)
                ]
        elif key == "all_rows" and value:
            figures = in_order(value["figures"])
            rows += [
                (f"all {value['rows']:,} rows {name}", format_figure(it)) for name, it in figures
            ]
        elif key == "comparison" and value:
            rows += _comparison(value)
        elif key in ("seen_rows", "error_rows") and not value:
            continue
        elif isinstance(value, float):
            rows.append((key.replace("_", " "), f"{value:.1f}"))
        elif isinstance(value, (str, int)) and value != "":
            rows.append((key.replace("_", " "), str(value)))
        elif isinstance(value, list):
            rows += [(key.rstrip("s"), str(entry)) for entry in value]
    return rows


def _comparison(value: Mapping[str, Any]) -> list[tuple[str, str]]:
    baseline = f"{value['dataset']}/{value['model']}"
    return [
        *((f"{baseline} {name}", format_figure(it)) for name, it in in_order(value["figures"])),
        *(
            (
                f"difference in {name}",
                f"{it['value']:+.4f} (95 %: {it['low']:+.4f} to {it['high']:+.4f})",
            )
            for name, it in in_order(value["differences"])
        ),
    ]


def _state(job: Job) -> str:
    if job.cancel_requested and not job.state.ended:
        return f"{job.state.value.lower()}, to be cancelled"
    return job.state.value.lower()


def _progress(job: Job) -> str:
    if job.state.value == "QUEUED":
        return f"{job.jobs_ahead} ahead" if job.jobs_ahead else "next"
    if job.progress is None or job.state.ended:
        return job.error.type if job.error else ""
    step = job.progress
    total = f"/{step.total:,}" if step.total is not None else ""
    eta = f", {job.eta:.0f} s to go" if job.eta is not None else ""
    return f"{step.phase} {step.step:,}{total} {step.unit}{eta}"


def _duration(job: Job) -> str:
    if job.start_time is None:
        return "-"
    end = job.end_time or datetime.now(UTC)
    seconds = max((end - job.start_time).total_seconds(), 0.0)
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def show_detached(jobs: Sequence[Job], as_json: bool) -> None:
    """Print the ids of detached jobs, and how to watch them."""
    if as_json:
        print_json([job_to_json(job) for job in jobs])
        return
    for job in jobs:
        echo(job.id)
    echo("they continue without this command; watch one with: ktt jobs watch ID", err=True)
    if any(job.kind == "export" for job in jobs):
        echo("when it is done, fetch its result with: ktt jobs fetch ID", err=True)
