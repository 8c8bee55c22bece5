"""Details of an evaluation beyond its metrics, as values that JSON can hold."""

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
        Number of its rows.
    """

    path: tuple[str, ...]
    rows: int


@dataclass(frozen=True)
class UnknownClasses(Document):
    """Rows whose class a model does not know, so that it cannot return their whole path.

    Attributes
    ----------
    rows, classes : int
        Numbers of rows and of class paths.
    partly_known_rows : int
        Rows among them whose path begins with classes that the model knows.
    largest : tuple of UnknownClass
        The classes with the most rows.
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
        Dataset that the baseline was trained on, and its model.
    checkpoint_path : str
        Relative to the workspace.
    figures : mapping of str to float
        The baseline's metrics over the rows whose classes both know.
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
