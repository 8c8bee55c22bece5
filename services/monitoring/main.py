"""``./pants run services/monitoring:main``: monitor a served model."""

from __future__ import annotations

import logging
import os
import signal
import warnings
from pathlib import Path
from types import FrameType

import click

from .errors import MonitoringError
from .logs import configure_logging

__all__ = ["main"]

_LOG = logging.getLogger("monitoring")
_MIB = 1024**2


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config",
    envvar="KTT_MONITOR_CONFIG",
    show_envvar=True,
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("evidently.yaml"),
    show_default=True,
    help="What to monitor. Its reference_path is relative to its own folder.",
)
@click.option(
    "--state",
    "state_folder",
    envvar="KTT_MONITOR_STATE",
    show_envvar=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the window, labels and report; created if missing. By default `state` "
    "beside the configuration. One monitor at a time may use it.",
)
@click.option(
    "--host",
    envvar="KTT_MONITOR_HOST",
    show_envvar=True,
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on. There is no authentication: unless it is a loopback "
    "address, make sure that only the inference service and Prometheus can reach it.",
)
@click.option(
    "--port",
    envvar="KTT_MONITOR_PORT",
    show_envvar=True,
    type=click.IntRange(0, 65535),
    default=5001,
    show_default=True,
    help="The port to listen on; 0 takes a free one, which is logged.",
)
@click.option(
    "--threads",
    envvar="KTT_MONITOR_THREADS",
    show_envvar=True,
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Number of requests answered concurrently.",
)
@click.option(
    "--body-limit-mb",
    envvar="KTT_MONITOR_BODY_LIMIT_MB",
    show_envvar=True,
    type=click.IntRange(1, 1024),
    default=32,
    show_default=True,
    help="The largest request, in MiB. A row of 10,000 classes takes about 0.1 MiB.",
)
@click.option(
    "--log-level",
    envvar="KTT_MONITOR_LOG_LEVEL",
    show_envvar=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Log lines are JSON, on standard error, without any content of a request.",
)
def main(
    config: Path,
    state_folder: Path | None,
    host: str,
    port: int,
    threads: int,
    body_limit_mb: int,
    log_level: str,
) -> None:
    """Compare a served model's rows with its reference set.

    \b
      ./pants run services/monitoring:main -- --config evidently.yaml
      curl -d '{"data": [[null, 0.1, 0.7, 0.3]]}' 127.0.0.1:5001/iterate
      curl 127.0.0.1:5001/metrics

    Rows are posted to /iterate, labels that arrive later to /feedback. At an interval, Evidently
    compares the newest rows with the reference: /metrics has the result for Prometheus, /report the
    page for people. /health and /ready tell the state of the service itself.
    SIGTERM and SIGINT end it with exit code 0; rows survive, also when it is killed.
    Exit code 2: the configuration, the reference or the state folder cannot be used.
    """
    configure_logging(log_level)
    # Warnings of empty classes in small windows; metrics without a value are left out.
    warnings.simplefilter("ignore")
    try:
        _serve(config, state_folder or config.parent / "state", host, port, threads, body_limit_mb)
    except MonitoringError as error:
        raise click.UsageError(str(error)) from error


def _serve(
    config: Path, state_folder: Path, host: str, port: int, threads: int, body_limit_mb: int
) -> None:
    # Imported late, so that --help and invalid options answer quickly.
    from .app import create_app
    from .metrics import Metrics
    from .reference import load_reference
    from .server import make_server
    from .settings import load_settings
    from .state import State
    from .store import Store
    from .worker import Worker

    settings = load_settings(config)
    reference = load_reference(settings)
    store = Store(state_folder, reference.layout, reference.fingerprint)
    state = State(settings, reference, store)
    metrics = Metrics(reference.layout, state, settings.monitors)
    worker = Worker(settings, reference.layout, state, metrics, state_folder)
    limit = body_limit_mb * _MIB
    app = create_app(reference.layout, state, metrics, worker, state_folder, limit)
    try:
        server = make_server(app, metrics, host, port, threads, limit)
    except OSError as error:
        raise MonitoringError(f"cannot listen on {host}:{port}: {error}") from error
    signal.signal(signal.SIGTERM, _end)
    worker.start()
    _LOG.info("listening", extra={"address": f"http://{host}:{server.effective_port}"})
    # Returns when a signal handler raises SystemExit or KeyboardInterrupt in it.
    server.run()
    _LOG.info("ending")
    worker.stop()
    state.close()
    logging.shutdown()
    # Without waiting for a running computation: the next start repeats it, and it could take longer
    # than the sender of the signal waits.
    os._exit(0)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
