"""Datasets, uploads, import options and reports as messages, and back."""

from __future__ import annotations

from ktt.trainer.v1 import datasets_pb2
from ktt_core.datasets.options import ImportOptions
from ktt_core.datasets.report import ImportReport
from ktt_core.errors import InvalidArgumentError
from ktt_rpc.current_call import public_text
from ktt_rpc.job_messages import time_to_proto
from ktt_rpc.structs import dict_to_struct, struct_to_dict
from trainer.results import DatasetInfo
from trainer.upload_info import UploadInfo

__all__ = [
    "dataset_from_proto",
    "dataset_to_proto",
    "import_options_from_proto",
    "import_options_to_proto",
    "import_report_from_proto",
    "import_report_to_proto",
    "upload_to_proto",
]

_LARGEST_INT32 = 2**31 - 1


def dataset_to_proto(info: DatasetInfo) -> datasets_pb2.Dataset:
    """Return the message of a dataset."""
    return datasets_pb2.Dataset(
        name=info.name,
        rows=info.sizes,
        depth=info.depth,
        level_sizes=info.level_sizes,
        class_count=info.n_classes,
        leaf_count=info.n_leaves,
        fingerprint=info.fingerprint,
        options=dict_to_struct(info.options),
        problem=public_text(info.problem),
    )


def dataset_from_proto(message: datasets_pb2.Dataset) -> DatasetInfo:
    """Return the dataset of a message."""
    return DatasetInfo(
        name=message.name,
        sizes=dict(message.rows),
        depth=message.depth,
        level_sizes=tuple(message.level_sizes),
        n_classes=message.class_count,
        n_leaves=message.leaf_count,
        fingerprint=message.fingerprint,
        options=struct_to_dict(message.options),
        problem=message.problem,
    )


def upload_to_proto(info: UploadInfo) -> datasets_pb2.Upload:
    """Return the message of an upload."""
    return datasets_pb2.Upload(
        id=info.id,
        file_name=info.file_name,
        size_bytes=info.size_bytes,
        sha256=info.sha256,
        committed_bytes=info.committed_bytes,
        complete=info.complete,
        expire_time=time_to_proto(info.expire_time),
    )


def import_options_to_proto(options: ImportOptions) -> datasets_pb2.ImportOptions:
    """Return the message of import options.

    Raises
    ------
    InvalidArgumentError
        If a number is too large for the message.
    """
    if options.min_rows_per_leaf > _LARGEST_INT32:
        raise InvalidArgumentError(
            f"min-rows-per-leaf must be at most {_LARGEST_INT32:,}", field="min_rows_per_leaf"
        )
    return datasets_pb2.ImportOptions(
        text=options.text,
        classes=options.classes or "",
        sep=options.sep or "",
        level_columns=options.level_columns,
        depth=0 if options.depth == "max" else options.depth,
        split_column=options.split_column or "",
        train_ratio=options.train_ratio,
        val_ratio=options.val_ratio,
        seed=options.seed,
        min_rows_per_leaf=options.min_rows_per_leaf,
        dedupe=options.dedupe,
        skip_bad_rows=options.on_error == "skip",
    )


def import_options_from_proto(message: datasets_pb2.ImportOptions) -> ImportOptions:
    """Return the import options of a message.

    Raises
    ------
    InvalidArgumentError
        If an option is out of range, or two contradict each other.
    """
    return ImportOptions(
        text=message.text,
        classes=message.classes or None,
        sep=message.sep or None,
        level_columns=tuple(message.level_columns),
        depth=message.depth or "max",
        split_column=message.split_column or None,
        train_ratio=(
            message.train_ratio if message.HasField("train_ratio") else ImportOptions.train_ratio
        ),
        val_ratio=message.val_ratio if message.HasField("val_ratio") else ImportOptions.val_ratio,
        seed=message.seed,
        min_rows_per_leaf=message.min_rows_per_leaf or 1,
        dedupe=message.dedupe,
        on_error="skip" if message.skip_bad_rows else "stop",
    )


def import_report_to_proto(report: ImportReport) -> datasets_pb2.ImportReport:
    """Return the message of an import's report."""
    return datasets_pb2.ImportReport(
        rows_read=report.rows_read,
        rows_written=report.rows_written,
        bad_rows={
            reason: datasets_pb2.BadRows(
                count=entry["count"], first_rows=entry["rows"], first_lines=entry.get("lines", ())
            )
            for reason, entry in report.bad_rows.items()
        },
        duplicates=report.duplicates,
        conflicting=report.conflicting,
        rare_rows=report.rare_rows,
        rare_leaves=report.rare_leaves,
        classes_per_level=report.classes_per_level,
        leaves=report.leaves,
        rows_per_leaf=report.rows_per_leaf,
        warnings=report.warnings,
        seconds=report.seconds,
    )


def import_report_from_proto(message: datasets_pb2.ImportReport) -> ImportReport:
    """Return the report of a message."""
    return ImportReport(
        rows_read=message.rows_read,
        rows_written=dict(message.rows_written),
        bad_rows={
            reason: {
                "count": entry.count,
                "rows": list(entry.first_rows),
                **({"lines": list(entry.first_lines)} if entry.first_lines else {}),
            }
            for reason, entry in message.bad_rows.items()
        },
        duplicates=message.duplicates,
        conflicting=message.conflicting,
        rare_rows=message.rare_rows,
        rare_leaves=message.rare_leaves,
        classes_per_level=list(message.classes_per_level),
        leaves=message.leaves,
        rows_per_leaf={
            name: rows if name == "median" else int(rows)
            for name, rows in message.rows_per_leaf.items()
        },
        warnings=list(message.warnings),
        seconds=message.seconds,
    )
