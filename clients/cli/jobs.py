"""`ktt jobs`: the jobs of trainer and exporter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from cli.exit_codes import FAILED
from cli.export import print_exports
from cli.job_display import event_to_json, job_to_json, print_job, print_jobs
from cli.options import DATASET, MODEL, json_option, offer
from cli.printing import echo, print_json, to_json
from cli.report import deliver_report, output_option
from cli.session import Session
from cli.watcher import TerminalWatcher
from ktt_core.errors import FailedPreconditionError

if TYPE_CHECKING:
    from cli.backend.protocol import Backend
    from ktt_jobs import Job

__all__ = ["jobs_group"]

_STATES = ["queued", "running", "succeeded", "failed", "cancelled"]
_KINDS = ["training", "evaluation", "export"]


class JobId(click.ParamType):
    """The id of a job, as `ktt jobs list` shows it.

    Parameters
    ----------
    kinds : tuple of str
        Kinds of completed jobs; empty for all.
    states : tuple of str
        Their states; empty for all.
    """

    name = "job"

    def __init__(self, kinds: tuple[str, ...] = (), states: tuple[str, ...] = ()) -> None:
        self._kinds = kinds
        self._states = states

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> str:
        """Return the id if it has the form of one."""
        text = str(value)
        plain = text.replace("-", "").replace("_", "")
        if not plain.isascii() or not plain.isalnum() or len(text) > 128:
            shown = text if len(text) <= 80 else f"{text[:77]}..."
            self.fail(
                f"{shown!r} is not a job id; `ktt jobs list` shows the existing jobs",
                param,
                context,
            )
        return text

    def shell_complete(
        self, context: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the newest jobs, each with a description."""
        jobs = offer(context, self._known)
        return [
            CompletionItem(job.id, help=_brief(job))
            for job in jobs
            if job.id.startswith(incomplete)
        ]

    def _known(self, context: click.Context, backend: Backend) -> list[Job]:
        from cli.backend.protocol import JobFilter
        from ktt_jobs import JobState

        wanted = JobFilter(self._kinds, tuple(JobState[state] for state in self._states))
        return backend.list_jobs(wanted, _OFFERED, TerminalWatcher(quiet=True))


def _brief(job: Job) -> str:
    labels = job.labels
    of = f"{labels.get('model', '')} on {labels.get('dataset', '')}"
    return f"{job.kind} of {of}, {job.state.value.lower()}"


_OFFERED = 30
JOB = JobId()
GOING_JOB = JobId(states=("QUEUED", "RUNNING"))
TRAINING_JOB = JobId(("training",), ("SUCCEEDED",))
EXPORT_JOB = JobId(("export",), ("SUCCEEDED",))


@click.group("jobs")
def jobs_group() -> None:
    """List, show, watch and cancel training, evaluation and export jobs.

    \b
      ktt --address localhost train shop -m tfidf_hsgd --detach
      ktt --address localhost jobs list --state running
      ktt --address localhost jobs watch ID
    """


@jobs_group.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(_STATES, case_sensitive=False),
    help="Only jobs in this state (repeatable).",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(_KINDS),
    help="Only jobs of this kind (repeatable).",
)
@click.option("-d", "--dataset", type=DATASET, help="Only jobs on this dataset.")
@click.option("-m", "--model", type=MODEL, help="Only jobs of this model.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    help="Maximum number of jobs.",
)
@json_option
@click.pass_obj
def list_command(
    session: Session,
    states: tuple[str, ...],
    kinds: tuple[str, ...],
    dataset: str | None,
    model: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List jobs, the newest first.

    \b
      ktt jobs list
      ktt jobs list --state queued --state running
      ktt jobs list --kind training -d shop --json
    """
    from cli.backend.protocol import JobFilter
    from ktt_jobs import JobState

    wanted = JobFilter(kinds, tuple(JobState[state.upper()] for state in states), dataset, model)
    with TerminalWatcher(quiet=as_json) as watcher:
        jobs = session.backend.list_jobs(wanted, limit, watcher)
    if as_json:
        print_json([job_to_json(job) for job in jobs])
    elif jobs:
        print_jobs(jobs)
    else:
        echo(f"no such jobs in {session.backend.place}", err=True)


@jobs_group.command("show")
@click.argument("job", type=JOB)
@json_option
@click.pass_obj
def show_command(session: Session, job: str, as_json: bool) -> None:
    """Show one JOB: its spec, state, and result or error."""
    found = session.backend.get_job(job)
    print_json(job_to_json(found)) if as_json else print_job(found)


@jobs_group.command("watch")
@click.argument("job", type=JOB)
@click.option(
    "--after",
    type=click.IntRange(0, 2**62),
    default=0,
    show_default=True,
    help="Only events after this number.",
)
@json_option
@click.pass_obj
def watch_command(session: Session, job: str, after: int, as_json: bool) -> int:
    """Follow a JOB from its first event until it has ended.

    After a lost connection it reconnects, and no event is missed. Ctrl-C ends the watching, not the
    job. The exit code is 0 if the job succeeded, else 1.

    With --json: one object per event, each on a line of its own.
    """
    backend = session.backend
    found = backend.get_job(job)
    try:
        with TerminalWatcher(quiet=as_json) as watcher:
            labels = found.labels
            watcher.begins(labels.get("model", found.kind), labels.get("dataset", job))
            for event in backend.watch_job(job, after, watcher):
                if as_json:
                    echo(to_json(event_to_json(job, event)))
                elif event.progress is not None:
                    watcher.progress(event.progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"not watching any more; the job continues: {job}") from None
    ended = backend.get_job(job)
    if not as_json:
        print_job(ended)
    return 0 if ended.state.value == "SUCCEEDED" else FAILED


@jobs_group.command("cancel")
@click.argument("jobs", metavar="JOB...", type=GOING_JOB, nargs=-1, required=True)
@json_option
@click.pass_obj
def cancel_command(session: Session, jobs: tuple[str, ...], as_json: bool) -> None:
    """Cancel each JOB. A cancelled job publishes nothing; an ended one is not changed.

    \b
      ktt jobs cancel ID
      ktt jobs cancel ID ID ID
    """
    cancelled = [session.backend.cancel_job(job) for job in jobs]
    if as_json:
        print_json([job_to_json(job) for job in cancelled])
        return
    for job in cancelled:
        echo(f"{job.id}: {_describe(job)}")


def _describe(job: Job) -> str:
    state = job.state.value.lower()
    if job.state.value == "CANCELLED":
        return state
    return f"{state}, had ended before" if job.state.ended else "will be cancelled within seconds"


@jobs_group.command("fetch")
@click.argument("job", type=EXPORT_JOB)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Put the folder MODEL_DATASET into DIR, as `ktt export` does.",
)
@json_option
@click.pass_obj
def fetch_command(session: Session, job: str, output: Path | None, as_json: bool) -> int:
    """Fetch the folder of an export JOB.

    \b
      ktt --address localhost jobs list --kind export
      ktt --address localhost jobs fetch ID --output served
    """
    with TerminalWatcher(quiet=as_json) as watcher:
        outcome = session.backend.fetch(job, output, watcher)
    return print_exports([outcome], as_json)


@jobs_group.command("report")
@click.argument("job", type=TRAINING_JOB)
@output_option
@json_option
@click.pass_obj
def report_command(session: Session, job: str, output: Path | None, as_json: bool) -> None:
    """Get the report of a training JOB, as `ktt report` does.

    \b
      ktt --address localhost jobs list --kind training
      ktt --address localhost jobs report ID -o report.html
    """
    found = session.backend.get_job(job)
    result = found.result or {}
    if not result.get("report_path"):
        raise FailedPreconditionError(
            f"job {job} has no report: it is {found.kind}, {found.state.value.lower()}; training "
            "that has succeeded, and was not a dry run, has"
        )
    labels = found.labels
    report = session.backend.catalogue.read_report(
        labels["model"], labels["dataset"], str(result["run_time"])
    )
    deliver_report(report, output, as_json)
