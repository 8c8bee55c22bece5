"""`ktt models` and `ktt checkpoints`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from cli.options import DATASET, MODEL, json_option
from cli.output import format_figure, print_table
from cli.printing import echo, print_json
from cli.session import Session

if TYPE_CHECKING:
    from trainer import CheckpointInfo

__all__ = ["checkpoints_command", "models_command"]


@click.command("models")
@click.argument("model", type=MODEL, required=False)
@json_option
@click.pass_obj
def models_command(session: Session, model: str | None, as_json: bool) -> None:
    """List the models, or one MODEL's hyperparameters.

    \b
      ktt models                 which models there are
      ktt models tfidf_hsgd      its hyperparameters: meaning, range, default

    A hyperparameter is set with `ktt train --set key=value`, or for good in hyperparameters.json.
    """
    catalogue = session.backend.catalogue
    if model is None:
        models = catalogue.list_models()
        if as_json:
            print_json([entry.to_json() for entry in models])
        else:
            print_table(
                ["model", "framework", "what it is"],
                [
                    (entry.id, entry.framework, entry.summary or entry.display_name)
                    for entry in models
                ],
            )
        return
    info = catalogue.get_model(model)
    if as_json:
        print_json(info.to_json())
        return
    echo(f"{info.display_name} ({info.id}, {info.framework})\n{info.summary}\n")
    print_table(
        ["hyperparameter", "type", "default", "range", "meaning"],
        [
            (
                field["name"],
                field["type"],
                _show_value(field["default"]),
                _describe_limits(field["limits"]),
                field["description"],
            )
            for field in info.hyperparameters
        ],
    )


def _show_value(value: Any) -> str:
    # Numbers from a server have lost their ".0".
    plain = int(value) if isinstance(value, float) and value.is_integer() else value
    return json.dumps(plain)


def _show_limit(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return _show_value(value)


def _describe_limits(limits: dict[str, Any]) -> str:
    words = {
        "minimum": "at least {}",
        "exclusiveMinimum": "above {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "below {}",
        "enum": "one of {}",
        "minItems": "at least {} entries",
        "maxItems": "at most {} entries",
    }
    return ", ".join(
        word.format(_show_limit(limits[key])) for key, word in words.items() if key in limits
    )


@click.command("checkpoints")
@click.option("-m", "--model", type=MODEL, help="Only this model's.")
@click.option("-d", "--dataset", type=DATASET, help="Only this dataset's.")
@json_option
@click.pass_obj
def checkpoints_command(
    session: Session, model: str | None, dataset: str | None, as_json: bool
) -> None:
    """List the checkpoints of trained models, of each model and dataset the newest first.

    A run that is unfinished is continued with `ktt train DATASET -m MODEL --resume`. Until then its
    last state can be used with --last.
    """
    checkpoints = session.backend.catalogue.list_checkpoints(model, dataset)
    if as_json:
        print_json([checkpoint.to_json() for checkpoint in checkpoints])
        return
    if not checkpoints:
        echo("no checkpoints yet; make one with: ktt train DATASET -m MODEL", err=True)
        return
    print_table(
        [
            *("model", "dataset", "kept", "time (UTC)", "size>", "val hF1>", "test hF1>"),
            *("reference", "report", "run"),
        ],
        [
            (
                checkpoint.model,
                checkpoint.dataset,
                checkpoint.label,
                checkpoint.time,
                f"{checkpoint.bytes / 1e6:.1f} MB",
                *(
                    _figure(checkpoint.metrics.get(split, {}).get("hierarchical_f1"))
                    for split in ("val", "test")
                ),
                "yes" if checkpoint.reference else "no",
                "yes" if checkpoint.report else "no",
                _run(checkpoint),
            )
            for checkpoint in checkpoints
            if not checkpoint.problem
        ],
    )
    for checkpoint in checkpoints:
        if checkpoint.problem:
            echo(f"Warning: {checkpoint.problem}", err=True)


def _run(checkpoint: CheckpointInfo) -> str:
    """Return the state of a checkpoint's run."""
    if checkpoint.run_state in ("", "finished"):
        return checkpoint.run_state or "-"
    done, epochs = checkpoint.epochs_done, checkpoint.epochs
    how_far = "" if done is None or epochs is None else f", {done:.3g} of {epochs:g} epochs"
    return f"{checkpoint.run_state}{how_far}"


def _figure(value: float | None) -> str:
    return "-" if value is None else format_figure(value)
