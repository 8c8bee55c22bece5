"""How running services are reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Connection"]


@dataclass(frozen=True)
class Connection:
    """How to reach running services.

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
        PEM files, which ask for encryption too: whom to trust, and who we are.
    server_name : str or None
        The name the server's certificate must have, if not the address's.
    token_file : Path or None
        A file with the bearer token.
    timeout : float
        Seconds that one call may take.
    reconnect : float
        Seconds to wait for a server that is gone while a job is watched or a file is sent.
    contact : float
        Seconds to wait for a server before anything has begun: it may just be starting.
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
