"""Labelled texts for evaluation: paths by name, of any taxonomy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ktt_core.datasets.chunks import Wanted
from ktt_core.datasets.collecting import collect
from ktt_core.datasets.dataset import Dataset, Split
from ktt_core.datasets.hierarchy import SPLITS
from ktt_core.datasets.options import ImportOptions
from ktt_core.datasets.pinned import PinnedFile
from ktt_core.datasets.report import BadRows
from ktt_core.datasets.sources import open_source
from ktt_core.datasets.splitting import find_repeats
from ktt_core.datasets.staging import SplitWriter, StagedTexts
from ktt_core.datasets.texts import fingerprints
from ktt_core.errors import DataError
from ktt_core.progress import ProgressCallback, ignore_progress
from ktt_core.taxonomy import Path as ClassPath
from ktt_core.taxonomy import Taxonomy
from ktt_core.texts import MAX_TEXT_BYTES

__all__ = ["LabelledRows", "read_labelled", "rows_of_split", "write_split"]

_BATCH_ROWS = 16_384


@dataclass(frozen=True)
class LabelledRows:
    """Texts with their true paths.

    Attributes
    ----------
    name : str
        Name of the dataset or file.
    paths : sequence of tuple of str
        The distinct paths.
    which : ndarray of int32, shape (n,)
        Each row's position in `paths`.
    numbers : ndarray of int64, shape (n,)
        Numbers of the rows in the split or file, from 1.
    read_texts : callable
        Yields all texts in order, as Arrow arrays; can be called repeatedly.
    split : Split or None
        The same rows as a split of a dataset, if they are a split.
    fingerprint : str
        Fingerprint of that dataset; empty for a file.
    bad : BadRows
        Rows of a file that were skipped.
    """

    name: str
    paths: Sequence[ClassPath]
    which: NDArray[np.int32]
    numbers: NDArray[np.int64]
    read_texts: Callable[[], Iterator[pa.Array]]
    split: Split | None = None
    fingerprint: str = ""
    bad: BadRows | None = None

    def __len__(self) -> int:
        return len(self.which)

    def texts_of(self, keep: NDArray[np.bool_]) -> Iterator[pa.Array]:
        """Yield the texts of some rows, in order."""
        done = 0
        for texts in self.read_texts():
            part = keep[done : done + len(texts)]
            done += len(texts)
            if part.any():
                yield texts if part.all() else pc.filter(texts, pa.array(part))

    def take(self, keep: NDArray[np.bool_]) -> LabelledRows:
        """Return some of the rows."""
        if keep.all():
            return self
        return LabelledRows(
            self.name,
            self.paths,
            self.which[keep],
            self.numbers[keep],
            lambda: self.texts_of(keep),
            fingerprint=self.fingerprint,
            bad=self.bad,
        )

    def hashes(self) -> NDArray[np.int64]:
        """Return a 64-bit hash of every text, ignoring letter case."""
        parts = [fingerprints(texts) for texts in self.read_texts()]
        return np.concatenate([np.empty(0, np.int64), *parts])


def rows_of_split(dataset: Dataset, name: str) -> LabelledRows:
    """Return the rows of a dataset's split."""
    split = dataset.split(name)

    def read_texts() -> Iterator[pa.Array]:
        return (pa.array(texts, pa.string()) for texts, _ in split.iter_batches(_BATCH_ROWS))

    return LabelledRows(
        dataset.name,
        dataset.taxonomy.leaf_paths,
        split.labels().leaves(),
        np.arange(1, split.n_rows + 1),
        read_texts,
        split,
        dataset.fingerprint,
    )


def read_labelled(
    source: Path,
    options: ImportOptions,
    folder: Path,
    split: str = "test",
    progress: ProgressCallback = ignore_progress,
) -> LabelledRows:
    """Read a file of labelled texts as an import does, but all rows and classes.

    A text that is larger than what can be classified makes its row bad.

    Parameters
    ----------
    source : Path
    options : ImportOptions
        Ratios, seed and `min_rows_per_leaf` have no effect.
    folder : Path
        Folder for staged texts, needed as long as the result is used.
    split : str
        Only rows with this value in the split column are read, if there is such a column.
    progress : callable
        Called with phase "import".

    Raises
    ------
    NotFoundError, InvalidArgumentError
        If there is no such file, or its ending is not known.
    DataError
        If it cannot be read, a row is bad and `options.on_error` is "stop", or no row is left.
    """
    staged = StagedTexts(folder / "texts.arrow")
    opened = open_source(source, Wanted.of(options))
    found = collect(
        opened,
        options,
        staged,
        source.name,
        progress,
        keep_numbers=True,
        max_text_bytes=MAX_TEXT_BYTES,
    )
    assert found.numbers is not None, "they were asked for"
    rows = LabelledRows(
        source.name, found.paths, found.leaves, found.numbers, staged.read, bad=found.bad
    )
    keep = np.ones(len(rows), dtype=bool)
    if found.hashes is not None:
        repeated, in_conflict = find_repeats(found.hashes, found.leaves)
        keep &= ~(repeated | in_conflict)
    if found.splits is not None:
        keep &= found.splits == SPLITS.index(split)
    if not keep.any():
        of_split = f" of the split {split!r}" if found.splits is not None else ""
        raise DataError(
            f"{source.name} has no usable row{of_split}: {found.rows_read:,} rows read, "
            f"{found.bad.total:,} bad"
        )
    return rows.take(keep)


def write_split(
    path: Path, rows: LabelledRows, leaves: NDArray[np.int32], taxonomy: Taxonomy
) -> Split:
    """Write rows as a split of a taxonomy, in the format that models read.

    Parameters
    ----------
    path : Path
        A new file.
    rows : LabelledRows
    leaves : ndarray of int32, shape (n,)
        Each row's leaf in `taxonomy`.
    taxonomy : Taxonomy
    """
    writer = SplitWriter(path, taxonomy.leaf_codes)
    done = 0
    for texts in rows.read_texts():
        writer.append(texts, leaves[done : done + len(texts)])
        done += len(texts)
    writer.close()
    return Split(PinnedFile.open(path), len(rows), taxonomy)
