"""``./pants run services/trainer:main``: the trainer as a gRPC server."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktt_core.errors import InvalidArgumentError
from ktt_rpc.option_types import Folder, NumberRange
from ktt_rpc.server_options import server_options
from trainer.specs import STEP_GRACE

if TYPE_CHECKING:
    from ktt_rpc.settings import ServerSettings

__all__ = ["main"]

_MIB = 1024**2


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--workspace",
    envvar="KTT_WORKSPACE",
    show_envvar=True,
    type=Folder(file_okay=False, path_type=Path),
    default=Path("workspace"),
    show_default=True,
    help="The folder with datasets/, weights/, jobs/ and uploads/; made if missing. Only one "
    "trainer at a time serves a workspace; an exporter, and `ktt` without --address, may work "
    "beside it.",
)
@click.option(
    "--allowed-root",
    "allowed_roots",
    envvar="KTT_ALLOWED_ROOTS",
    show_envvar=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help="A folder whose files clients may import by their path on this machine; links that lead "
    "out of it are refused. Repeatable; in the variable separated by ':'. Without it "
    "clients can only upload.",
)
@click.option(
    "--workers",
    envvar="KTT_WORKERS",
    show_envvar=True,
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Number of jobs that run at once, each in a separate process. Each needs the memory and "
    "the cores of its model: several are useful only with enough of both.",
)
@click.option(
    "--queue-limit",
    envvar="KTT_QUEUE_LIMIT",
    show_envvar=True,
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Maximum number of queued jobs; further ones end with RESOURCE_EXHAUSTED.",
)
@click.option(
    "--retention-days",
    envvar="KTT_RETENTION_DAYS",
    show_envvar=True,
    type=NumberRange(0, 36_500, min_open=True),
    default=30.0,
    show_default=True,
    help="How long ended jobs are kept. Checkpoints and datasets are kept forever.",
)
@click.option(
    "--upload-limit-mb",
    envvar="KTT_UPLOAD_LIMIT_MB",
    show_envvar=True,
    type=NumberRange(0, 1_000_000_000, min_open=True),
    default=10_240.0,
    show_default=True,
    help="The largest file that may be uploaded, in MiB.",
)
@click.option(
    "--upload-ttl-hours",
    envvar="KTT_UPLOAD_TTL_HOURS",
    show_envvar=True,
    type=NumberRange(0, 24 * 365, min_open=True),
    default=24.0,
    show_default=True,
    help="Uploads that are not continued or imported for so long are deleted. There is room for "
    "100; beyond that, an upload without any bytes is deleted after a minute.",
)
@click.option(
    "--cancel-grace",
    envvar="KTT_CANCEL_GRACE",
    show_envvar=True,
    type=NumberRange(0, 86_400),
    default=STEP_GRACE,
    show_default=True,
    help="Seconds that a cancelled training run, if it can be continued later, has to finish its "
    "step and save its state; then it is killed. When the server itself stops, --grace applies.",
)
@click.option(
    "--allow-download",
    envvar="KTT_ALLOW_DOWNLOAD",
    show_envvar=True,
    is_flag=True,
    help="Allow clients to download encoders from the Hugging Face hub to this machine.",
)
@server_options(default_port=50051)
def main(
    workspace: Path,
    allowed_roots: tuple[Path, ...],
    workers: int,
    queue_limit: int,
    retention_days: float,
    upload_limit_mb: float,
    upload_ttl_hours: float,
    cancel_grace: float,
    allow_download: bool,
    settings: ServerSettings,
) -> None:
    """Serve the trainer over gRPC: datasets, training and evaluation jobs, models, checkpoints.

    \b
      ./pants run services/trainer:main -- --workspace ws
      ktt --address 127.0.0.1:50051 data import shop.csv shop --text title --classes path --sep "/"
      ktt --address 127.0.0.1:50051 train shop -m tfidf_hsgd

    Jobs outlive the server: running jobs are started again after a restart, even if the server was
    killed; models that save their state during training continue from it. SIGTERM and SIGINT end it
    in order, with exit code 0. Logs are JSON lines on standard error. Every option can be given by
    its environment variable.
    """
    from ktt_jobs import JobService
    from ktt_rpc.server import serve
    from trainer.handlers import jobs_folder, run_policy
    from trainer.server import TrainerServer
    from trainer.servicer.service import trainer_service
    from trainer.specs import TASKS

    jobs = JobService(
        jobs_folder(workspace),
        TASKS,
        workers=workers,
        queue_limit=queue_limit,
        retention=timedelta(days=retention_days),
        policy=run_policy(cancel_grace),
    )
    try:
        trainer = TrainerServer(
            workspace,
            jobs,
            allowed_roots=allowed_roots,
            upload_limit_bytes=max(1, int(upload_limit_mb * _MIB)),
            upload_ttl=timedelta(hours=upload_ttl_hours),
            allow_download=allow_download,
        )
    except InvalidArgumentError as error:
        raise click.UsageError(str(error)) from error
    sys.exit(
        serve(
            [trainer_service(trainer)],
            settings,
            jobs=jobs,
            on_start=trainer.start,
            on_stop=trainer.stop,
        )
    )


if __name__ == "__main__":
    main()
