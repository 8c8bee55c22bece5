"""``./pants run services/exporter:main``: the exporter as a gRPC server."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktt_core.errors import KttError
from ktt_rpc.option_types import Folder, NumberRange
from ktt_rpc.server_options import server_options

if TYPE_CHECKING:
    from ktt_rpc.settings import ServerSettings

__all__ = ["main"]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--workspace",
    envvar="KTT_WORKSPACE",
    show_envvar=True,
    type=Folder(file_okay=False, path_type=Path),
    default=Path("workspace"),
    show_default=True,
    help="The folder with datasets/ and weights/, usually a trainer's; exports go to outputs/ and "
    "build/ in it, jobs to jobs/. Only one exporter at a time serves a workspace; a trainer, and "
    "`ktt` without --address, may work beside it.",
)
@click.option(
    "--workers",
    envvar="KTT_WORKERS",
    show_envvar=True,
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Exports that run at once, each in a process of its own, which loads its model: several "
    "are useful only with enough memory.",
)
@click.option(
    "--queue-limit",
    envvar="KTT_QUEUE_LIMIT",
    show_envvar=True,
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Maximum number of queued exports; further ones end with RESOURCE_EXHAUSTED.",
)
@click.option(
    "--retention-days",
    envvar="KTT_RETENTION_DAYS",
    show_envvar=True,
    type=NumberRange(0, 36_500, min_open=True),
    default=30.0,
    show_default=True,
    help="How long ended jobs are kept. What they exported stays, but DownloadArtifact goes by the "
    "job.",
)
@click.option(
    "--model-cache",
    envvar="KTT_MODEL_CACHE",
    show_envvar=True,
    type=click.IntRange(1, 1024),
    default=4,
    show_default=True,
    help="Number of models that Predict keeps loaded, the most recently used; each takes slightly "
    "more memory than the size of its checkpoint.",
)
@click.option(
    "--packer",
    envvar="KTT_PACKER",
    show_envvar=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The program that packs BentoML bundles. By default one is installed when first needed, "
    "with a Python 3.11 (downloaded if missing), and kept in the cache; the image has one.",
)
@server_options(default_port=50052, default_metrics_port=9465)
def main(
    workspace: Path,
    workers: int,
    queue_limit: int,
    retention_days: float,
    model_cache: int,
    packer: Path | None,
    settings: ServerSettings,
) -> None:
    """Serve the exporter over gRPC: exports of checkpoints, their download, and predictions.

    \b
      ./pants run services/exporter:main -- --workspace ws
      ktt --address 127.0.0.1 export shop -m tfidf_hsgd
      ktt --address 127.0.0.1 predict shop -m tfidf_hsgd "blue running shoes"

    ktt expects the exporter on the trainer's host, on this port; --exporter-address names another.

    Jobs outlive the server: running jobs are started again after a restart, even if the server was
    killed. SIGTERM and SIGINT end it in order, with exit code 0. Logs are JSON lines on standard
    error. Every option can be given by its environment variable.
    """
    from exporter.handlers import Exporter
    from exporter.job_kind import open_jobs
    from exporter.servicer import exporter_service
    from ktt_core.workspace import Workspace
    from ktt_packing.client.discovery import use_packer
    from ktt_rpc.server import serve

    try:
        Workspace(workspace)
    except KttError as error:
        raise click.UsageError(str(error)) from error
    if packer is not None:
        use_packer(packer)
    jobs = open_jobs(
        workspace,
        workers=workers,
        queue_limit=queue_limit,
        retention=timedelta(days=retention_days),
    )
    exporter = Exporter(workspace, jobs, model_cache=model_cache)
    sys.exit(serve([exporter_service(exporter)], settings, jobs=jobs, on_start=exporter.start))


if __name__ == "__main__":
    main()
