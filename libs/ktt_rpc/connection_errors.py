"""What gRPC says when there is no connection, in words that say what to do."""

from __future__ import annotations

__all__ = ["explain", "is_permanent"]

# What gRPC's message contains, and what it means. These do not pass by themselves.
_LASTING = (
    ("certificate has expired", "the server's certificate has expired: the server needs a new one"),
    (
        "certificate is not yet valid",
        "the server's certificate is not valid yet: is the clock of one of the machines wrong?",
    ),
    (
        "Hostname Verification",
        "the server's certificate is for another name than the one it was called by: call it by a "
        "name in its certificate, or say which one to expect (server name)",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "nobody this client trusts has signed the server's certificate: give the certificate of "
        "who did (CA certificate)",
    ),
    (
        "WRONG_VERSION_NUMBER",
        "the server does not speak TLS: is the port right, and was plain text meant?",
    ),
)
# A server that wants TLS closes a connection without; so does one that dies.
_CLOSED = (
    "the server closed the connection: it may have ended just now, or want TLS, or want a client "
    "certificate that it trusts"
)


def explain(message: str) -> str:
    """Give the message of gRPC about a connection, with what it means in front."""
    for sign, meaning in _LASTING:
        if sign in message:
            return f"{meaning} ({message})"
    if "Socket closed" in message:
        return f"{_CLOSED} ({message})"
    if "Connection refused" in message and "ipv6:%5B::1%5D" in message:
        # A name has more than one address, and gRPC tells of the one it tried last.
        return (
            "nothing listens at this machine's IPv6 address; if its IPv4 address is meant, call "
            f"it 127.0.0.1 to hear what is wrong there, as TLS on one side only ({message})"
        )
    if "Connection refused" in message or "No such file" in message:
        return f"nothing listens at the server's address; does it run? ({message})"
    return message or "the server cannot be reached"


def is_permanent(message: str) -> bool:
    """Tell whether trying again is of no use: one side has no trust in the other."""
    return any(sign in message for sign, _ in _LASTING)
