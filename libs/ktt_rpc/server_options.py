"""The command line options of a server, each with its environment variable."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from ktt_rpc.settings import ServerSettings

__all__ = ["server_options", "to_arguments"]

_FILE = click.Path(dir_okay=False, path_type=Path)


def server_options(
    *, default_port: int = 50051, default_metrics_port: int | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options of `ServerSettings` to a click command, which receives them as `settings`.

    Parameters
    ----------
    default_port : int
    default_metrics_port : int, optional
        Default: as far from 9464 as `default_port` is from 50051, so that two services on one
        machine do not collide.

    Returns
    -------
    callable
        A decorator, to put below ``@click.command()``.
    """
    metrics_port = default_metrics_port or 9464 + default_port - 50051

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_settings(**values: Any) -> Any:
            given = {field.name: values.pop(field.name) for field in fields(ServerSettings)}
            if not values.pop("metrics"):
                given["metrics_port"] = None
            return command(settings=ServerSettings(**given), **values)

        decorated: Callable[..., Any] = with_settings
        for option in reversed(_options(default_port, metrics_port)):
            decorated = option(decorated)
        return decorated

    return decorate


def to_arguments(settings: ServerSettings) -> list[str]:
    """Return the command line with all of some settings, for a command with `server_options`.

    They take precedence over the environment.
    """
    arguments = []
    for field in fields(settings):
        name, value = field.name, getattr(settings, field.name)
        if name == "metrics_port":
            arguments += ["--no-metrics"] if value is None else ["--metrics"]
        if value is None or value is False:
            continue
        option = f"--{name.replace('_', '-')}"
        arguments += [option] if value is True else [option, str(value)]
    return arguments


def _option(flag: str, envvar: str, help_text: str, **more: Any) -> Callable[[Any], Any]:
    more.setdefault("show_default", more.get("default") is not None)
    return click.option(flag, envvar=envvar, show_envvar=True, help=help_text, **more)


def _options(default_port: int, default_metrics_port: int) -> list[Callable[[Any], Any]]:
    return [*_listening(default_port), *_trust(), *_limits(), *_operation(default_metrics_port)]


def _listening(default_port: int) -> list[Callable[[Any], Any]]:
    # Not KTT_PORT: Kubernetes sets a variable of that form for a Service named "ktt".
    return [
        _option(
            "--host",
            "KTT_LISTEN_HOST",
            "Where to listen: an address or name of this machine, or unix:/path/of/a.sock. "
            "0.0.0.0 and :: mean all addresses, and need TLS or --insecure.",
            default="127.0.0.1",
        ),
        _option(
            "--port",
            "KTT_LISTEN_PORT",
            "The port; 0 for any free one (shown in the first log line).",
            type=click.IntRange(0, 65535),
            default=default_port,
        ),
        _option(
            "--insecure",
            "KTT_INSECURE",
            "Allow plain text on a host that other machines reach. Only where something else "
            "restricts access: a private container network, a proxy that terminates TLS.",
            is_flag=True,
            show_default=False,
        ),
    ]


def _trust() -> list[Callable[[Any], Any]]:
    return [
        _option(
            "--tls-cert",
            "KTT_TLS_CERT",
            "The server's certificate (PEM), followed by intermediate ones. "
            "Goes with --tls-key.",
            type=_FILE,
        ),
        _option(
            "--tls-key",
            "KTT_TLS_KEY",
            "The certificate's private key (PEM, no passphrase). Refused if every user of this "
            "machine may read it.",
            type=_FILE,
        ),
        _option(
            "--client-ca",
            "KTT_CLIENT_CA",
            "Mutual TLS: CA certificates (PEM) that sign the clients' certificates. Clients "
            "without one are refused.",
            type=_FILE,
        ),
        _option(
            "--tokens-file",
            "KTT_TOKENS_FILE",
            "Bearer tokens, one per line ('#' begins a comment line); every call but health "
            "checks must then carry one: 'authorization: Bearer TOKEN'. Read at the start; only "
            "their hashes are kept. Refused if every user of this machine may read it.",
            type=_FILE,
        ),
    ]


def _limits() -> list[Callable[[Any], Any]]:
    return [
        _option(
            "--max-message-mb",
            "KTT_MAX_MESSAGE_MB",
            "The largest request or response, in MiB. Larger ones end with RESOURCE_EXHAUSTED. "
            "Uploads and downloads of any size come in small parts.",
            type=float,
            default=16.0,
        ),
        _option(
            "--rate-limit",
            "KTT_RATE_LIMIT",
            "Calls per second of one peer (an IP address); bursts may take two seconds' worth. "
            "Further calls end with RESOURCE_EXHAUSTED and the time to wait. 0: no limit.",
            type=float,
            default=200.0,
        ),
        _option(
            "--max-concurrent-calls",
            "KTT_MAX_CONCURRENT_CALLS",
            "Concurrent calls, and as many uploads and downloads in addition; watching is not "
            "counted. Further calls end with RESOURCE_EXHAUSTED.",
            type=int,
            default=256,
        ),
        _option(
            "--max-watchers",
            "KTT_MAX_WATCHERS",
            "Maximum number of clients that watch jobs.",
            type=int,
            default=1000,
        ),
        _option(
            "--idle-timeout",
            "KTT_IDLE_TIMEOUT",
            "Seconds without data after which an upload or a download is ended. It can be "
            "continued later.",
            type=float,
            default=60.0,
        ),
    ]


def _operation(default_metrics_port: int) -> list[Callable[[Any], Any]]:
    return [
        _option(
            "--metrics/--no-metrics",
            "KTT_METRICS",
            "Whether to answer Prometheus over HTTP, at /metrics.",
            default=True,
        ),
        _option(
            "--metrics-host",
            "KTT_LISTEN_METRICS_HOST",
            "Where to listen for Prometheus. Metrics hold no names, texts or tokens, but they "
            "are served in plain text and without authentication.",
            default="127.0.0.1",
        ),
        _option(
            "--metrics-port",
            "KTT_LISTEN_METRICS_PORT",
            "The port for Prometheus; 0 for any free one.",
            type=click.IntRange(0, 65535),
            default=default_metrics_port,
        ),
        _option(
            "--log-level",
            "KTT_LOG_LEVEL",
            "How much is logged (JSON lines on standard error). 'info' has one line per call.",
            type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
            default="info",
        ),
        _option(
            "--grace",
            "KTT_GRACE",
            "On SIGTERM or SIGINT: seconds that running calls, and then running jobs, have to "
            "end. Jobs continue at the next start.",
            type=float,
            default=10.0,
        ),
    ]
