"""The ICD-10-CM tabular list as a dataset: texts under chapter / block / category."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import simple_icd_10_cm as icd

__all__ = ["TEXT", "PATH", "labelled_texts", "write_source"]

TEXT = "text"
PATH = "path"


def labelled_texts() -> Iterator[tuple[str, list[str]]]:
    """Yield ``(text, [chapter, block, category])`` for every leaf code of the list.

    A code's texts are its description and its inclusion terms, which are the synonyms clinicians
    use. The list gives some codes twice (a block of one category has that category's code); the
    import drops the repeats.
    """
    for code in icd.get_all_codes():
        lineage = [code, *icd.get_ancestors(code)]
        if (
            not icd.is_leaf(code) or len(lineage) < 3
        ):  # shorter: a heading over blocks, without codes of its own
            continue
        category, block, chapter = lineage[-3:]
        path = [
            icd.get_description(chapter),
            icd.get_description(block),
            f"{category} {icd.get_description(category)}",
        ]
        for text in (icd.get_description(code), *icd.get_inclusion_term(code)):
            yield text, path


def write_source(file: Path, limit: int | None = None) -> int:
    """Write the labelled texts to a Parquet file and return how many rows it has.

    Parameters
    ----------
    file : Path
    limit : int, optional
        Keep about this many rows, spread evenly over the list; all of them by default.
    """
    texts, paths = (list(column) for column in zip(*labelled_texts(), strict=True))
    step = 1 if limit is None else max(1, len(texts) // limit)
    table = pa.table({TEXT: texts[::step], PATH: paths[::step]})
    pq.write_table(table, file)
    return table.num_rows
