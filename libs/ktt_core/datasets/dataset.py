"""Reading a dataset: the taxonomy, and each split as a stream of texts and codes.

An opened dataset keeps its files open, so it stays the same import while another one replaces it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ktt_core.datasets.hierarchy import FILE_NAME, SPLITS, Hierarchy, damaged, parse_hierarchy
from ktt_core.datasets.pinned import PinnedFile, PinnedView, pin_files
from ktt_core.errors import DataError, NotFoundError
from ktt_core.labels import Labels
from ktt_core.taxonomy import Taxonomy

__all__ = ["SCHEMA", "Dataset", "Split"]

IntArray = NDArray[np.int32]

#: Schema of the three Parquet files; `codes` has one level-local index per level.
SCHEMA = pa.schema([("text", pa.string()), ("codes", pa.list_(pa.int32()))])

_READ_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)

#: Texts and codes, the input of models.
Rows = tuple[list[str], IntArray]


class Split:
    """One split, streamed from its Parquet file.

    Parameters
    ----------
    file : PinnedFile
        The Parquet file.
    n_rows : int
        Number of rows according to ``hierarchy.json``.
    taxonomy : Taxonomy
        Taxonomy of the codes.

    Raises
    ------
    DataError
        If the file is unreadable or has other contents.
    """

    def __init__(self, file: PinnedFile, n_rows: int, taxonomy: Taxonomy) -> None:
        self._file = file
        self.path = path = file.path
        self.n_rows = n_rows
        self.taxonomy = taxonomy
        with self._open() as parquet:
            try:
                schema = parquet.schema_arrow
                found = parquet.metadata.num_rows
                shown = schema.to_string(truncate_metadata=True)
                fits = schema.names == SCHEMA.names and _same_types(schema)
            except _READ_ERRORS as error:
                raise damaged(path, _first_line(error)) from error
        if not fits:
            raise damaged(path, f"its columns are {shown!r}")
        if found != n_rows:
            raise damaged(path, f"it has {found:,} rows instead of {n_rows:,}")

    def __len__(self) -> int:
        return self.n_rows

    def _open(self) -> pq.ParquetFile:
        try:
            # Arrow accepts a view as a file, and closes it with the reader; the file stays open.
            return pq.ParquetFile(
                pa.PythonFile(self._file.view(), mode="r"), page_checksum_verification=True
            )
        except _READ_ERRORS as error:
            raise damaged(self.path, _first_line(error)) from error

    def view(self) -> PinnedView:
        """Return a reader of the Parquet file's bytes."""
        return self._file.view()

    def iter_batches(self, batch_rows: int) -> Iterator[Rows]:
        """Yield ``(texts, codes)`` in file order; codes are int32, shape (rows, depth).

        Every batch has `batch_rows` rows, except the last, which may have fewer. Memory is bounded
        by one batch and one page of the file.

        Raises
        ------
        DataError
            If the file is damaged.
        """
        with self._open() as file:
            try:
                for batch in file.iter_batches(batch_rows, use_threads=False):
                    yield self._rows(batch)
            except _READ_ERRORS as error:
                raise damaged(self.path, _first_line(error)) from error

    def texts(self) -> list[str]:
        """Return all texts. Needs memory for all of them."""
        return [text for texts, _ in self.iter_batches(65_536) for text in texts]

    def labels(self) -> Labels:
        """Return the true paths of all rows; reads no texts."""
        return Labels(self.codes())

    def codes(self) -> IntArray:
        """Return all codes, int32, shape (n_rows, depth). Reads that column only."""
        parts = [np.empty((0, self.taxonomy.depth), dtype=np.int32)]
        with self._open() as file:
            try:
                for batch in file.iter_batches(65_536, columns=["codes"], use_threads=False):
                    parts.append(self._codes(batch.column(0)))
            except _READ_ERRORS as error:
                raise damaged(self.path, _first_line(error)) from error
        return np.concatenate(parts)

    def _rows(self, batch: pa.RecordBatch | pa.Table) -> Rows:
        text = batch.column(0)
        if text.null_count:
            raise damaged(self.path, "a text is null")
        try:
            texts = text.to_pylist()
        except UnicodeDecodeError as error:
            raise damaged(self.path, f"a text is not UTF-8 ({error.reason})") from None
        return texts, self._codes(batch.column(1))

    def _codes(self, column: pa.ListArray | pa.ChunkedArray) -> IntArray:
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        n_rows, depth = len(column), self.taxonomy.depth
        flat = column.flatten()
        lengths = np.diff(np.asarray(column.offsets))
        if column.null_count or flat.null_count or not np.all(lengths == depth):
            raise damaged(self.path, f"a row's codes are not {depth} numbers")
        codes = np.asarray(flat, dtype=np.int32).reshape(n_rows, depth)
        leaves = codes[:, -1]
        if n_rows and (leaves.min() < 0 or leaves.max() >= self.taxonomy.n_leaves):
            raise damaged(self.path, "a code is outside the taxonomy")
        if not np.array_equal(self.taxonomy.leaf_codes[leaves], codes):
            raise damaged(self.path, "a row's codes are not a path of the taxonomy")
        return codes


@dataclass(frozen=True)
class Dataset:
    """A dataset on disk, opened and validated.

    Attributes
    ----------
    folder : Path
        Its name is the dataset's name.
    hierarchy : Hierarchy
        Contents of ``hierarchy.json``.
    """

    folder: Path
    hierarchy: Hierarchy
    _splits: Mapping[str, Split] = field(repr=False, compare=False)

    @classmethod
    def open(cls, folder: Path) -> Dataset:
        """Open a dataset, and check the footers of its files against ``hierarchy.json``.

        Raises
        ------
        NotFoundError
            If there is no such folder.
        DataError
            If a file is missing, damaged or inconsistent with the others.
        """
        try:
            files = pin_files(folder, [FILE_NAME, *(f"{name}.parquet" for name in SPLITS)])
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError(f"there is no dataset in {folder}") from None
        except OSError as error:
            raise DataError(
                f"the dataset in {folder} cannot be read: {error.strerror or error}"
            ) from error
        opened: dict[str, PinnedFile] = {}
        for name, file in files.items():
            if isinstance(file, FileNotFoundError):
                raise damaged(folder / name, "the file is missing")
            if isinstance(file, OSError):
                raise damaged(folder / name, file.strerror or str(file))
            opened[name] = file
        try:
            content = opened[FILE_NAME].view().readall()
        except OSError as error:
            raise damaged(folder / FILE_NAME, error.strerror or str(error)) from error
        hierarchy = parse_hierarchy(folder / FILE_NAME, content)
        splits = {
            name: Split(opened[f"{name}.parquet"], hierarchy.sizes[name], hierarchy.taxonomy)
            for name in SPLITS
        }
        return cls(folder, hierarchy, splits)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def taxonomy(self) -> Taxonomy:
        """The classes of all splits."""
        return self.hierarchy.taxonomy

    @property
    def sizes(self) -> Mapping[str, int]:
        """Rows of "train", "val" and "test"."""
        return self.hierarchy.sizes

    @property
    def options(self) -> Mapping[str, Any]:
        """The import's options, in the form of `ImportOptions.to_json`."""
        return self.hierarchy.options

    @property
    def fingerprint(self) -> str:
        """The digest of everything that determines the rows and their splits, "sha256:..."."""
        return self.hierarchy.fingerprint

    @property
    def source_fingerprint(self) -> str:
        """The digest of the source's bytes, "sha256:..."."""
        return self.hierarchy.source_fingerprint

    def split(self, name: str) -> Split:
        """Return "train", "val" or "test".

        Raises
        ------
        NotFoundError
            If the name is another one.
        """
        if name not in SPLITS:
            raise NotFoundError(f"there is no split {name!r}; there are: {', '.join(SPLITS)}")
        return self._splits[name]


def _same_types(schema: pa.Schema) -> bool:
    codes = schema.field("codes").type
    return bool(
        schema.field("text").type == pa.string()
        and pa.types.is_list(codes)
        and codes.value_type == pa.int32()
    )


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
