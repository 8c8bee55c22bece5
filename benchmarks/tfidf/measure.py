"""Data for the benchmark, and how its figures are computed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow.parquet as pq
import scipy.sparse as sp
from numpy.typing import NDArray

from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.rows import CsrRows

__all__ = [
    "Problem",
    "Timing",
    "as_matrix",
    "hierarchical_f1",
    "hits",
    "icd_problem",
    "read_problem",
    "synthetic_rows",
]

ValueT = TypeVar("ValueT")


@dataclass(frozen=True)
class Problem:
    """Texts with their paths, cut into the rows to train on and the rows to test on."""

    name: str
    taxonomy: Taxonomy
    train_texts: list[str]
    train_codes: NDArray[np.int32]
    test_texts: list[str]
    test_codes: NDArray[np.int32]


def _problem(
    name: str, train: list[tuple[str, tuple[str, ...]]], test: list[tuple[str, tuple[str, ...]]]
) -> Problem:
    taxonomy = Taxonomy.from_paths(path for _, path in train)
    known = set(taxonomy.leaf_paths)
    test = [(text, path) for text, path in test if path in known]

    def codes(rows: list[tuple[str, tuple[str, ...]]]) -> NDArray[np.int32]:
        return np.array([taxonomy.encode(path) for _, path in rows], dtype=np.int32).reshape(
            len(rows), taxonomy.depth
        )

    return Problem(
        name,
        taxonomy,
        [text for text, _ in train],
        codes(train),
        [text for text, _ in test],
        codes(test),
    )


def read_problem(file: Path, split: str) -> Problem:
    """Read a parquet file with the columns text, path (list of names) and split."""
    table = pq.read_table(file, columns=["text", "path", "split"]).to_pydict()
    rows = [
        (part, (text, tuple(path)))
        for text, path, part in zip(table["text"], table["path"], table["split"], strict=True)
    ]
    return _problem(
        file.stem,
        [row for part, row in rows if part == "train"],
        [row for part, row in rows if part == split],
    )


def icd_problem() -> Problem:
    """Return the leaf codes of ICD-10-CM: chapter, block, category; every row is trained on."""
    import simple_icd_10_cm as icd

    rows: list[tuple[str, tuple[str, ...]]] = []
    for code in icd.get_all_codes():
        if not icd.is_leaf(code) or icd.is_chapter(code) or icd.is_block(code):
            continue
        above = [code, *icd.get_ancestors(code)]
        category = next(entry for entry in above if icd.is_category(entry))
        block = next(entry for entry in above if icd.is_block(entry))
        chapter = next(entry for entry in above if icd.is_chapter(entry))
        rows.append((icd.get_description(code), (chapter, block, category)))
    return _problem("icd-10-cm", rows, rows[::10])


def hits(codes: NDArray[np.int32], predicted: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return, for each row, the share of its levels on which the predicted prefix is right.

    All paths are equally long, so its mean is the hierarchical F1, micro over ancestor sets
    (Silla & Freitas, 2011).
    """
    return np.logical_and.accumulate(codes == predicted, axis=1).mean(axis=1)


def hierarchical_f1(codes: NDArray[np.int32], predicted: NDArray[np.int32]) -> float:
    """Return the hierarchical F1 of paths that are all equally long."""
    return float(hits(codes, predicted).mean())


def synthetic_rows(
    leaves: int, generator: np.random.Generator, rows_per_leaf: int = 12
) -> tuple[Taxonomy, sp.csr_matrix, NDArray[np.int32]]:
    """Return a three-level taxonomy and rows of 20 words: its classes' own, and common ones."""
    middle = max(2, round(leaves ** (2 / 3)))
    top = max(2, round(leaves ** (1 / 3)))
    paths = []
    for leaf in range(leaves):
        above = leaf * middle // leaves
        paths.append((f"{above * top // middle:06}", f"{above:06}", f"{leaf:06}"))
    taxonomy = Taxonomy.from_paths(paths)
    codes = np.repeat(taxonomy.leaf_codes, rows_per_leaf, axis=0)
    n, offsets = len(codes), taxonomy.level_offsets
    words_each, common = 6, 5_000
    columns = [
        common
        + (offsets[level] + codes[:, level])[:, None] * words_each
        + generator.integers(0, words_each, (n, count))
        for level, count in ((0, 2), (1, 3), (2, 5))
    ]
    columns.append((common * generator.random((n, 10)) ** 3).astype(int))
    column = np.concatenate(columns, axis=1).ravel()
    row = np.repeat(np.arange(n), 20)
    shape = (n, common + words_each * taxonomy.n_classes)
    matrix = sp.csr_matrix((np.ones(len(row), np.float32), (row, column)), shape)
    matrix.data[:] = 1
    matrix = sp.diags(1 / np.sqrt(matrix.getnnz(axis=1))) @ matrix
    return taxonomy, matrix.tocsr().astype(np.float32), codes


def as_matrix(rows: CsrRows) -> sp.csr_matrix:
    """Return the same rows for scikit-learn, which wants doubles."""
    return sp.csr_matrix(
        (rows.data.astype(np.float64), rows.indices, rows.indptr), (rows.n_rows, rows.n_columns)
    )


@dataclass(frozen=True)
class Timing:
    """How runs are timed.

    Attributes
    ----------
    as_installed : bool
        Seconds on the clock, with the threads that each library uses unless told otherwise; else
        processor seconds, with `jobs` threads each.
    jobs : int
    repeats : int
        Turns, of which the median counts.
    """

    as_installed: bool
    jobs: int
    repeats: int

    @property
    def n_jobs(self) -> int | None:
        """What the libraries are told; None for their defaults."""
        return None if self.as_installed else self.jobs

    def timed(self, call: Callable[[], ValueT]) -> tuple[ValueT, float]:
        """Return a call's value and its seconds; processor seconds are summed over threads."""
        clock = time.perf_counter if self.as_installed else time.process_time
        start = clock()
        value: Any = call()
        return value, clock() - start
