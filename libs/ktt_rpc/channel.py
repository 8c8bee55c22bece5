"""A client's way to a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc

__all__ = ["ClientSettings", "open_channel"]


@dataclass(frozen=True)
class ClientSettings:
    """Where a server is and how to talk to it.

    Attributes
    ----------
    address : str
        "host:port", or ``unix:/path``.
    insecure : bool
        Plain text to a host that is not this machine. (To this machine plain text is what is
        spoken unless `tls` or `ca_cert` says otherwise.)
    tls : bool
        TLS with the machine's own list of trusted roots.
    ca_cert : Path or None
        TLS; who signed the server's certificate (PEM).
    client_cert, client_key : Path or None
        The client's own certificate and key (PEM), for servers that ask for one.
    token : str
        The bearer token.
    token_file : Path or None
        A file whose first line is the token.
    server_name : str
        The name in the server's certificate, if it is not the address' host.
    timeout : float
        Seconds that a call may take.
    max_message_mb : float
        The largest response, in MiB.
    """

    address: str
    insecure: bool = False
    tls: bool = False
    ca_cert: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    token: str = ""
    token_file: Path | None = None
    server_name: str = ""
    timeout: float = 30.0
    max_message_mb: float = 64.0


def open_channel(settings: ClientSettings) -> grpc.Channel:
    """Open a channel; nothing is sent before its first call.

    Raises
    ------
    InvalidArgumentError
        The settings do not go together, or ask for plain text to another machine.
    """
    raise NotImplementedError
