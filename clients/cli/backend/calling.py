"""One call to a service, with words for when nobody answers."""

from __future__ import annotations

from typing import Any

from cli.connection import Connection
from ktt_core.errors import UnavailableError
from ktt_rpc.calls import call

__all__ = ["CONTACT_SECONDS", "call_service"]

#: How long a server may be away when a command begins: it may just be starting.
CONTACT_SECONDS = 5.0


def call_service(
    stub: Any,
    messages: Any,
    name: str,
    /,
    *,
    connection: Connection,
    address: str,
    patience: float = CONTACT_SECONDS,
    idempotent: bool = True,
    **fields: Any,
) -> Any:
    """Make a call by its name and return the response.

    Parameters
    ----------
    stub : object
        With the call.
    messages : module
        With its request, ``<name>Request``.
    name : str
        "GetDataset" ...
    connection : Connection
        Says how long one try may take.
    address : str
        Of the service, for messages.
    patience : float
        Seconds in which new tries are made when nobody answers.
    idempotent : bool
        Whether doing it twice is the same as once.
    **fields : object
        Of the request.

    Raises
    ------
    UnavailableError
        If the service does not answer.
    KttError
        What it answers.
    """
    request = getattr(messages, f"{name}Request")(**fields)
    try:
        return call(
            getattr(stub, name),
            request,
            timeout=connection.timeout,
            patience=patience,
            idempotent=idempotent,
        )
    except UnavailableError as error:
        what, option = (
            ("exporter", "--exporter-address")
            if address == connection.exporter
            else ("trainer", "--address")
        )
        raise UnavailableError(
            f"the {what} at {address} does not answer: {error}; if it runs elsewhere, name it with "
            f"{option}; one is started with: ./pants run services/{what}:main"
        ) from error
