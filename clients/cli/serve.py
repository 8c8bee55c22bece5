"""`ktt serve`: a trainer and an exporter on one workspace, in one program."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import click
from click.core import ParameterSource

from cli.exit_codes import FAILED
from cli.printing import echo
from cli.service_process import ServiceProcess
from cli.session import EXPORTER_PORT, TRAINER_PORT, Session
from ktt_core.errors import InvalidArgumentError, KttError
from ktt_rpc.addresses import is_loopback
from ktt_rpc.server_options import server_options, to_arguments
from ktt_rpc.settings import ServerSettings

__all__ = ["serve_command"]

_METRICS_PORT = 9465
# Seconds between polls of the services.
_LOOK = 0.2
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command("serve")
@click.option(
    "--exporter-port",
    envvar="KTT_LISTEN_EXPORTER_PORT",
    show_envvar=True,
    type=click.IntRange(0, 65535),
    default=EXPORTER_PORT,
    show_default=True,
    help="The exporter's port; --port is the trainer's.",
)
@click.option(
    "--exporter-metrics-port",
    envvar="KTT_LISTEN_EXPORTER_METRICS_PORT",
    show_envvar=True,
    type=click.IntRange(0, 65535),
    default=_METRICS_PORT,
    show_default=True,
    help="The exporter's port for Prometheus; --metrics-port is the trainer's.",
)
@click.option(
    "--workers",
    envvar="KTT_WORKERS",
    show_envvar=True,
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Jobs that each of the two runs at once: so many trainings or evaluations, and as many "
    "exports.",
)
@click.option(
    "--allowed-root",
    "allowed_roots",
    envvar="KTT_ALLOWED_ROOTS",
    show_envvar=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help="A folder whose files clients may import by their path on this machine. Repeatable; in "
    "the variable separated by ':'. Without it clients can only upload.",
)
@click.option(
    "--allow-download",
    envvar="KTT_ALLOW_DOWNLOAD",
    show_envvar=True,
    is_flag=True,
    help="Allow clients to download encoders from the Hugging Face hub to this machine.",
)
@server_options(default_port=TRAINER_PORT)
@click.pass_obj
def serve_command(
    session: Session,
    exporter_port: int,
    exporter_metrics_port: int,
    workers: int,
    allowed_roots: tuple[Path, ...],
    allow_download: bool,
    settings: ServerSettings,
) -> int:
    """Serve a workspace to others: a trainer and an exporter, which end together.

    \b
      ktt serve
      ktt --workspace /srv/ktt serve --workers 2
      ktt serve --host 0.0.0.0 --tls-cert server.pem --tls-key server.key --tokens-file tokens
      ktt --address localhost train shop -m tfidf_hsgd        # in another terminal

    They are the two services that `./pants run services/trainer:main` and
    `./pants run services/exporter:main` start by themselves, and take the same options, for both
    alike but for the ports; others than those below by their environment variables. Their logs are
    JSON lines on standard error.

    Ctrl-C, or SIGTERM, ends both in order: calls and jobs have --grace seconds, and jobs continue
    at the next start. A second one ends the waiting. If one service ends by itself, the other is
    ended, too. The exit code is 0 after a signal, 2 for wrong settings, and otherwise that of the
    failed service.
    """
    root = click.get_current_context().find_root()
    if root.get_parameter_source("address") is ParameterSource.COMMANDLINE:
        raise click.UsageError(
            "`ktt serve` serves a workspace of this machine: name it with --workspace; --address "
            "is for the commands that use a server"
        )
    both = _settings(settings, exporter_port, exporter_metrics_port)
    common = ["--workspace", str(session.workspace), "--workers", str(workers)]
    arguments = {
        "trainer": [
            *(part for root in allowed_roots for part in ("--allowed-root", str(root))),
            *(["--allow-download"] if allow_download else []),
        ],
        "exporter": [],
    }
    with ExitStack() as stack:
        stop = stack.enter_context(_stop_signals())
        services = []
        for name, own in arguments.items():
            try:
                service = ServiceProcess(name, [*common, *own, *to_arguments(both[name])])
            except OSError as error:
                raise KttError(f"the {name} cannot be started: {error}") from error
            stack.callback(service.close)
            services.append(service)
        return _attend(services, stop, session.workspace, settings)


def _settings(trainer: ServerSettings, port: int, metrics_port: int) -> dict[str, ServerSettings]:
    """Return the settings of each service.

    Raises
    ------
    InvalidArgumentError
        If they are inconsistent.
    """
    trainer.check()
    if trainer.host.startswith(("unix:", "unix-abstract:")):
        raise InvalidArgumentError(
            f"--host {trainer.host}: two services cannot listen on one socket; start each by "
            "itself, with --host of its own"
        )
    exporter = replace(
        trainer, port=port, metrics_port=None if trainer.metrics_port is None else metrics_port
    )
    taken: dict[int, str] = {}
    for what, number in (
        ("--port", trainer.port),
        ("--exporter-port", exporter.port),
        ("--metrics-port", trainer.metrics_port),
        ("--exporter-metrics-port", exporter.metrics_port),
    ):
        if number and number in taken:
            raise InvalidArgumentError(f"{taken[number]} and {what} are both {number}")
        if number:
            taken[number] = what
    return {"trainer": trainer, "exporter": exporter}


@contextmanager
def _stop_signals() -> Iterator[list[signal.Signals]]:
    """Yield a list that collects termination signals."""
    came: list[signal.Signals] = []

    def note(signum: int, frame: FrameType | None) -> None:
        came.append(signal.Signals(signum))

    # nohup ignores hang-ups.
    heard = [
        number
        for number in _SIGNALS
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, note) for number in heard}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _attend(
    services: Sequence[ServiceProcess],
    stop: list[signal.Signals],
    workspace: Path,
    settings: ServerSettings,
) -> int:
    """Wait for the end of services and return the exit code."""
    waiting = {service.name: service for service in services}
    addresses: dict[str, str] = {}
    told = 0
    ended: dict[str, int] = {}
    first: tuple[str, int] | None = None
    while len(ended) < len(services):
        if told < len(stop):
            told = len(stop)
            # A third signal kills services that ignore the second.
            how = signal.SIGKILL if told > 2 else signal.SIGTERM
            _send(services, ended, how)
        # A signal does not end the wait, but the next poll is soon.
        for service in select.select(list(waiting.values()), [], [], _LOOK)[0]:
            address = service.address()
            if address is not None:
                addresses[service.name] = address
                del waiting[service.name]
                # Not if one has ended while the other was starting.
                if len(addresses) == len(services) and first is None and not stop:
                    echo(_welcome(addresses, workspace, settings), err=True)
        for service in services:
            code = service.exit_code
            if code is None or service.name in ended:
                continue
            ended[service.name] = code
            waiting.pop(service.name, None)
            if not stop and first is None:
                first = service.name, code
                _send(services, ended, signal.SIGTERM)
    if first is not None:
        name, code = first
        other = next(service.name for service in services if service.name != name)
        echo(
            f"Error: the {name} {_how(code)}, see its log above; the {other} was ended, too",
            err=True,
        )
        return code if code > 0 else FAILED
    # A starting service does not handle signals yet.
    failed = [code for code in ended.values() if code not in (0, -signal.SIGTERM)]
    return next((code if code > 0 else FAILED for code in failed), 0)


def _send(services: Sequence[ServiceProcess], ended: dict[str, int], how: signal.Signals) -> None:
    for service in services:
        if service.name not in ended:
            service.send(how)


def _how(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}" if code else "was ended"


def _welcome(addresses: dict[str, str], workspace: Path, settings: ServerSettings) -> str:
    trainer, exporter = map(_reached, (addresses["trainer"], addresses["exporter"]))
    options = [f"--address {trainer.removesuffix(f':{TRAINER_PORT}')}"]
    if not exporter.endswith(f":{EXPORTER_PORT}"):
        options.append(f"--exporter-address {exporter}")
    if settings.tls_cert is not None:
        options.append("--tls (or --ca-cert FILE)")
    elif not is_loopback(settings.host):
        options.append("--insecure")
    if settings.client_ca is not None:
        options.append("--client-cert FILE --client-key FILE")
    if settings.tokens_file is not None:
        options.append("--token-file FILE")
    return (
        f"a trainer on {trainer} and an exporter on {exporter} serve {os.path.abspath(workspace)}; "
        f"use them with: ktt {' '.join(options)} ...\nCtrl-C ends both"
    )


def _reached(address: str) -> str:
    """Return an address to reach a server that listens on all addresses."""
    host, _, port = address.rpartition(":")
    return f"{socket.gethostname()}:{port}" if host in ("0.0.0.0", "[::]") else address
