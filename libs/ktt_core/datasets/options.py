"""The options of an import: meaning of the columns, split and cleaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from ktt_core.errors import InvalidArgumentError

__all__ = ["MAX_DEPTH", "ImportOptions"]

#: A deeper path means a wrong separator or column, not a taxonomy.
MAX_DEPTH = 64


@dataclass(frozen=True)
class ImportOptions:
    """How to read a source of labelled texts.

    Labels are given in one of three ways: `classes` names a list column; `classes` with `sep` names
    a column of delimited text; `level_columns` names one column per level.

    Parameters
    ----------
    text : str
        The column of texts.
    classes : str, optional
        The column of class paths, root first.
    sep : str, optional
        The separator of levels in `classes`, for example " > ".
    level_columns : tuple of str
        One column per level, root first.
    depth : int or "max"
        Number of levels: deeper paths are truncated, shorter ones padded. "max": the depth of the
        deepest path.
    split_column : str, optional
        The column with train, val (validation, valid, dev) or test. It cannot be combined with
        ratios other than the defaults.
    train_ratio, val_ratio : float
        Shares of the rows; the rest is test.
    seed : int
        Seed of the split, in [0, 2**32).
    min_rows_per_leaf : int
        Leaves with fewer rows are dropped.
    dedupe : bool
        Drop duplicate rows (same text up to case and whitespace, same path; the first stays) and
        all rows whose text occurs with two different paths.
    on_error : {"stop", "skip"}
        Whether bad rows stop the import or are dropped.

    Raises
    ------
    InvalidArgumentError
        If an option is out of range or two contradict each other.
    """

    text: str
    classes: str | None = None
    sep: str | None = None
    level_columns: tuple[str, ...] = ()
    depth: int | Literal["max"] = "max"
    split_column: str | None = None
    train_ratio: float = 0.8
    val_ratio: float = 0.1
    seed: int = 0
    min_rows_per_leaf: int = 1
    dedupe: bool = False
    on_error: Literal["stop", "skip"] = "stop"

    def __post_init__(self) -> None:
        object.__setattr__(self, "level_columns", tuple(self.level_columns))
        self._check_columns()
        if self.depth != "max" and not (_is_whole(self.depth) and 1 <= self.depth <= MAX_DEPTH):
            raise InvalidArgumentError(
                f"depth must be 1 to {MAX_DEPTH} or 'max', not {self.depth!r}", field="depth"
            )
        _check_ratios(self.train_ratio, self.val_ratio)
        ratios = self.train_ratio, self.val_ratio
        if self.split_column and ratios != (ImportOptions.train_ratio, ImportOptions.val_ratio):
            raise InvalidArgumentError(
                f"--split-column {self.split_column} decides; leave out --train-ratio and "
                "--val-ratio",
                field="split_column",
            )
        if not _is_whole(self.seed) or not 0 <= self.seed < 2**32:
            raise InvalidArgumentError(
                f"the seed must be a whole number from 0 to 2**32 - 1, not {self.seed!r}",
                field="seed",
            )
        if not _is_whole(self.min_rows_per_leaf) or self.min_rows_per_leaf < 1:
            raise InvalidArgumentError(
                f"min-rows-per-leaf must be a whole number from 1, not {self.min_rows_per_leaf!r}",
                field="min_rows_per_leaf",
            )
        if self.on_error not in ("stop", "skip"):
            raise InvalidArgumentError(
                f"on-error must be 'stop' or 'skip', not {self.on_error!r}", field="on_error"
            )

    def _check_columns(self) -> None:
        if not self.text:
            raise InvalidArgumentError("name the column of the texts (--text)", field="text")
        if bool(self.classes) == bool(self.level_columns):
            raise InvalidArgumentError(
                "name the labels in one way: --classes COLUMN, or --level-columns A,B,C",
                field="classes",
            )
        if self.sep is not None and self.level_columns:
            raise InvalidArgumentError(
                "--sep belongs to --classes; with --level-columns leave it out", field="sep"
            )
        if self.sep == "":
            raise InvalidArgumentError(
                "--sep must not be empty; for example --sep ' > '", field="sep"
            )
        if len(self.level_columns) > MAX_DEPTH:
            raise InvalidArgumentError(
                f"there are {len(self.level_columns)} level columns, more than {MAX_DEPTH}",
                field="level_columns",
            )
        if "" in self.level_columns:
            raise InvalidArgumentError("a column name is empty", field="level_columns")
        named = {self.text}
        for field, columns in (
            ("classes", (self.classes,)),
            ("level_columns", self.level_columns),
            ("split_column", (self.split_column,)),
        ):
            for column in filter(None, columns):
                if column in named:
                    raise InvalidArgumentError(
                        f"the column {column!r} is named for two different things", field=field
                    )
                named.add(column)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {**asdict(self), "level_columns": list(self.level_columns)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ImportOptions:
        """Rebuild from `to_json`'s value; unknown keys raise InvalidArgumentError."""
        unknown = sorted(set(value) - {field.name for field in fields(cls)})
        if unknown or "text" not in value:
            raise InvalidArgumentError(
                f"not import options: {', '.join(unknown) or 'no text column'}"
            )
        return cls(**{**value, "level_columns": tuple(value.get("level_columns", ()))})


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_ratios(train: float, val: float) -> None:
    for name, ratio in (("train-ratio", train), ("val-ratio", val)):
        if isinstance(ratio, bool) or not isinstance(ratio, (int, float)) or not 0 <= ratio <= 1:
            raise InvalidArgumentError(
                f"{name} must be a number from 0 to 1, not {ratio!r}", field=name.replace("-", "_")
            )
    if train == 0:
        raise InvalidArgumentError(
            "train-ratio must be above 0: a model needs rows to learn from", field="train_ratio"
        )
    if train + val > 1 + 1e-9:
        raise InvalidArgumentError(
            f"train-ratio {train} and val-ratio {val} add up to more than 1", field="val_ratio"
        )
