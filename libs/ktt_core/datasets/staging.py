"""The files of an import in progress: staged texts, and the Parquet files of the splits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ktt_core.datasets.dataset import SCHEMA

__all__ = ["GROUP_ROWS", "SplitWriter", "StagedTexts"]

#: Rows of a Parquet row group. Small, because a shuffling loader mixes whole groups.
GROUP_ROWS = 4_096

_GROUP_BYTES = 16 * 1024**2


class StagedTexts:
    """Texts on disk, in order, until later rows decide whether and where they are written.

    Parameters
    ----------
    path : Path
        A new file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._schema = pa.schema([("text", pa.string())])
        options = ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        self._writer: ipc.RecordBatchStreamWriter | None = ipc.new_stream(
            str(path), self._schema, options=options
        )

    def append(self, texts: pa.Array) -> None:
        """Add texts."""
        if self._writer is not None:
            self._writer.write_batch(pa.record_batch([texts], schema=self._schema))

    def drop(self) -> None:
        """Free the disk space of a failing import; `append` then does nothing."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._path.unlink()

    def read(self) -> Iterator[pa.Array]:
        """Yield the texts, any number of times, after the last `append`."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        with pa.OSFile(str(self._path)) as file:
            for batch in ipc.open_stream(file):
                yield batch.column(0)

    def read_back(self) -> Iterator[pa.Array]:
        """Yield the texts, once, and remove the file."""
        yield from self.read()
        self._path.unlink()


class SplitWriter:
    """Writes one split's Parquet file.

    Parameters
    ----------
    path : Path
    leaf_codes : ndarray of int32, shape (n_leaves, depth)

    Attributes
    ----------
    n_rows, characters, longest : int
        Number of rows, total characters of their texts, and characters of the longest.
    """

    def __init__(self, path: Path, leaf_codes: NDArray[np.int32]) -> None:
        self.n_rows = self.characters = self.longest = 0
        self._leaf_codes = leaf_codes
        self._texts: list[pa.Array] = []
        self._leaves: list[NDArray[np.int32]] = []
        self._rows = self._bytes = 0
        # Checksums make damaged pages detectable. Dictionary encoding is efficient for codes only.
        self._writer = pq.ParquetWriter(
            path,
            SCHEMA,
            compression="zstd",
            compression_level=1,
            use_dictionary=["codes.list.element"],
            write_statistics=False,
            write_page_checksum=True,
        )

    def append(self, texts: pa.Array, leaves: NDArray[np.int32]) -> None:
        """Add rows."""
        if not len(texts):
            return
        lengths = pc.utf8_length(texts)
        self.n_rows += len(texts)
        self.characters += pc.sum(lengths).as_py()
        self.longest = max(self.longest, pc.max(lengths).as_py())
        self._texts.append(texts)
        self._leaves.append(leaves)
        self._rows += len(texts)
        self._bytes += texts.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._flush(keep_rest=self._bytes < _GROUP_BYTES)

    def close(self) -> None:
        """Write the remaining rows and the footer."""
        self._flush(keep_rest=False)
        self._writer.close()

    def _flush(self, keep_rest: bool) -> None:
        if not self._texts:
            return
        texts = pa.concat_arrays(self._texts)
        leaves = np.concatenate(self._leaves)
        full = len(texts) - len(texts) % GROUP_ROWS if keep_rest else len(texts)
        depth = self._leaf_codes.shape[1]
        offsets = np.arange(0, (full + 1) * depth, depth, dtype=np.int32)
        codes = pa.ListArray.from_arrays(
            pa.array(offsets), pa.array(self._leaf_codes[leaves[:full]].ravel())
        )
        self._writer.write_table(
            pa.Table.from_arrays([texts[:full], codes], schema=SCHEMA), GROUP_ROWS
        )
        self._texts, self._leaves = [texts[full:]], [leaves[full:]]
        self._rows, self._bytes = len(texts) - full, texts[full:].nbytes
