"""Which encoders the clients of a server may name: they lie on its disk, or elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ktt_core.errors import InvalidArgumentError, PermissionDeniedError
from trainer.hyperparameters import hyperparameter_field
from trainer.server_paths import AllowedRoots

__all__ = ["EncoderAccess"]

# As `ktt_models.pytorch.encoders` reads it.
_ENCODERS_VARIABLE = "KTT_ENCODERS"


class EncoderAccess:
    """What a client's hyperparameters may make the server read or fetch.

    Names are looked for where the server has its encoders. A folder must lie where clients may name
    files, or in the folders of encoders.

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

        The answer for a folder outside is the same whether there is one or not.

        Raises
        ------
        PermissionDeniedError
        InvalidArgumentError
            If the encoder is a folder's path that is not absolute.
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
            # A plain name is a folder's too where the server happens to be started beside it.
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
    """Say whether a text would be taken for a folder, if there were one."""
    return not _is_plain(encoder) or os.path.isdir(encoder)


def _is_plain(encoder: str) -> bool:
    return not encoder.startswith(("/", ".", "~")) and ".." not in encoder and "\0" not in encoder


def _is_offered(real: Path) -> bool:
    """Say whether a path without links is one of the folders of encoders, or in one."""
    for folder in os.environ.get(_ENCODERS_VARIABLE, "").split(os.pathsep):
        root = Path(os.path.realpath(os.path.expanduser(folder))) if folder else None
        if root is not None and (root == real or root in real.parents):
            return True
    return False
