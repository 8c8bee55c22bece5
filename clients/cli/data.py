"""`ktt data`: import, list, show and delete datasets."""

from __future__ import annotations

import sys
from dataclasses import fields

import click

from cli.importing import import_command
from cli.options import DATASET, json_option
from cli.output import print_table
from cli.printing import echo, print_json
from cli.session import Session

__all__ = ["data_group"]


@click.group("data")
def data_group() -> None:
    """Import, list, show and delete datasets."""


data_group.add_command(import_command)


@data_group.command("list")
@json_option
@click.pass_obj
def list_command(session: Session, as_json: bool) -> None:
    """List the datasets of the workspace."""
    datasets = session.backend.catalogue.list_datasets()
    if as_json:
        print_json([dataset.to_json() for dataset in datasets])
        return
    if not datasets:
        echo(
            f"no datasets in {session.backend.place} yet; make one with: "
            "ktt data import FILE NAME ...",
            err=True,
        )
        return
    print_table(
        ["dataset", "train>", "val>", "test>", "classes per level"],
        [
            (
                dataset.name,
                *(f"{dataset.sizes.get(split, 0):,}" for split in ("train", "val", "test")),
                " / ".join(f"{size:,}" for size in dataset.level_sizes),
            )
            for dataset in datasets
            if not dataset.problem
        ],
    )
    for dataset in datasets:
        if dataset.problem:
            echo(f"Warning: {dataset.problem}", err=True)


@data_group.command("show")
@click.argument("name", type=DATASET)
@json_option
@click.pass_obj
def show_command(session: Session, name: str, as_json: bool) -> None:
    """Show one dataset: its size, its tree, and how it was imported."""
    from ktt_core.datasets.options import ImportOptions

    dataset = session.backend.catalogue.get_dataset(name)
    if as_json:
        print_json(dataset.to_json())
        return
    print_table(
        ["", ""],
        [
            ("dataset", dataset.name),
            *((split, f"{dataset.sizes[split]:,} rows") for split in ("train", "val", "test")),
            ("levels", str(dataset.depth)),
            ("classes per level", " / ".join(f"{size:,}" for size in dataset.level_sizes)),
            ("leaf classes", f"{dataset.n_leaves:,}"),
            ("fingerprint", dataset.fingerprint),
            *(
                (f"option {field.name}", str(dataset.options[field.name]))
                for field in fields(ImportOptions)
                if dataset.options.get(field.name) is not None
            ),
        ],
    )


@data_group.command("delete")
@click.argument("name", type=DATASET)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def delete_command(session: Session, name: str, yes: bool, as_json: bool) -> None:
    """Delete a dataset. Checkpoints that were trained on it stay.

    \b
      ktt data delete shop
      ktt data delete shop --yes      in a script

    A dataset that a job waits for or works on is not deleted.
    """
    backend = session.backend
    catalogue = backend.catalogue
    if not yes:
        catalogue.get_dataset(name)
        if as_json or not sys.stdin.isatty():
            raise click.UsageError("no terminal to ask on: give --yes to delete the dataset")
        click.confirm(f"delete the dataset {name} in {backend.place}?", abort=True, err=True)
    catalogue.delete_dataset(name)
    if as_json:
        print_json({"deleted": name})
    else:
        echo(f"deleted {name}")
