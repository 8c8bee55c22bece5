"""One call to a service, with messages for when it does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cli.backend.connection import Connection
from ktt_core.errors import UnavailableError
from ktt_rpc.client_calls import call

__all__ = ["call_service", "naming"]


@contextmanager
def naming(connection: Connection, address: str) -> Iterator[None]:
    """Add the service and advice to an UnavailableError."""
    try:
        yield
    except UnavailableError as error:
        what, option = (
            ("exporter", "--exporter-address")
            if address == connection.exporter
            else ("trainer", "--address")
        )
        raise UnavailableError(
            f"the {what} at {address} does not answer: {error}; if it runs elsewhere, name it with "
            f"{option}; a trainer and an exporter are started with: ktt serve"
        ) from error


def call_service(
    stub: Any,
    messages: Any,
    name: str,
    /,
    *,
    connection: Connection,
    address: str,
    patience: float | None = None,
    idempotent: bool = True,
    **fields: Any,
) -> Any:
    """Make a call by its name and return the response.

    Parameters
    ----------
    stub : object
        Stub with the call.
    messages : module
        Generated module with its request, ``<name>Request``.
    name : str
        "GetDataset" ...
    connection : Connection
        Defines the timeout of one attempt.
    address : str
        Of the service, for messages.
    patience : float, optional
        Seconds of retries while the service does not answer; the connection's, unless given.
    idempotent : bool
        Whether the call may be repeated.
    **fields : object
        Fields of the request.

    Raises
    ------
    UnavailableError
        If the service does not answer.
    KttError
        Other errors of the service.
    """
    request = getattr(messages, f"{name}Request")(**fields)
    with naming(connection, address):
        return call(
            getattr(stub, name),
            request,
            timeout=connection.timeout,
            patience=connection.contact if patience is None else patience,
            idempotent=idempotent,
        )
