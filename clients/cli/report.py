"""`ktt report`, and code shared with `ktt jobs report`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import TRAINED_DATASET, TRAINED_MODEL, json_option, time_option
from cli.printing import echo, print_json
from cli.session import Session
from cli.trained import only_model
from ktt_core.errors import KttError

if TYPE_CHECKING:
    from cli.backend.protocol import Report

__all__ = ["deliver_report", "output_option", "report_command"]


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add -o."""
    return click.option(
        "-o",
        "--output",
        type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
        metavar="FILE",
        help="Write it to FILE ('-': standard output). [default: it stays in the workspace; with "
        "--address ./MODEL_DATASET_TIME_report.html]",
    )(command)


@click.command("report")
@click.argument("dataset", type=TRAINED_DATASET)
@click.option(
    "-m",
    "--model",
    type=TRAINED_MODEL,
    help="A trained model. [default: the one there is, if it is the only one]",
)
@time_option("The run that started at TIME (UTC, as in `ktt checkpoints`) instead of the newest.")
@output_option
@json_option
@click.pass_obj
def report_command(
    session: Session,
    dataset: str,
    model: str | None,
    time: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Get the report of a training run: one HTML file with its curves, figures and mistakes.

    \b
      ktt report shop -m tfidf_hsgd
      ktt report shop -m tfidf_hsgd -o shop.html
      ktt --address localhost report shop -m db_linear -t 2026-01-31T12:34:56

    Without --address it prints the report's path; with --address it downloads the report. An
    existing file is replaced.

    With --json: an object with "dataset", "model", "time" and "path".
    """
    model = only_model(session, dataset, model, time=time)
    deliver_report(session.backend.catalogue.read_report(model, dataset, time), output, as_json)


def deliver_report(report: Report, output: Path | None, as_json: bool) -> None:
    """Write a report to its target, and print the path."""
    if str(output) == "-":
        if as_json:
            raise click.UsageError("--json says where the report is: give another --output than -")
        sys.stdout.buffer.write(report.content)
        return
    target = output or report.path
    if target is None:
        target = Path(f"{report.model}_{report.dataset}_{report.run_time}_report.html")
    if target != report.path:
        _write(target, report.content)
    if as_json:
        print_json(
            {
                "dataset": report.dataset,
                "model": report.model,
                "time": report.run_time,
                "path": str(target),
            }
        )
    else:
        echo(str(target) if target == report.path else f"wrote {target}")


def _write(target: Path, content: bytes) -> None:
    from ktt_core.atomic import atomic_file

    try:
        with atomic_file(target) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise KttError(f"{target} cannot be written: {error.strerror or error}") from error
