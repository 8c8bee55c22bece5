"""A model's files as a BentoML artifact: a folder that is copied."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bentoml.service import BentoServiceArtifact

__all__ = ["ModelFolder"]


class ModelFolder(BentoServiceArtifact):
    """A folder of files, which a service accesses as ``self.artifacts.NAME``.

    Parameters
    ----------
    name : str
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._folder: Path | None = None

    def pack(
        self, folder: str | os.PathLike[str], metadata: dict[str, str] | None = None
    ) -> ModelFolder:
        """Set the folder of this artifact."""
        self._folder = Path(folder)
        return self

    def save(self, dst: str) -> None:
        """Copy the folder into a bundle."""
        shutil.copytree(self.get(), os.path.join(dst, self.name))

    def load(self, path: str) -> ModelFolder:
        """Find the folder in a bundle."""
        self._folder = Path(path).resolve() / self.name
        return self

    def get(self) -> Path:
        """Return the folder."""
        assert self._folder is not None
        return self._folder
