"""Global options and the backend that they select."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from cli.backend.connection import Connection
from ktt_rpc.option_types import NumberRange

if TYPE_CHECKING:
    from cli.backend.protocol import Backend

__all__ = ["Session", "connection_options", "session_of"]

Command = TypeVar("Command", bound=Callable[..., Any])

TRAINER_PORT = 50051
EXPORTER_PORT = 50052


@dataclass(frozen=True)
class Session:
    """The values of the global options.

    Attributes
    ----------
    workspace : Path
        The folder to work on if there is no connection.
    connection : Connection or None
    """

    workspace: Path
    connection: Connection | None = None

    @cached_property
    def backend(self) -> Backend:
        """The backend; created, and its libraries imported, on first use."""
        if self.connection is None:
            from cli.backend.embedded import EmbeddedBackend

            return EmbeddedBackend(self.workspace)
        from cli.backend.remote import RemoteBackend

        return RemoteBackend(self.connection)

    def close(self) -> None:
        """Close the backend."""
        if "backend" in self.__dict__:
            self.backend.close()


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_OPTIONS = (
    click.option(
        "--address",
        metavar="HOST[:PORT]",
        envvar="KTT_ADDRESS",
        show_envvar=True,
        help="Let a running trainer do the work, on its own workspace. The port is 50051 unless "
        "given.",
    ),
    click.option(
        "--exporter-address",
        metavar="HOST[:PORT]",
        envvar="KTT_EXPORTER_ADDRESS",
        show_envvar=True,
        help="The running exporter, if it is not on port 50052 of the trainer's host.",
    ),
    click.option(
        "--tls",
        is_flag=True,
        envvar="KTT_TLS",
        show_envvar=True,
        help="Encrypt the connection and trust the authorities of the system.",
    ),
    click.option(
        "--ca-cert",
        type=_FILE,
        envvar="KTT_CA_CERT",
        show_envvar=True,
        help="Encrypt the connection and trust the authorities in this PEM file.",
    ),
    click.option(
        "--client-cert",
        type=_FILE,
        envvar="KTT_CLIENT_CERT",
        show_envvar=True,
        help="PEM file of the certificate to show to the server; with --client-key.",
    ),
    click.option(
        "--client-key",
        type=_FILE,
        envvar="KTT_CLIENT_KEY",
        show_envvar=True,
        help="PEM file of its private key.",
    ),
    click.option(
        "--server-name",
        metavar="NAME",
        envvar="KTT_SERVER_NAME",
        show_envvar=True,
        help="The name in the server's certificate, if it is not the address's.",
    ),
    click.option(
        "--token-file",
        type=_FILE,
        envvar="KTT_TOKEN_FILE",
        show_envvar=True,
        help="File with the token that the server asks for.",
    ),
    click.option(
        "--insecure",
        is_flag=True,
        envvar="KTT_INSECURE",
        show_envvar=True,
        help="Talk to another machine in plain text: anyone between can read and change it.",
    ),
    click.option(
        "--timeout",
        type=NumberRange(0, 86_400, min_open=True),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        envvar="KTT_TIMEOUT",
        show_envvar=True,
        help="How long one call to a server may take. Jobs, and files on their way, take as long "
        "as they need.",
    ),
    click.option(
        "--reconnect",
        type=NumberRange(0, 7 * 86_400),
        default=600.0,
        show_default=True,
        metavar="SECONDS",
        envvar="KTT_RECONNECT",
        show_envvar=True,
        help="How long to wait for a server that has gone while a job is watched or a file sent.",
    ),
)


def connection_options(command: Command) -> Command:
    """Add the options that `session_of` reads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def session_of(context: click.Context) -> Session:
    """Return the session of a command line's global options.

    The command line takes precedence over the environment: with ``--workspace``, an address from
    the environment is not used.

    Raises
    ------
    click.UsageError
        If options contradict each other.
    """
    root = context.find_root()
    given = root.params
    workspace, address = given["workspace"], given["address"]
    if address and _on_command_line(root, "workspace"):
        if _on_command_line(root, "address"):
            raise click.UsageError(
                "--workspace is for work without --address; give one of the two", root
            )
        address = None
    if not address:
        if _on_command_line(root, "exporter_address"):
            raise click.UsageError("--exporter-address needs --address, the trainer's", root)
        return Session(workspace)
    if (given["client_cert"] is None) != (given["client_key"] is None):
        raise click.UsageError("--client-cert and --client-key belong together", root)
    if given["insecure"] and given["tls"]:
        raise click.UsageError("--insecure and --tls contradict each other", root)
    host, port = _split(address, "--address", root)
    exporter = given["exporter_address"]
    exporter_host, exporter_port = (
        _split(exporter, "--exporter-address", root) if exporter else (host, None)
    )
    same = ("tls", "insecure", "ca_cert", "client_cert", "client_key", "server_name", "token_file")
    return Session(
        workspace,
        Connection(
            trainer=f"{host}:{port or TRAINER_PORT}",
            exporter=f"{exporter_host}:{exporter_port or EXPORTER_PORT}",
            exporter_named=bool(exporter),
            timeout=given["timeout"],
            reconnect=given["reconnect"],
            **{name: given[name] for name in same},
        ),
    )


def _on_command_line(context: click.Context, option: str) -> bool:
    return context.get_parameter_source(option) is ParameterSource.COMMANDLINE


def _split(address: str, option: str, context: click.Context) -> tuple[str, int | None]:
    """Return host and port; an IPv6 host keeps its brackets."""
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, ""
    elif not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise click.BadParameter(
            f"{address!r} is not HOST:PORT with a port from 1 to 65535", context, param_hint=option
        )
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not bare or any(letter in bare for letter in "/@ []") or (":" in host and bare == host):
        raise click.BadParameter(
            f"{address!r} is not an address like localhost:50051 or [::1]:50051",
            context,
            param_hint=option,
        )
    return host, int(port) if port else None
