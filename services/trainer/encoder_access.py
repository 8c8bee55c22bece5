"""Rules for the encoders that clients of a server may name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ktt_core.errors import InvalidArgumentError, PermissionDeniedError
from trainer.hyperparameters import hyperparameter_field
from trainer.server_paths import AllowedRoots

__all__ = ["EncoderAccess"]

# Read by `ktt_models.pytorch.encoders`, too.
_ENCODERS_VARIABLE = "KTT_ENCODERS"


class EncoderAccess:
    """Access rules for encoders in clients' hyperparameters.

    Names are looked up among the server's encoders. A folder must be below an allowed root or in a
    folder of encoders.

    Parameters
    ----------
    allowed : AllowedRoots
    allow_download : bool
    """

    def __init__(self, allowed: AllowedRoots, allow_download: bool) -> None:
        self._allowed = allowed
        self._allow_download = allow_download

    def check(self, config: Mapping[str, Any]) -> None:
        """Refuse a config whose encoder the server must not read or fetch.

        The error for a folder outside does not reveal whether it exists.

        Raises
        ------
        PermissionDeniedError
        InvalidArgumentError
            If the encoder is a relative path of a folder.
        """
        encoder = config.get("encoder")
        if not isinstance(encoder, str):
            return
        if _is_path(encoder):
            self._check_folder(encoder)
        if config.get("download") and not self._allow_download:
            raise PermissionDeniedError(
                "this trainer fetches no encoders: name one that `ktt encoders list` shows, "
                "without --download, or have the trainer started with --allow-download"
            )

    def _check_folder(self, encoder: str) -> None:
        absolute = os.path.isabs(encoder) and "\0" not in encoder
        if absolute or _is_plain(encoder):
            # A plain name is also a folder if one of that name is in the working directory.
            real = Path(os.path.realpath(encoder))
            if _is_offered(real) or self._allowed.holds(real):
                return
        if not absolute:
            raise InvalidArgumentError(
                f"encoder = {encoder[:80]!r} is neither a name nor the absolute path of a folder "
                "on the server",
                field=hyperparameter_field("encoder"),
            )
        raise PermissionDeniedError(
            f"the encoder {encoder!r:.200} is not under a folder that this server allows "
            f"(--allowed-root, {_ENCODERS_VARIABLE}): name one that `ktt encoders list` shows"
        )


def _is_path(encoder: str) -> bool:
    """Return whether a text has the form of a folder's path."""
    return not _is_plain(encoder) or os.path.isdir(encoder)


def _is_plain(encoder: str) -> bool:
    return not encoder.startswith(("/", ".", "~")) and ".." not in encoder and "\0" not in encoder


def _is_offered(real: Path) -> bool:
    """Return whether a path without links is a folder of encoders, or in one."""
    for folder in os.environ.get(_ENCODERS_VARIABLE, "").split(os.pathsep):
        root = Path(os.path.realpath(os.path.expanduser(folder))) if folder else None
        if root is not None and (root == real or root in real.parents):
            return True
    return False
