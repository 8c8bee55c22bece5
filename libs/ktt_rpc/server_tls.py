"""TLS of a server."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc

from ktt_core.errors import InvalidArgumentError
from ktt_rpc.secret_files import read_file, read_secret
from ktt_rpc.settings import ServerSettings

__all__ = ["server_credentials"]


def server_credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    """Return the credentials of the settings; None for plain text.

    If a key does not belong to its certificate, gRPC reports nothing and every handshake fails. So
    the files are checked with Python's TLS first.

    Raises
    ------
    InvalidArgumentError
        If a file cannot be read or used.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    certificate = read_file(settings.tls_cert, "--tls-cert")
    key = read_secret(settings.tls_key, "--tls-key")
    _try_pair(settings.tls_cert, settings.tls_key)
    clients = None
    if settings.client_ca is not None:
        clients = read_file(settings.client_ca, "--client-ca")
        _try_roots(settings.client_ca)
    return grpc.ssl_server_credentials(
        [(key, certificate)], root_certificates=clients, require_client_auth=clients is not None
    )


def _try_pair(certificate: Path, key: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # OpenSSL would ask for a passphrase on the terminal; an empty one fails instead.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, ValueError, OSError) as error:
        raise InvalidArgumentError(
            f"--tls-cert {certificate} and --tls-key {key} cannot be used: {_why(error)}. Both "
            "must be PEM, the key without a passphrase and of the first certificate in its file"
        ) from error


def _try_roots(path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(path)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise InvalidArgumentError(
            f"--client-ca {path} cannot be used: {_why(error)}. It must hold certificates in PEM"
        ) from error


def _why(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
