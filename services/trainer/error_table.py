"""Table of the rows that models answered wrong, with their texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ktt_core.atomic import atomic_file
from ktt_core.datasets.labelled import LabelledRows
from ktt_core.model import Model
from trainer.known_classes import KnownClasses
from trainer.measurement import Measurement

__all__ = ["FILE_NAME", "SCHEMA", "ErrorTable"]

#: In the folder of a job's files.
FILE_NAME = "errors.parquet"

#: A row of the file is a wrong answer. `row` counts from 1 in the split or file; `known` is "yes",
#: "partly" (the first classes of the true path) or "no": whether the model could have been right.
SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("text", pa.string()),
        ("true_path", pa.list_(pa.string())),
        ("predicted_path", pa.list_(pa.string())),
        ("probability", pa.float32()),
        ("known", pa.string()),
        ("model", pa.string()),
        ("dataset", pa.string()),
        ("run", pa.string()),
    ]
)

_KNOWN = np.array(["no", "partly", "yes"])
_GROUP_ROWS = 4_096


class ErrorTable:
    """Wrong answers of one or more checkpoints, each checkpoint's most probable first."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []

    @property
    def n_rows(self) -> int:
        """Number of wrong answers so far."""
        return sum(table.num_rows for table in self._tables)

    def add(
        self,
        rows: LabelledRows,
        known: KnownClasses,
        measured: Measurement,
        model: Model,
        dataset: str,
        run_time: str,
    ) -> None:
        """Add the wrong answers of a run's checkpoint, trained on `dataset`, with their texts."""
        wrong = ~measured.by_row().right
        true = pa.array([list(path) for path in rows.paths], SCHEMA.field("true_path").type)
        said = pa.array([list(path) for path in model.taxonomy.leaf_paths], true.type)
        texts = pa.chunked_array(rows.texts_of(wrong), pa.string())
        probabilities = measured.probabilities[wrong]
        degree = np.where(known.whole, 2, known.levels > 0)[wrong]
        count = int(wrong.sum())
        columns = [
            pa.array(rows.numbers[wrong]),
            texts,
            true.take(pa.array(rows.which[wrong])),
            said.take(pa.array(measured.leaves[wrong])),
            pa.array(probabilities),
            pa.array(_KNOWN[degree], pa.string()),
            *(pa.repeat(pa.scalar(value), count) for value in (model.model_id, dataset, run_time)),
        ]
        table = pa.Table.from_arrays(columns, schema=SCHEMA)
        # Stable: equally probable answers stay in the order of rows.
        order = np.argsort(-probabilities, kind="stable")
        self._tables.append(table.take(pa.array(order)))

    def write(self, path: Path) -> None:
        """Write a Parquet file atomically."""
        table = pa.concat_tables([SCHEMA.empty_table(), *self._tables])
        with atomic_file(path) as temporary:
            pq.write_table(table, temporary, compression="zstd", row_group_size=_GROUP_ROWS)
