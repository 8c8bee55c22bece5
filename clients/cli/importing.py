"""`ktt data import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.backend.protocol import ImportSource
from cli.import_options import import_options_of, reading_options
from cli.options import DATASET, json_option
from cli.output import in_order
from cli.printing import echo, print_json
from cli.session import Session
from cli.watcher import TerminalWatcher
from ktt_core.datasets.report import show_places
from ktt_rpc.option_types import NumberRange

if TYPE_CHECKING:
    from ktt_core.datasets.report import ImportReport

__all__ = ["import_command"]


@click.command("import")
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, metavar="[FILE]")
@click.argument("name", type=DATASET)
@reading_options(text_required=True)
@click.option(
    "--train-ratio",
    type=NumberRange(0, 1, min_open=True),
    default=0.8,
    show_default=True,
    help="Share of the rows to train on, spread evenly over the leaf classes.",
)
@click.option(
    "--val-ratio",
    type=NumberRange(0, 1, max_open=True),
    default=0.1,
    show_default=True,
    help="Share of the rows to choose and calibrate on; the remainder is the test split.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Seed of the split.",
)
@click.option(
    "--min-rows-per-leaf",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Drop leaf classes with fewer rows.",
)
@click.option("--replace", is_flag=True, help="Replace the dataset if there is one of this name.")
@click.option(
    "--server-path",
    metavar="PATH",
    help="Instead of FILE: a file that is on the server already, below a folder it allows.",
)
@click.option(
    "--upload",
    metavar="ID",
    help="Continue the upload of FILE that was interrupted; the error showed its ID.",
)
@json_option
@click.pass_obj
def import_command(
    session: Session,
    /,
    files: tuple[Path, ...],
    name: str,
    replace: bool,
    server_path: str | None,
    upload: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Make dataset NAME from FILE.

    \b
      ktt data import products.csv shop --text title --classes path --sep " > "
      ktt data import jobs.parquet jobs --text title --level-columns major,minor,detailed
      ktt data import tickets.jsonl tickets --text body --classes labels --split-column split

    FILE is CSV, TSV, JSON, JSON lines, Parquet, or Feather/Arrow, by its suffix. It is read as a
    stream, so its size is not limited by memory. A class is identified by its path: "Accessories"
    under "Bikes" and under "Phones" are two classes. Paths may end early. The dataset is created
    completely or not at all.

    With --address the file is uploaded to the trainer, and the upload is resumed after lost
    connections. A file that the trainer can read itself need not be uploaded:

    \b
      ktt --address gpu1 data import --server-path /srv/texts/products.csv shop --text title ...
    """
    source = _source(files, server_path, upload)
    import_options = import_options_of(options)
    with TerminalWatcher(f"import {name}", quiet=as_json) as watcher:
        report = session.backend.import_dataset(
            source, name, import_options, watcher, replace=replace
        )
    if as_json:
        print_json(report.to_json())
    else:
        echo(_describe(name, report))


def _source(files: tuple[Path, ...], server_path: str | None, upload: str | None) -> ImportSource:
    if len(files) > 1:
        raise click.UsageError("name one FILE and the NAME of the dataset; more were given")
    if server_path is not None:
        if files or upload is not None:
            raise click.UsageError("--server-path cannot be combined with FILE or --upload")
        return ImportSource(server_path=server_path)
    if not files:
        raise click.UsageError("name the FILE and then the NAME of the dataset")
    return ImportSource(files[0], upload=upload)


def _describe(name: str, report: ImportReport) -> str:
    written = ", ".join(f"{count:,} {split}" for split, count in in_order(report.rows_written))
    levels = " / ".join(f"{size:,}" for size in report.classes_per_level)
    lines = [
        f"{name}: {written} rows; {levels} classes per level ({report.seconds:.1f} s)",
        *(
            f"  dropped {entry['count']:,}: {reason} ({show_places(entry)})"
            for reason, entry in sorted(
                report.bad_rows.items(), key=lambda item: (-item[1]["count"], item[0])
            )
        ),
    ]
    for count, reason in (
        (report.duplicates, "repeats of an earlier row"),
        (report.conflicting, "texts that stand under two different paths"),
        (report.rare_rows, f"rows of {report.rare_leaves:,} rare leaf classes"),
    ):
        if count:
            lines.append(f"  dropped {count:,}: {reason}")
    return "\n".join([*lines, *(f"  note: {warning}" for warning in report.warnings)])
