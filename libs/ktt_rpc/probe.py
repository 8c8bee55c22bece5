"""Health check of a server on this machine, for containers.

``python -m ktt_rpc.probe`` reads the environment variables of the server's configuration, calls
``grpc.health.v1.Health`` and exits with 0 if the answer is SERVING.
"""

from __future__ import annotations

import socket
import ssl
import sys
from pathlib import Path

import click
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ktt_core.errors import KttError, UnavailableError
from ktt_rpc.addresses import join_address
from ktt_rpc.channel import ClientSettings, open_channel

__all__ = ["main", "probe"]

_FILE = click.Path(dir_okay=False, path_type=Path)
# Loopback addresses for the wildcard addresses.
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "[::]": "::1", "": "127.0.0.1"}


def probe(
    host: str,
    port: int,
    *,
    tls_cert: Path | None = None,
    client_cert: Path | None = None,
    client_key: Path | None = None,
    timeout: float = 5.0,
) -> None:
    """Raise unless the server is serving.

    Parameters
    ----------
    host, port
        Address that the server was told to listen on.
    tls_cert
        The server's own certificate, which alone is trusted here; None for plain text.
    client_cert, client_key
        For a server that requires client certificates.
    timeout
        In seconds.

    Raises
    ------
    KttError
        If it is not serving, or cannot be reached.
    """
    host = _ANY.get(host, host)
    address = join_address(host, port)
    name = _certified_name(host, port, tls_cert, timeout) if tls_cert is not None else ""
    settings = ClientSettings(
        address=address,
        insecure=tls_cert is None,
        ca_cert=tls_cert,
        client_cert=client_cert,
        client_key=client_key,
        server_name=name,
        timeout=timeout,
    )
    with open_channel(settings) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=timeout
            )
        except grpc.RpcError as error:
            raise UnavailableError(
                f"the server at {address} does not answer: {error.code().name}: {error.details()}"
            ) from error
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        raise UnavailableError(f"the server at {address} says {status}")


def _certified_name(host: str, port: int, tls_cert: Path, timeout: float) -> str:
    """Return a name in the server's certificate: it rarely contains the loopback address.

    This is secure: here, and again by gRPC, the certificate is checked to be the configured one.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(tls_cert)
        with (
            socket.create_connection((host, port), timeout=timeout) as connection,
            context.wrap_socket(connection) as secured,
        ):
            certificate = secured.getpeercert() or {}
    except (OSError, ValueError) as error:
        raise UnavailableError(f"the server at {host}:{port} does not use TLS: {error}") from error
    names = [str(entry[1]) for entry in certificate.get("subjectAltName", ())]
    if not names:
        raise UnavailableError(
            f"{tls_cert}: the certificate names no host (subjectAltName), so no client can trust it"
        )
    return names[0].replace("*", "health")


@click.command()
@click.option(
    "--host",
    envvar="KTT_LISTEN_HOST",
    default="127.0.0.1",
    show_default=True,
    show_envvar=True,
    help="Where the server listens; it is reached at the loopback address if that is everywhere.",
)
@click.option(
    "--port", envvar="KTT_LISTEN_PORT", type=int, required=True, show_envvar=True, help="Its port."
)
@click.option(
    "--tls-cert",
    envvar="KTT_TLS_CERT",
    type=_FILE,
    show_envvar=True,
    help="The server's certificate, if it speaks TLS.",
)
@click.option(
    "--client-cert",
    envvar="KTT_PROBE_CLIENT_CERT",
    type=_FILE,
    show_envvar=True,
    help="A client certificate, if the server asks for one.",
)
@click.option(
    "--client-key",
    envvar="KTT_PROBE_CLIENT_KEY",
    type=_FILE,
    show_envvar=True,
    help="The key of the client certificate.",
)
@click.option(
    "--timeout", type=float, default=5.0, show_default=True, help="Seconds for the whole probe."
)
def main(
    host: str,
    port: int,
    tls_cert: Path | None,
    client_cert: Path | None,
    client_key: Path | None,
    timeout: float,
) -> None:
    """Ask the KTT server on this machine whether it serves; end with 0 if it does."""
    try:
        probe(
            host,
            port,
            tls_cert=tls_cert,
            client_cert=client_cert,
            client_key=client_key,
            timeout=timeout,
        )
    except KttError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    print("serving")


if __name__ == "__main__":
    main()
