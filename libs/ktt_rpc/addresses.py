"""Addresses of servers."""

from __future__ import annotations

import errno
import ipaddress
import socket

from ktt_core.errors import InvalidArgumentError

__all__ = ["check_free", "is_loopback", "join_address", "split_host"]


def is_loopback(host: str) -> bool:
    """Return whether a host is reachable from this machine only.

    True for 127.0.0.0/8, ``::1``, ``localhost`` and unix sockets. Other names are not resolved:
    their addresses may change.
    """
    if host.startswith(("unix:", "unix-abstract:")) or host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def join_address(host: str, port: int) -> str:
    """Return an address in gRPC's form: ``127.0.0.1:50051``, ``[::1]:50051``, ``unix:/run/ktt``."""
    if host.startswith(("unix:", "unix-abstract:")):
        return host
    bare = host.strip("[]")
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def check_free(address: str) -> None:
    """Check that a unix socket is not in use; gRPC would silently replace that of a running server.

    A socket left by a killed server is free. The system checks ports itself.

    Raises
    ------
    InvalidArgumentError
        If a server listens there.
    """
    if not address.startswith("unix:"):
        return
    path = address.removeprefix("unix:").removeprefix("//")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            found = probe.connect_ex(path)
        except OSError:
            return  # Too long for a socket; gRPC reports that.
    if found not in (0, errno.EAGAIN):
        return
    raise InvalidArgumentError(
        f"cannot listen on {address}: another server does; stop it, or give another --host"
    )


def split_host(address: str) -> str:
    """Return the host of a client's address."""
    if address.startswith(("unix:", "unix-abstract:")):
        return address
    for scheme in ("dns:///", "dns:", "ipv4:", "ipv6:"):
        address = address.removeprefix(scheme)
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.rpartition(":")[0] if address.count(":") == 1 else address
