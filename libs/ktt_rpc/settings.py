"""Settings of a server: address, TLS, tokens and limits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from ktt_core.errors import InvalidArgumentError
from ktt_rpc.addresses import is_loopback, join_address

__all__ = ["ServerSettings"]


@dataclass(frozen=True)
class ServerSettings:
    """Settings for `ktt_rpc.server.serve`, as `ktt_rpc.server_options` reads them.

    Attributes
    ----------
    host : str
        Where to listen: an address, a name or ``unix:/path/of/a.sock``.
    port : int
        0 for any free one.
    insecure : bool
        Allow plain text on a host that other machines can reach.
    tls_cert, tls_key : Path or None
        PEM files: the server's certificate with intermediate ones, and its key.
    client_ca : Path or None
        PEM file: CA certificates for clients' certificates, which are then required.
    tokens_file : Path or None
        One bearer token per line; every call must then carry one.
    metrics_host : str
    metrics_port : int or None
        0 for any free one, None for no metrics.
    max_message_mb : float
        The largest request and response, in MiB.
    rate_limit : float
        Calls per second of one peer, with bursts of two seconds' worth; 0 for no limit.
    max_concurrent_calls : int
        Limit of concurrent calls, and separately of streams; watching is not counted.
    max_watchers : int
        Limit of watching calls, and separately of health watchers.
    idle_timeout : float
        Seconds without data after which a client's stream is ended.
    log_level : str
        "debug", "info", "warning" or "error".
    grace : float
        Seconds that calls and jobs have to end when the server stops.
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
        """The address to listen on, in gRPC's form."""
        return join_address(self.host, self.port)

    @property
    def max_message_bytes(self) -> int:
        """The largest message in bytes."""
        return int(self.max_message_mb * 1024 * 1024)

    def check(self) -> None:
        """Check that the settings are consistent.

        Raises
        ------
        InvalidArgumentError
            If they are not; the message lists the alternatives.
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
