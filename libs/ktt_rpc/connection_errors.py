"""Explanations of gRPC's messages about connections."""

from __future__ import annotations

__all__ = ["explain", "is_permanent"]

# Parts of gRPC's messages and their explanations. Retries do not help with these.
_LASTING = (
    ("certificate has expired", "the server's certificate has expired: the server needs a new one"),
    (
        "certificate is not yet valid",
        "the server's certificate is not valid yet: check the clocks of both machines",
    ),
    (
        "Hostname Verification",
        "the server's certificate is for another name than the one it was called by: call it by a "
        "name in its certificate, or say which one to expect (server name)",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "the server's certificate is not signed by a trusted CA: give the CA certificate that "
        "signed it",
    ),
    (
        "WRONG_VERSION_NUMBER",
        "the server does not use TLS: check the port, and whether plain text is intended",
    ),
)
# A server that requires TLS closes plain connections; so does one that dies.
_CLOSED = (
    "the server closed the connection: it may have ended just now, or require TLS, or require a "
    "client certificate that it trusts"
)


def explain(message: str) -> str:
    """Return gRPC's message about a connection, preceded by an explanation."""
    for sign, meaning in _LASTING:
        if sign in message:
            return f"{meaning} ({message})"
    if "Socket closed" in message:
        return f"{_CLOSED} ({message})"
    if "Connection refused" in message and "ipv6:%5B::1%5D" in message:
        # A name may have several addresses, and gRPC reports the one it tried last.
        return (
            "nothing listens at this machine's IPv6 address; for errors of its IPv4 address, such "
            f"as TLS on one side only, name 127.0.0.1 ({message})"
        )
    if "Connection refused" in message or "No such file" in message:
        return f"nothing listens at the server's address; does it run? ({message})"
    return message or "the server cannot be reached"


def is_permanent(message: str) -> bool:
    """Return whether retries are useless, as for errors of TLS."""
    return any(sign in message for sign, _ in _LASTING)
