"""What an evaluation says beyond its metrics, as values that JSON can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ktt_core.difference import Difference
from ktt_core.documents import Document

__all__ = ["Comparison", "RowFigures", "UnknownClass", "UnknownClasses"]


@dataclass(frozen=True)
class UnknownClass(Document):
    """A class that a model does not know.

    Attributes
    ----------
    path : tuple of str
    rows : int
        How many rows are of it.
    """

    path: tuple[str, ...]
    rows: int


@dataclass(frozen=True)
class UnknownClasses(Document):
    """Rows whose class a model does not know: it cannot answer them with the whole path.

    Attributes
    ----------
    rows, classes : int
        How many rows, and of how many class paths.
    partly_known_rows : int
        Those of them of whose path the model knows the beginning.
    largest : tuple of UnknownClass
        Those with the most rows.
    """

    rows: int = 0
    classes: int = 0
    partly_known_rows: int = 0
    largest: tuple[UnknownClass, ...] = ()


@dataclass(frozen=True)
class RowFigures(Document):
    """Figures over some rows.

    Attributes
    ----------
    rows : int
    figures : mapping of str to float
        By their names in `ktt_core.metrics`.
    """

    rows: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison(Document):
    """A second checkpoint, the baseline, on the same rows.

    Attributes
    ----------
    dataset, model : str
        What the baseline was trained on, and its kind.
    checkpoint_path : str
        Relative to the workspace.
    figures : mapping of str to float
        Its metrics over the rows whose classes both know.
    differences : mapping of str to Difference
        The evaluated model's figures minus the baseline's over these rows.
    all_rows : RowFigures
        Its figures over all rows; a class that it does not know counts as wrong.
    all_differences : mapping of str to Difference
        The same differences over all rows.
    unknown : UnknownClasses
        The rows whose class the baseline does not know.
    """

    dataset: str
    model: str
    checkpoint_path: str
    figures: Mapping[str, float] = field(default_factory=dict)
    differences: Mapping[str, Difference] = field(default_factory=dict)
    all_rows: RowFigures = RowFigures()
    all_differences: Mapping[str, Difference] = field(default_factory=dict)
    unknown: UnknownClasses = UnknownClasses()
