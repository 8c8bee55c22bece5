"""`ktt predict`."""

from __future__ import annotations

import os
import stat
import sys
import time as clock
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from cli.backend.protocol import CheckpointChoice, PredictOptions
from cli.options import (
    TRAINED_DATASET,
    TRAINED_MODEL,
    checkpoint_options,
    json_option,
)
from cli.printing import echo, to_json
from cli.session import Session
from cli.text_lines import TextLines
from cli.trained import only_model
from cli.watcher import TerminalWatcher
from ktt_core.progress import Progress
from ktt_rpc.option_types import NumberRange

if TYPE_CHECKING:
    from ktt_core.decoding import Prediction

__all__ = ["predict_command"]

# Seconds before progress is shown for a file, and between updates.
_UNTOLD_SECONDS, _TOLD_SECONDS = 5.0, 0.2


@click.command("predict")
@click.argument("dataset", type=TRAINED_DATASET)
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@click.option(
    "-m",
    "--model",
    type=TRAINED_MODEL,
    help="A trained model. [default: the one there is, if it is the only one]",
)
@click.option(
    "-f",
    "--file",
    type=click.Path(allow_dash=True, path_type=Path),
    help="Read the texts from a file, one a line ('-': standard input).",
)
@click.option(
    "--top-k",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="How many paths to show per text, best first. With --min-confidence, paths that stop at "
    "the same class are shown once.",
)
@click.option(
    "--min-confidence",
    type=NumberRange(0.0, 1.0),
    default=0.0,
    show_default=True,
    help="Stop each path at its deepest class that is at least this probable (0 to 1).",
)
@click.option(
    "--decoding",
    type=click.Choice(["path", "independent"]),
    default="path",
    show_default=True,
    help="path: the most probable path of the tree. independent: the best class of each level "
    "by itself, which need not be a path.",
)
@checkpoint_options
@json_option
@click.pass_obj
def predict_command(
    session: Session,
    dataset: str,
    texts: tuple[str, ...],
    model: str | None,
    file: Path | None,
    top_k: int,
    min_confidence: float,
    decoding: Literal["path", "independent"],
    label: str,
    time: str | None,
    as_json: bool,
) -> None:
    """Classify texts with a model trained on DATASET.

    \b
      ktt predict shop -m tfidf_hsgd "blue running shoes" "usb-c cable 2m"
      ktt predict shop -m tfidf_hsgd --top-k 3 --min-confidence 0.5 -f titles.txt
      cut -f2 titles.tsv | ktt predict shop -m tfidf_hsgd --json

    Without TEXT and without --file the texts are read from standard input, one a line, and answered
    as they arrive in blocks, so a pipe of any length works. With --json: a list with one object per
    text, each on a line of its own.
    """
    if file is not None and texts:
        raise click.UsageError("give the texts as arguments or with --file, not both")
    model = only_model(session, dataset, model, label, time)
    interactive, lines = False, None
    if texts:
        source: Iterator[str] = iter(texts)
    else:
        lines = TextLines(None if file is None or str(file) == "-" else file)
        interactive = lines.interactive
        if interactive:
            echo("type a text and press Enter; end with Ctrl-D", err=True)
        source = iter(lines)
    seen: list[str] = []

    def remember() -> Iterator[str]:
        for text in source:
            seen.append(text)
            yield text

    watched = not (texts or as_json or _is_seen())
    total = lines.count() if watched and lines is not None else None
    with TerminalWatcher(f"{model} on {dataset}", quiet=not watched) as watcher:
        answers = session.backend.predict(
            dataset,
            model,
            remember(),
            PredictOptions(top_k, min_confidence, decoding, block_rows=1 if interactive else 1024),
            CheckpointChoice(label, time),
        )
        told = _telling(answers, watcher, total)
        if as_json:
            _print_json_answers(told, seen)
        else:
            _print_answers(told, seen, min_confidence)


def _is_seen() -> bool:
    """Return whether a user sees the answers: on a terminal, or in a pager that owns it."""
    if sys.stdout.isatty():
        return True
    try:
        piped = stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        piped = False  # not a real file, as in tests
    return piped and sys.stderr.isatty()


def _telling(
    answers: Iterator[list[Prediction]], watcher: TerminalWatcher, total: int | None
) -> Iterator[list[Prediction]]:
    """Forward answers, and show progress if they take long."""
    due = clock.monotonic() + _UNTOLD_SECONDS
    for done, answer in enumerate(answers):
        if clock.monotonic() >= due:
            watcher.progress(Progress("predict", done, total, "texts"))
            due = clock.monotonic() + _TOLD_SECONDS
        yield answer


def _print_json_answers(answers: Iterator[list[Prediction]], texts: list[str]) -> None:
    separator = "[\n"
    try:
        for predictions in answers:
            entries = [_to_json(entry) for entry in predictions]
            value = {"text": texts.pop(0), "predictions": entries}
            echo(separator + to_json(value), nl=False)
            separator = ",\n"
    finally:
        # The answers before an error are valid JSON, too.
        echo("[]" if separator == "[\n" else "\n]")


def _to_json(prediction: Prediction) -> dict[str, Any]:
    return {"path": list(prediction.path), "probability": round(prediction.probability, 6)}


def _print_answers(
    answers: Iterator[list[Prediction]], texts: list[str], min_confidence: float
) -> None:
    for predictions in answers:
        echo(texts.pop(0), bold=True)
        # An empty path is the root, which is not shown beside other answers.
        shown = [prediction for prediction in predictions if prediction.path]
        for prediction in shown:
            echo(f"  {prediction.probability:6.1%}  {' > '.join(prediction.path)}")
        if not shown:
            echo(f"       -  no class is as probable as {min_confidence:g}")
