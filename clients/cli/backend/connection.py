"""Connection settings for running services."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Connection"]


@dataclass(frozen=True)
class Connection:
    """Settings for connecting to running services.

    Attributes
    ----------
    trainer, exporter : str
        Their addresses, "host:port".
    exporter_named : bool
        Whether the exporter's address was given, not derived from the trainer's.
    tls : bool
        Encrypt, and trust the authorities of the system.
    insecure : bool
        Allow plain text to other machines.
    ca_cert, client_cert, client_key : Path or None
        PEM files, which imply encryption: the trusted CA, and the client's certificate and key.
    server_name : str or None
        The name in the server's certificate, if it differs from the address.
    token_file : Path or None
        A file with the bearer token.
    timeout : float
        Timeout of one call in seconds.
    reconnect : float
        Seconds to wait for a lost server while a job is watched or a file is sent.
    contact : float
        Seconds to wait for a server at first, since it may be starting.
    """

    trainer: str
    exporter: str
    exporter_named: bool = False
    tls: bool = False
    insecure: bool = False
    ca_cert: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    server_name: str | None = None
    token_file: Path | None = None
    timeout: float = 60.0
    reconnect: float = 600.0
    contact: float = 5.0
