"""How a server listens, whom it trusts and what it bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from ktt_core.errors import InvalidArgumentError
from ktt_rpc.addresses import is_loopback, join_address

__all__ = ["ServerSettings"]


@dataclass(frozen=True)
class ServerSettings:
    """What `ktt_rpc.server.serve` is told; `ktt_rpc.server_options` makes it from a command line.

    Attributes
    ----------
    host : str
        Where to listen: an address, a name or ``unix:/path/of/a.sock``.
    port : int
        0 for any that is free.
    insecure : bool
        Allow plain text on a host that others reach.
    tls_cert, tls_key : Path or None
        PEM files: the server's certificate with those between it and the root, and its key.
    client_ca : Path or None
        PEM file: who signs clients' certificates; every client must then show one.
    tokens_file : Path or None
        One bearer token per line; every call must then show one.
    metrics_host : str
    metrics_port : int or None
        0 for any that is free, None for no metrics.
    max_message_mb : float
        The largest request and response, in MiB.
    rate_limit : float
        Calls per second of one peer, with bursts of two seconds' worth; 0 for no limit.
    max_concurrent_calls : int
        Calls in work at once; as many streams may come beside them; watching is not counted.
    max_watchers : int
        Watching calls at once; as many watchers of health may come beside them.
    idle_timeout : float
        Seconds that a client may send nothing, or read nothing, in a stream of its own.
    log_level : str
        "debug", "info", "warning" or "error".
    grace : float
        Seconds that calls and jobs have to come to an end when the server is told to stop.
    """

    host: str = "127.0.0.1"
    port: int = 50051
    insecure: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    tokens_file: Path | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = 9464
    max_message_mb: float = 16.0
    rate_limit: float = 200.0
    max_concurrent_calls: int = 256
    max_watchers: int = 1000
    idle_timeout: float = 60.0
    log_level: str = "info"
    grace: float = 10.0

    @property
    def address(self) -> str:
        """Where to listen, as gRPC writes it."""
        return join_address(self.host, self.port)

    @property
    def max_message_bytes(self) -> int:
        """The largest message in bytes."""
        return int(self.max_message_mb * 1024 * 1024)

    def check(self) -> None:
        """Refuse settings that do not go together.

        Raises
        ------
        InvalidArgumentError
            With what is wrong and the ways out of it.
        """
        if not self.host.removeprefix("unix:").removeprefix("unix-abstract:"):
            raise InvalidArgumentError(
                f"--host {self.host!r}: it is empty; 127.0.0.1 is this machine alone, 0.0.0.0 and "
                ":: are all of its addresses"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            missing = "--tls-key" if self.tls_key is None else "--tls-cert"
            raise InvalidArgumentError(
                f"TLS needs both --tls-cert and --tls-key; {missing} is missing"
            )
        if self.client_ca is not None and self.tls_cert is None:
            raise InvalidArgumentError(
                "--client-ca asks clients for certificates, which needs TLS: give --tls-cert and "
                "--tls-key too"
            )
        if self.tls_cert is None and not self.insecure and not is_loopback(self.host):
            raise InvalidArgumentError(
                f"{self.host} can be reached from other machines, and without TLS everybody on the "
                "way reads and changes what is sent. Do one of these: listen on this machine only "
                "(--host 127.0.0.1), give a certificate (--tls-cert FILE --tls-key FILE), or say "
                "that plain text is what you want (--insecure)"
            )
        for option, value, least in (
            ("--max-message-mb", self.max_message_mb, 0.001),
            ("--max-concurrent-calls", self.max_concurrent_calls, 1),
            ("--max-watchers", self.max_watchers, 1),
            ("--idle-timeout", self.idle_timeout, 0.1),
            ("--rate-limit", self.rate_limit, 0),
            ("--grace", self.grace, 0),
        ):
            if not math.isfinite(value) or value < least:
                raise InvalidArgumentError(f"{option} {value:g}: give at least {least:g}")
        if self.max_message_bytes > 2**31 - 1:
            raise InvalidArgumentError("--max-message-mb: gRPC takes messages below 2048 MiB")
