"""A client's channel to a server."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from ktt_core.errors import InvalidArgumentError
from ktt_rpc.addresses import is_loopback, split_host
from ktt_rpc.secret_files import read_file, read_secret
from ktt_rpc.tokens import read_token

__all__ = ["ClientSettings", "open_channel"]


@dataclass(frozen=True)
class ClientSettings:
    """Settings of a client's connection.

    Attributes
    ----------
    address : str
        "host:port", or ``unix:/path``.
    insecure : bool
        Allow plain text to another machine. (To this machine plain text is the default, unless
        `tls` or `ca_cert` is set.)
    tls : bool
        TLS with the machine's own list of trusted roots.
    ca_cert : Path or None
        TLS; the CA certificate that signed the server's certificate (PEM).
    client_cert, client_key : Path or None
        TLS; the client's certificate and key (PEM), for servers that require one.
    token : str
        The bearer token.
    token_file : Path or None
        A file that holds the token.
    server_name : str
        The name in the server's certificate, if it is not the address' host.
    timeout : float
        Default timeout of calls with one response, in seconds.
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

    @property
    def secure(self) -> bool:
        """Whether TLS is used."""
        return self.tls or self.ca_cert is not None or self.client_cert is not None

    def check(self) -> None:
        """Check that the settings are consistent.

        Raises
        ------
        InvalidArgumentError
            If they are not; the message lists the alternatives.
        """
        if not self.address or self.address != self.address.strip():
            raise InvalidArgumentError(f"address {self.address!r}: give HOST:PORT")
        if not self.address.startswith("unix") and ":" not in self.address:
            raise InvalidArgumentError(f"address {self.address}: the port is missing (HOST:PORT)")
        if (self.client_cert is None) != (self.client_key is None):
            raise InvalidArgumentError(
                "a client certificate and its key go together; give both or neither"
            )
        if self.insecure and self.secure:
            raise InvalidArgumentError(
                "plain text (insecure) and TLS were both asked for; give one of them"
            )
        if self.token and self.token_file is not None:
            raise InvalidArgumentError("a token and a token file were both given; give one of them")
        if not (self.token.isascii() and self.token.isprintable()) or " " in self.token:
            raise InvalidArgumentError(
                "the token has blanks, control characters or non-ASCII characters, which tokens "
                "never have"
            )
        if not self.secure and not self.insecure and not is_loopback(split_host(self.address)):
            raise InvalidArgumentError(
                f"{self.address} is another machine, and without TLS everybody on the way reads "
                "and changes what is sent. Do one of these: use TLS (--tls, or --ca-cert FILE if "
                "your own authority signed the server's certificate), reach it through a tunnel "
                "to this machine, or say that plain text is what you want (--insecure)"
            )


def open_channel(settings: ClientSettings) -> grpc.Channel:
    """Open a channel; it connects at the first call.

    Its calls carry the token and a unique ``x-request-id``, which the server logs.

    Raises
    ------
    InvalidArgumentError
        If the settings are inconsistent, a file cannot be used, or plain text to another machine is
        not allowed.
    """
    settings.check()
    token = read_token(settings.token_file) if settings.token_file is not None else settings.token
    options = _options(settings)
    if settings.secure:
        channel = grpc.secure_channel(settings.address, _credentials(settings), options=options)
    else:
        channel = grpc.insecure_channel(settings.address, options=options)
    return grpc.intercept_channel(channel, _Sender(token, settings.timeout))


def _credentials(settings: ClientSettings) -> grpc.ChannelCredentials:
    roots = key = chain = None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if settings.ca_cert is not None:
            roots = read_file(settings.ca_cert, "--ca-cert")
            context.load_verify_locations(settings.ca_cert)
        if settings.client_cert is not None and settings.client_key is not None:
            chain = read_file(settings.client_cert, "--client-cert")
            key = read_secret(settings.client_key, "--client-key")
            context.load_cert_chain(settings.client_cert, settings.client_key, lambda: "")
    except (ssl.SSLError, ValueError) as error:
        raise InvalidArgumentError(
            "the certificates for TLS cannot be used "
            f"({getattr(error, 'reason', None) or error}): they must be PEM, and the client's key "
            "without a passphrase and of its certificate"
        ) from error
    return grpc.ssl_channel_credentials(roots, key, chain)


def _options(settings: ClientSettings) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", int(settings.max_message_mb * 1024 * 1024)),
        ("grpc.max_send_message_length", -1),
        # By default gRPC waits up to two minutes before it reconnects.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        # Detects a dead connection while a call waits on it.
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    if settings.server_name:
        options.append(("grpc.ssl_target_name_override", settings.server_name))
        options.append(("grpc.default_authority", settings.server_name))
    if is_loopback(split_host(settings.address)):
        # A proxy for external addresses cannot reach this machine.
        options.append(("grpc.enable_http_proxy", 0))
    return options


class _Details(NamedTuple):
    method: str
    timeout: float | None
    metadata: tuple[tuple[str, str], ...]
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _Sender(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds the token, an id and, for calls with one answer, a timeout to every call."""

    def __init__(self, token: str, timeout: float) -> None:
        self._token = token
        self._timeout = timeout

    def _with_more(self, details: Any, timeout: float | None) -> _Details:
        metadata = tuple(details.metadata or ())
        if not any(key == "x-request-id" for key, _ in metadata):
            metadata = (*metadata, ("x-request-id", uuid.uuid4().hex))
        if self._token:
            metadata = (*metadata, ("authorization", f"Bearer {self._token}"))
        return _Details(
            details.method,
            details.timeout if details.timeout is not None else timeout,
            metadata,
            details.credentials,
            getattr(details, "wait_for_ready", None),
            getattr(details, "compression", None),
        )

    def intercept_unary_unary(self, continuation: Callable, details: Any, request: Any) -> Any:
        return continuation(self._with_more(details, self._timeout), request)

    def intercept_unary_stream(self, continuation: Callable, details: Any, request: Any) -> Any:
        return continuation(self._with_more(details, None), request)

    def intercept_stream_unary(self, continuation: Callable, details: Any, requests: Any) -> Any:
        return continuation(self._with_more(details, None), requests)

    def intercept_stream_stream(self, continuation: Callable, details: Any, requests: Any) -> Any:
        return continuation(self._with_more(details, None), requests)
