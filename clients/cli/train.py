"""`ktt train`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.exit_codes import FAILED
from cli.job_display import show_detached
from cli.options import ALL, DATASETS, ENCODER, MODELS, json_option, time_option
from cli.output import format_figure, print_table
from cli.printing import echo, print_json
from cli.resume_hints import resume_hints
from cli.session import Session
from cli.watcher import TerminalWatcher
from ktt_core.errors import MissingEncoderError

if TYPE_CHECKING:
    from trainer import RunResult, TrainRequest

__all__ = ["train_command"]

_HYPERPARAMETERS = Path("hyperparameters.json")
# Short names, so that a row fits on a terminal; --json has the full ones.
_SHOWN = {
    "hierarchical_f1": "hF1",
    "leaf_accuracy": "leaf acc.",
    "leaf_macro_f1": "leaf F1",
    "calibration_error": "cal. error",
}


@click.command("train")
@click.argument("datasets", type=DATASETS)
@click.option(
    "-m",
    "--models",
    type=MODELS,
    required=True,
    help="One model, or several: tfidf_hsgd,db_linear; or all.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the newest unfinished run of each model and dataset. Of "
    "several, those with nothing to continue are left out.",
)
@time_option("With --resume: the run that started at TIME (UTC, as in `ktt checkpoints`).")
@click.option(
    "-r",
    "--reference",
    is_flag=True,
    help="Also write the reference set that monitoring compares with, beside the checkpoint.",
)
@click.option(
    "-e",
    "--epochs",
    type=click.IntRange(1, 100_000),
    help="Passes over the training rows, for every model.",
)
@click.option(
    "--encoder",
    type=ENCODER,
    metavar="NAME_OR_FOLDER",
    help="The transformer encoder of those of the models that have one; `ktt encoders list` shows "
    "what is found. With --address a folder is one of the trainer's.",
)
@click.option(
    "--download",
    is_flag=True,
    help="Fetch the encoder from the Hugging Face hub if it is not there. Without it you are asked "
    "on a terminal.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a hyperparameter (repeatable). `ktt models MODEL` lists them. Wins over the file.",
)
@click.option(
    "--hyperparameters",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A JSON file of overrides, one object per model. "
    "[default: hyperparameters.json, if there is one]",
)
@click.option(
    "-n",
    "--dry-run",
    is_flag=True,
    help="Train and print the metrics, but write nothing to the workspace.",
)
@click.option(
    "--detach",
    is_flag=True,
    help="With --address: print the jobs' ids and leave them running. See `ktt jobs`.",
)
@json_option
@click.pass_obj
def train_command(
    session: Session,
    datasets: tuple[str, ...],
    models: tuple[str, ...],
    resume: bool,
    time: str | None,
    reference: bool,
    epochs: int | None,
    encoder: str | None,
    download: bool,
    assignments: tuple[str, ...],
    hyperparameters: Path | None,
    dry_run: bool,
    detach: bool,
    as_json: bool,
) -> int:
    """Train every model of MODELS on every dataset of DATASETS.

    \b
      ktt train shop -m tfidf_hsgd
      ktt train shop,tickets -m tfidf_hsgd,tfidf_lsgd -r
      ktt train shop -m tfidf_hsgd -e 20 --set alpha=1e-6 --dry-run
      ktt train shop -m all --encoder distilbert-base-uncased --download
      ktt train shop -m db_linear --resume

    DATASETS and MODELS are comma-separated lists. All names and hyperparameters are checked before
    the first run starts. Each run has its own process: if one fails, the others continue, and the
    exit code is 1.

    Models on a transformer encoder save their state during training. Ctrl-C finishes the step and
    saves the state (a second one stops at once). However such a run was ended, --resume continues
    it with its hyperparameters, to the same results. Other models that are interrupted or fail
    leave the workspace unchanged.

    With --address the runs are jobs of a trainer. Ctrl-C on a terminal asks whether to detach from
    them or to cancel them; Ctrl-C at the question detaches. Without a terminal Ctrl-C, and a
    termination signal always, cancels them. A restarted trainer continues its jobs, and this
    command waits for it (--reconnect).

    \b
      ktt --address localhost train shop -m tfidf_hsgd --detach
      ktt --address localhost jobs watch ID
    """
    from ktt_core.config import parse_assignments, read_hyperparameters
    from trainer import TrainRequest

    if ALL in models:
        models = tuple(model.id for model in session.backend.catalogue.list_models())
    where_known = {"encoder": encoder, "download": download or None}
    if hyperparameters is None and os.path.lexists(_HYPERPARAMETERS):
        hyperparameters = _HYPERPARAMETERS
        if not as_json:
            echo(f"overrides from ./{_HYPERPARAMETERS}", err=True)
    request = TrainRequest(
        datasets=datasets,
        models=models,
        overrides=parse_assignments(assignments),
        hyperparameters=read_hyperparameters(hyperparameters) if hyperparameters else {},
        epochs=epochs,
        reference=reference,
        dry_run=dry_run,
        where_known={key: value for key, value in where_known.items() if value is not None},
        resume=resume,
        resume_time=time or "",
    )
    if detach:
        show_detached(session.backend.submit(request), as_json)
        return 0
    with TerminalWatcher(quiet=as_json) as watcher:
        try:
            results = _train(session, request, watcher, may_ask=not as_json)
        except KeyboardInterrupt as interrupt:
            ways = resume_hints(session.backend, request, watcher.begun)
            message = str(interrupt) or "interrupted; nothing was left half-written"
            raise KeyboardInterrupt("\n".join([message, *ways])) from interrupt
    if as_json:
        print_json([result.to_json() for result in results])
    else:
        _print_results(results, dry_run)
        # A failed run is reported by its error; a cancelled one is reported here.
        if any(result.error and "--resume" not in str(result.error) for result in results):
            for way in resume_hints(session.backend, request, watcher.begun):
                echo(way, err=True)
    return FAILED if any(result.error for result in results) else 0


def _train(
    session: Session, request: TrainRequest, watcher: TerminalWatcher, may_ask: bool
) -> list[RunResult]:
    """Train; if an encoder is missing, ask on a terminal whether to download it."""
    try:
        return session.backend.train(request, watcher)
    except MissingEncoderError as error:
        wanted = request.where_known
        if not may_ask or wanted.get("download") or not watcher.is_watched:
            raise
        if not watcher.confirm(f"{error}\nFetch it now?"):
            raise
        request = replace(request, where_known={**wanted, "download": True})
        return session.backend.train(request, watcher)


def _print_results(results: list[RunResult], dry_run: bool) -> None:
    done = [result for result in results if result.error is None]
    if done:
        rows: list[Any] = []
        for result in done:
            split = "test" if "test" in result.metrics else "val"
            figures = result.metrics.get(split, {})
            rows.append(
                (
                    result.dataset,
                    result.model,
                    split if figures else "-",
                    *(format_figure(figures[name]) if name in figures else "-" for name in _SHOWN),
                    f"{result.seconds:.1f}",
                )
            )
        print_table(
            ["dataset", "model", "split", *(f"{name}>" for name in _SHOWN.values()), "seconds>"],
            rows,
        )
        for result in done:
            if result.checkpoint:
                echo(f"wrote {result.checkpoint}")
            if result.reference:
                echo(f"wrote {result.reference}")
            if result.report:
                echo(f"wrote {result.report}")
        for result in done:
            for warning in result.warnings:
                echo(f"Warning: {result.model} on {result.dataset}: {warning}", err=True)
        if dry_run:
            echo("dry run: nothing was written")
    for result in results:
        if result.error is not None:
            echo(f"Error: {result.model} on {result.dataset}: {result.error}", err=True)
            if result.details and os.environ.get("KTT_DEBUG"):
                echo(result.details, err=True)
