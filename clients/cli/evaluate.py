"""`ktt evaluate`."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from cli.errors_file import check_errors_file, write_errors
from cli.evaluation_display import print_results
from cli.import_options import READING, import_options_of, reading_options
from cli.options import DATASET, TRAINED_MODELS, checkpoint_options, json_option
from cli.printing import echo, print_json
from cli.session import Session
from cli.trained import trained_models
from cli.watcher import TerminalWatcher
from ktt_core.errors import DataError, InvalidArgumentError, NotFoundError
from ktt_core.names import check_name

if TYPE_CHECKING:
    from trainer import Baseline, RowSource

__all__ = ["evaluate_command"]

_BASELINE = re.compile(
    r"(?P<dataset>[^/@]*)(?:/(?P<model>[^/@]+))?(?:@(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d))?"
)


class RowsType(click.ParamType):
    """A dataset's name, or a file; only files have a dot."""

    name = "rows"

    def shell_complete(
        self, context: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete datasets and files."""
        datasets = DATASET.shell_complete(context, param, incomplete)
        return datasets or [CompletionItem(incomplete, type="file")]


class BaselineType(click.ParamType):
    """``DATASET/MODEL@TIME``; omitted parts are those of the evaluated model."""

    name = "baseline"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> Baseline:
        """Return the parts."""
        from trainer import Baseline

        match = _BASELINE.fullmatch(str(value))
        if match is None or not any(match.groupdict().values()):
            self.fail(
                f"{value!r} names no checkpoint: write DATASET, DATASET/MODEL, /MODEL, or one of "
                "them with @TIME behind it, as in shop@2026-01-31T12:34:56",
                param,
                context,
            )
        parts = {name: text or "" for name, text in match.groupdict().items()}
        try:
            for what in ("dataset", "model"):
                if parts[what]:
                    check_name(parts[what], what)
        except InvalidArgumentError as error:
            self.fail(str(error), param, context)
        return Baseline(**parts)

    def shell_complete(
        self, context: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete datasets."""
        return DATASET.shell_complete(context, param, incomplete)


@click.command("evaluate")
@click.argument("dataset", type=DATASET)
@click.option(
    "-m",
    "--models",
    type=TRAINED_MODELS,
    default=(),
    help="One trained model, or several. [default: all that have such a checkpoint]",
)
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    help="The rows to evaluate on.  [default: test]",
)
@click.option(
    "--on",
    type=RowsType(),
    metavar="FILE|DATASET",
    help="Other rows: all of a file of labelled texts, or the split of another dataset.",
)
@click.option(
    "--compare",
    "baseline",
    type=BaselineType(),
    metavar="[DATASET][/MODEL][@TIME]",
    help="Compare each model with this checkpoint on the same rows. Omitted parts are those of the "
    "model: `shop` is the same model as trained on shop.",
)
@click.option(
    "--unseen",
    is_flag=True,
    help="Leave out rows whose text is in what a model was trained or calibrated on (train, val).",
)
@click.option(
    "--errors",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the wrongly answered rows to FILE, the most probable answers first: .csv, "
    ".jsonl or .parquet.",
)
@reading_options(text_required=False)
@click.option(
    "--server-path",
    metavar="PATH",
    help="Instead of --on FILE: a file that is on the server already, below a folder it allows.",
)
@click.option(
    "--upload",
    metavar="ID",
    help="Continue the upload of FILE that was interrupted; the error showed its ID.",
)
@checkpoint_options
@json_option
@click.pass_obj
def evaluate_command(
    session: Session,
    /,
    dataset: str,
    models: tuple[str, ...],
    split: str | None,
    on: str | None,
    baseline: Baseline | None,
    unseen: bool,
    errors: Path | None,
    server_path: str | None,
    upload: str | None,
    label: str,
    time: str | None,
    as_json: bool,
    **reading: Any,
) -> None:
    """Measure trained models, those that were trained on DATASET, on labelled rows.

    \b
      ktt evaluate shop -m tfidf_hsgd,tfidf_lsgd
      ktt evaluate shop -m tfidf_hsgd --split val --json
      ktt evaluate shop -m all --errors wrong.csv
      ktt evaluate shop -m tfidf_hsgd --on new.csv
      ktt evaluate shop2 -m tfidf_hsgd --compare shop --unseen

    Below the metrics stands what the answers cost: seconds and texts per second, warm, without the
    loading of the model. With --json: a list with one object per model. docs/user-guide.md says
    what each metric means.

    --on takes rows from elsewhere. A file is read as `ktt data import` reads it, and stays nowhere;
    --text, --classes and the like say where the texts and classes are, by default where they were
    when DATASET was imported. A class is its path: the metrics are over the rows whose path the
    model knows; how many it does not know, and the figures over all rows, stand below.

    --compare says which of two checkpoints is better, whatever they were trained on: both answer
    the same rows, those whose classes both know, and the difference comes with its 95 % interval (a
    paired bootstrap over the rows). Rows that one of them has learned from flatter it: a warning
    says how many there are, and --unseen leaves them out.

    --errors holds texts, unlike all other results: keep it as you keep them. In .csv a cell that a
    spreadsheet would take for a formula has a ' before it; .jsonl and .parquet hold all as it is.
    """
    from trainer import EvaluateRequest

    rows = _rows(session, dataset, on, server_path, upload, split, reading)
    if errors is not None:
        check_errors_file(errors, rows.file)
    models = trained_models(session, dataset, models, label, time)
    request = EvaluateRequest(
        dataset, models, split or "test", label, time or "", rows, baseline, unseen
    )
    with (
        tempfile.TemporaryDirectory(prefix="ktt-") as folder,
        TerminalWatcher("evaluate", quiet=as_json) as watcher,
    ):
        if errors is not None:
            request = replace(request, errors_folder=Path(folder))
        results = session.backend.evaluate(request, watcher)
        wrong = None
        if errors is not None:
            wrong = write_errors(errors, [it.errors for it in results if it.errors is not None])
    if as_json:
        more = {"errors": str(errors)} if errors is not None else {}
        print_json([{**result.to_json(), **more} for result in results])
        return
    print_results(results)
    if errors is not None:
        echo(f"wrote {errors}: {wrong:,} wrong answers")


def _rows(
    session: Session,
    dataset: str,
    on: str | None,
    server_path: str | None,
    upload: str | None,
    split: str | None,
    reading: dict[str, Any],
) -> RowSource:
    """Return the source of the rows."""
    from trainer import RowSource

    if server_path is not None and (on is not None or upload is not None):
        raise click.UsageError("--server-path cannot be combined with --on or --upload")
    if on is not None and server_path is None and _is_name(on):
        if Path(on).is_file():
            raise click.UsageError(
                f"--on {on} is a file without an ending, and could be a dataset's name; give the "
                "file an ending that says what it is, such as .csv"
            )
        source = RowSource(dataset=on)
    elif on is None and server_path is None:
        source = RowSource()
    else:
        source = RowSource(
            file=Path(on) if on is not None else None,
            server_path=server_path or "",
            upload=upload or "",
            options=import_options_of(reading, _options_of(session, dataset)),
        )
        if split is not None and reading["split_column"] is None:
            raise click.UsageError(
                "all rows of a file are evaluated; for --split, name the column with --split-column"
            )
        return source
    given = [name for name in READING if reading[name]] + (["upload"] if upload else [])
    if given:
        raise click.UsageError(
            f"--{given[0].replace('_', '-')} says how a file is read: name the file with --on"
        )
    return source


def _is_name(text: str) -> bool:
    try:
        check_name(text, "dataset")
    except InvalidArgumentError:
        return False
    return True


def _options_of(session: Session, dataset: str) -> dict[str, Any]:
    """Return the import options of a dataset; empty if only its checkpoints still exist."""
    try:
        return dict(session.backend.catalogue.get_dataset(dataset).options)
    except (DataError, NotFoundError):
        return {}
