"""The command line options of a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["server_options"]


def server_options(
    *, default_port: int = 50051, default_metrics_port: int = 9464
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options of `ServerSettings` to a click command, which is given them as `settings`.

    Parameters
    ----------
    default_port, default_metrics_port : int

    Returns
    -------
    callable
        A decorator, to stand below ``@click.command()``.
    """
    raise NotImplementedError
