"""The folder layout: ``<root>/datasets/<dataset>`` and ``<root>/weights/<model>/<dataset>``."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ktt_core.atomic import sweep_leftovers
from ktt_core.datasets.dataset import Dataset
from ktt_core.datasets.hierarchy import FILE_NAME
from ktt_core.errors import InvalidArgumentError, NotFoundError
from ktt_core.names import check_name

__all__ = ["Workspace"]


class Workspace:
    """A folder with datasets and weights, created at the first write.

    Parameters
    ----------
    root : Path

    Raises
    ------
    InvalidArgumentError
        If `root` is not a folder and cannot become one: it or a parent is a file, its path is too
        long, or access is denied.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        with self._translate_errors():
            if self.root.exists() and not self.root.is_dir():
                raise InvalidArgumentError(f"the workspace {self.root} is a file; name a folder")
            # Only this call reports a parent that is a file.
            with contextlib.suppress(FileNotFoundError):
                os.stat(self.root / "datasets")

    def dataset_folder(self, name: str) -> Path:
        """Return the folder of a dataset, which need not exist.

        Raises
        ------
        InvalidArgumentError
            If the name is not valid.
        """
        return self.root / "datasets" / check_name(name, "dataset")

    def weights_folder(self, model: str, dataset: str) -> Path:
        """Return the folder of a model's checkpoints on a dataset, which need not exist.

        Raises
        ------
        InvalidArgumentError
            If a name is not valid.
        """
        return self.root / "weights" / check_name(model, "model") / check_name(dataset, "dataset")

    def datasets(self) -> list[str]:
        """Return the names of the datasets, sorted.

        Raises
        ------
        InvalidArgumentError
            If the workspace cannot be read.
        """
        with self._translate_errors():
            return sorted(
                entry.parent.name
                for entry in self.root.glob(f"datasets/*/{FILE_NAME}")
                if _is_name(entry.parent.name)
            )

    def open_dataset(self, name: str) -> Dataset:
        """Open a dataset by name.

        Raises
        ------
        InvalidArgumentError
            If the name is not valid, or the workspace cannot be read.
        NotFoundError
            If there is no such dataset; the message lists the existing ones.
        DataError
            If it is damaged.
        """
        folder = self.dataset_folder(name)
        with self._translate_errors():
            found = folder.is_dir()
        if not found:
            known = ", ".join(self.datasets()) or "none yet (make one with: ktt data import)"
            raise NotFoundError(f"there is no dataset {name!r} in {self.root}; there are: {known}")
        return Dataset.open(folder)

    def remove_caches(self, dataset: str) -> None:
        """Remove a dataset's caches, ``cache/<kind>/<dataset>``.

        Processes with open cache files can still read them.

        Raises
        ------
        InvalidArgumentError
            If the name is not valid, or the workspace cannot be read.
        """
        name = check_name(dataset, "dataset")
        with self._translate_errors():
            for folder in self.root.glob(f"cache/*/{name}"):
                shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> list[Path]:
        """Remove the leftovers of killed writers; return what was removed."""
        with self._translate_errors():
            folders = [
                self.root / "datasets",
                *self.root.glob("weights/*/*"),
                *self.root.glob("cache/*/*"),
            ]
            return [
                path for folder in folders if folder.is_dir() for path in sweep_leftovers(folder)
            ]

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            shown = str(self.root)
            shown = f"{shown[:80]}..." if len(shown) > 200 else shown
            raise InvalidArgumentError(
                f"the workspace {shown!r} cannot be used: {reason}; name another folder"
            ) from error


def _is_name(name: str) -> bool:
    try:
        check_name(name, "dataset")
    except InvalidArgumentError:
        return False
    return True
