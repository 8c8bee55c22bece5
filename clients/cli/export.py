"""`ktt export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cli.exit_codes import FAILED
from cli.options import ALL, TRAINED_DATASETS, TRAINED_MODELS, checkpoint_options, json_option
from cli.output import print_table
from cli.printing import echo, print_json
from cli.session import Session
from cli.trained import trained_models
from cli.watcher import TerminalWatcher

if TYPE_CHECKING:
    from cli.backend.protocol import ExportOutcome

__all__ = ["export_command", "print_exports"]


@click.command("export")
@click.argument("datasets", type=TRAINED_DATASETS)
@click.option(
    "-m",
    "--models",
    type=TRAINED_MODELS,
    default=(),
    help="One trained model, or several. [default: all that have such a checkpoint, and can be "
    "exported so]",
)
@click.option(
    "--onnx",
    "form",
    flag_value="onnx",
    default="onnx",
    help="An ONNX graph with its companion files (default).",
)
@click.option(
    "--bento",
    "form",
    flag_value="bento",
    help="A bundle: a BentoML service with monitoring, to run with docker-compose or without.",
)
@click.option(
    "--monitoring/--no-monitoring",
    default=True,
    show_default=True,
    help="With --bento: put monitoring, Prometheus and a Grafana dashboard beside the service, if "
    "the run left a reference set (ktt train -r).",
)
@click.option("--gpu", is_flag=True, help="With --bento: for CUDA. For encoder models.")
@click.option(
    "--packer",
    envvar="KTT_PACKER",
    show_envvar=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="With --bento, without --address: the program that packs bundles. [default: one that is "
    "made once, with a Python 3.11 (fetched where there is none), and kept in the cache]",
)
@click.option(
    "--quantize",
    type=click.Choice(["int8"]),
    help="Make a smaller graph of 8-bit integers, and measure both: beside the other with --onnx, "
    "in its place with --bento. For encoder models.",
)
@checkpoint_options
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Put the folders MODEL_DATASET into DIR. "
    "[default: the workspace's outputs, of bundles its build; with --address ./outputs, ./build]",
)
@json_option
@click.pass_obj
def export_command(
    session: Session,
    datasets: tuple[str, ...],
    models: tuple[str, ...],
    form: str,
    monitoring: bool,
    gpu: bool,
    packer: Path | None,
    quantize: str | None,
    label: str,
    time: str | None,
    output: Path | None,
    as_json: bool,
) -> int:
    """Export trained models to run without KTT.

    \b
      ktt export shop -m tfidf_hsgd
      ktt export shop
      ktt export shop,tickets -m tfidf_hsgd,tfidf_lsgd --output served
      ktt export shop -m db_linear --quantize int8
      ktt export shop -m db_linear --bento
      ktt --address localhost export shop -m tfidf_hsgd -t 2026-01-31T12:34:56

    Without -m, or with -m all, every model is exported that is trained; those that cannot be, to
    that format or so quantized, are left out and named.

    Every export is compared with its checkpoint on real rows of the dataset before anything is
    written, and refused if results differ. An existing folder is replaced if it is of the same
    model and dataset. With --address the folder is fetched from the exporter and its checksums are
    verified.

    --bento makes a folder with a service that answers over HTTP, and, if the model was trained with
    `ktt train -r`, with a monitor that raises an alarm when texts change; its README.md says how to
    run it. The first bundle on a machine takes a minute or two longer: what packs them is installed
    first, with pip and a Python 3.11, which is fetched where there is none.

    --quantize adds model.int8.onnx to the folder, next to model.onnx. It is smaller and faster, and
    answers a little differently: its size, its speed and its hierarchical F1 on rows of the dataset
    are shown beside those of the other. With --bento the service answers with it; the monitor's
    reference set is then recomputed with the same graph.

    With --json: a list with one object per export; "manifest" is what the folder's manifest.json
    says.
    """
    from exporter import ExportSpec

    if packer is not None and form == "bento":
        _use(session, packer)
    specs = [
        ExportSpec(dataset, model, form, label, time, monitoring, quantize, gpu)
        for dataset in datasets
        for model in trained_models(session, dataset, models, label, time)
    ]
    # A model that was named explicitly must not be left out silently.
    every = not models or ALL in models
    with TerminalWatcher(quiet=as_json) as watcher:
        outcomes = session.backend.export(specs, output, watcher, leave_out=every)
    return print_exports(outcomes, as_json, monitoring)


def _use(session: Session, packer: Path) -> None:
    if session.connection is None:
        from ktt_packing.client.discovery import use_packer

        use_packer(packer)
    elif click.get_current_context().get_parameter_source("packer") is ParameterSource.COMMANDLINE:
        raise click.UsageError(
            "--packer is for exports on this machine; a server has its own packer "
            "(its option --packer)"
        )


def print_exports(outcomes: list[ExportOutcome], as_json: bool, monitoring: bool = True) -> int:
    """Print the results of exports and return the exit code.

    Parameters
    ----------
    outcomes : list of ExportOutcome
    as_json : bool
    monitoring : bool
        Whether bundles should have monitoring; those without it are mentioned then.
    """
    if as_json:
        print_json([outcome.to_json() for outcome in outcomes])
        return FAILED if any(outcome.error for outcome in outcomes) else 0
    done = [outcome for outcome in outcomes if outcome.manifest is not None]
    if done:
        print_table(
            ["dataset", "model", "format", "rows compared>", "same path>", "largest difference>"],
            [
                (
                    outcome.dataset,
                    outcome.model,
                    outcome.format,
                    *_parity(outcome.manifest or {}),
                )
                for outcome in done
            ],
        )
        quantized = [row for outcome in done for row in _quantization(outcome)]
        if quantized:
            echo()
            print_table(
                ["dataset", "model", "graph", "size>", "hierarchical F1>", "ms alone>",
                 "ms in a batch>", "same path>"],
                quantized,
            )  # fmt: skip
        for outcome in done:
            echo(f"wrote {outcome.path}")
            if monitoring and outcome.format == "bento" and not _is_monitored(outcome):
                echo(f"  {_unmonitored(outcome)}")
            elif small := _small_window(outcome.manifest or {}):
                echo(f"  {small}")
    for outcome in outcomes:
        if outcome.error is not None:
            echo(f"Error: {outcome.model} on {outcome.dataset}: {outcome.error}", err=True)
    return FAILED if any(outcome.error for outcome in outcomes) else 0


def _is_monitored(outcome: ExportOutcome) -> bool:
    files = (outcome.manifest or {}).get("files", [])
    return any(str(file.get("path", "")).startswith("monitoring/") for file in files)


def _unmonitored(outcome: ExportOutcome) -> str:
    run = (outcome.manifest or {}).get("checkpoint", {}).get("runTime", "")
    command = f"ktt train {outcome.dataset} -m {outcome.model} -r"
    return (
        f"without monitoring: the run of {run} left no reference set to compare with; for one, "
        f"train again with: {command}"
    )


def _small_window(manifest: dict[str, Any]) -> str | None:
    """Return a note if the reference set is as small as the monitor's window."""
    monitoring = manifest.get("monitoring") or {}
    rows, window = int(monitoring.get("referenceRows", 0)), int(monitoring.get("windowSize", 0))
    if not rows or window < rows:
        return None
    return (
        f"monitoring: the test split has {rows} rows, so the monitor looks at the newest {window} "
        "rows; they show large changes alone. More test rows show smaller ones"
    )


def _parity(manifest: dict[str, Any]) -> tuple[str, str, str]:
    # Protobuf's JSON writes 64-bit numbers as text, and omits zeros.
    parity = manifest.get("parity") or {}
    rows = int(parity.get("rows", 0))
    if not rows:
        return "-", "-", "-"
    return (
        f"{rows:,} {parity.get('split', '')}".strip(),
        f"{float(parity.get('topPathAgreement', 0)):.2%}",
        f"{float(parity.get('maxProbabilityDifference', 0)):.1e}",
    )


def _quantization(outcome: ExportOutcome) -> list[tuple[str, ...]]:
    """Return a row for each of the two graphs, if there are two."""
    found = (outcome.manifest or {}).get("quantization")
    if not found:
        return []
    graphs = [("model.onnx", found.get("original", {}), "")]
    agreement = f"{_of(found, 'topPathAgreement'):.2%}"
    graphs.append((found.get("path", ""), found.get("quantized", {}), agreement))
    return [
        (
            outcome.dataset,
            outcome.model,
            name,
            f"{int(graph.get('sizeBytes', 0)) / 1e6:,.1f} MB",
            f"{_of(graph, 'hierarchicalF1'):.4f}",
            f"{_of(graph, 'msAlone'):.2f}",
            f"{_of(graph, 'msBatched'):.2f}",
            same,
        )
        for name, graph, same in graphs
    ]


def _of(message: dict[str, Any], field: str) -> float:
    return float(message.get(field, 0))
