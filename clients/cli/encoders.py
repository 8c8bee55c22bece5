"""`ktt encoders`: the transformer encoders for training."""

from __future__ import annotations

import click

from cli.options import json_option
from cli.output import print_table
from cli.printing import echo, print_json
from cli.session import Session

__all__ = ["encoders_group"]


@click.group("encoders")
def encoders_group() -> None:
    """Show the transformer encoders that models can be trained on.

    \b
      ktt encoders list
      ktt train shop -m db_linear --encoder NAME_OR_FOLDER
      ktt train shop -m db_linear --encoder distilbert-base-uncased --download
    """


@encoders_group.command("list")
@json_option
@click.pass_obj
def list_command(session: Session, as_json: bool) -> None:
    """List the encoders that are available without a download, by name.

    They are searched in the folders of KTT_ENCODERS, in the local Hugging Face cache and among the
    installed packages; with --address, on the trainer's machine. --encoder takes a NAME, or the
    path of a folder.
    """
    encoders = session.backend.catalogue.list_encoders()
    if as_json:
        print_json([encoder.to_json() for encoder in encoders])
        return
    if not encoders:
        echo(
            "no encoders found; fetch one when you train with it: "
            "ktt train DATASET -m db_linear --encoder NAME --download",
            err=True,
        )
        return
    print_table(
        ["name", "found in", "kind", "width>", "layers>", "weights>", "most tokens>"],
        [
            (
                encoder.name,
                encoder.source,
                encoder.architecture or "-",
                *(f"{number:,}" if number else "-" for number in (encoder.width, encoder.layers)),
                _millions(encoder.parameters),
                f"{encoder.max_length:,}" if encoder.max_length else "-",
            )
            for encoder in encoders
            if not encoder.problem
        ],
    )
    for encoder in encoders:
        if encoder.problem:
            echo(f"Warning: {encoder.name} cannot be used: {encoder.problem}", err=True)


def _millions(count: int) -> str:
    if not count:
        return "-"
    return f"{count / 1e6:,.1f} M" if count >= 50_000 else f"{count:,}"
