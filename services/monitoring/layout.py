"""The columns of a row, and the fields of it that are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .ties import first_near_largest

__all__ = ["CONFIDENCE", "LabelKind", "Layout", "beyond_probabilities"]

#: The drift column made of each row's largest score.
CONFIDENCE = "confidence"

_SEPARATOR = " > "
# Prefix of a column name where even the class' whole path is not unique, and the largest number of
# prefixes that is tried.
_LEAD, _MOST_LEADS = "> ", 3
_LEAST_PROBABILITY = 1e-15
# Sums of 32-bit numbers, and numbers rounded to a few digits, pass 1 by less.
_ROUNDING = 1e-3
_MOST_FLOAT32 = float(np.finfo(np.float32).max)


def beyond_probabilities(scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark what lies outside 0 to 1 by more than rounding."""
    return (scores < -_ROUNDING) | (scores > 1.0 + _ROUNDING)


class LabelKind(Enum):
    """What a row's first cell holds once its true value is known."""

    CLASS = "class"
    NUMBER = "number"
    #: No configured monitor needs it.
    NONE = "none"


@dataclass(frozen=True)
class Layout:
    """The columns of a row.

    A row in a request is one cell for the true value, followed by `width` - 1 numbers. It is kept
    as a record: the columns watched for drift, the prediction, and the scores where a monitor needs
    them.

    Parameters
    ----------
    columns : tuple of str
        The reference's columns; the first holds the true values.
    features : tuple of int
        Positions of the features among the numbers (from 0, without the first cell).
    scores : tuple of int
        Positions of the score columns, in the order of `classes`.
    classes : tuple of str
        The classes' names, which are also those of their score columns.
    label_kind : LabelKind
    keeps_scores : bool
        Whether all scores of a row are kept.
    estimate : int, optional
        Position of a regression's estimate.
    truth : int, optional
        Position of a regression's true value, unless it is the first cell.
    labels : tuple of str
        The classes' paths as ``/predict`` returns them, or empty.
    feature_titles : tuple of str
        Readable names of the features, or empty.
    has_probabilities : bool
        Whether the scores are probabilities, as those of the reference are.
    """

    columns: tuple[str, ...]
    features: tuple[int, ...]
    scores: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()
    label_kind: LabelKind = LabelKind.NONE
    keeps_scores: bool = False
    estimate: int | None = None
    truth: int | None = None
    labels: tuple[str, ...] = ()
    feature_titles: tuple[str, ...] = ()
    has_probabilities: bool = False

    @property
    def width(self) -> int:
        """Cells of a row."""
        return len(self.columns)

    @cached_property
    def drift_columns(self) -> tuple[str, ...]:
        """The numeric columns watched for drift: features, then confidence or estimate.

        Features have their readable names where these are given.
        """
        names = list(self.feature_titles) or [self.columns[place + 1] for place in self.features]
        if self.estimate is not None:
            return (*names, self.columns[self.estimate + 1])
        if not self.scores:
            return tuple(names)
        return (*names, CONFIDENCE if CONFIDENCE not in names else f"({CONFIDENCE})")

    @cached_property
    def dtype(self) -> np.dtype:
        """Record of a row that has its label or waits for it.

        `window_dtype` plus ``scores``: float32, (classes,), or (0,) where no monitor needs them.
        """
        n_scores = len(self.scores) if self.keeps_scores else 0
        return np.dtype([*self._common_fields, ("scores", np.float32, (n_scores,))])

    @cached_property
    def window_dtype(self) -> np.dtype:
        """Record of a row of the window or the reference.

        ``drift`` float32 (len(drift_columns),); ``predicted``: class or estimate; ``label``: class
        or true value, NaN where unknown; ``loss``: -log of the true class' score, or the absolute
        error, NaN where unknown; ``seeded``: whether it is a row of the reference.
        """
        return np.dtype(self._common_fields)

    @property
    def _common_fields(self) -> list[tuple]:
        return [
            ("drift", np.float32, (len(self.drift_columns),)),
            ("predicted", np.float64),
            ("label", np.float64),
            ("loss", np.float32),
            ("seeded", np.bool_),
        ]

    @cached_property
    def class_index(self) -> dict[str, int]:
        """Position of each class by its name."""
        return {name: place for place, name in enumerate(self.classes)}

    def find_class(self, label: str) -> int | None:
        """Find a class by its path as ``/predict`` returns it, or by the name of its column.

        Without `labels`: a column is named by the shortest unique suffix of its path, so the
        shortest suffix that is a column's name is the class. A path with no unique suffix has a
        column name that starts with ``"> "``.
        """
        if self.labels:
            place = self._label_index.get(label)
            return self.class_index.get(label) if place is None else place
        place = self.class_index.get(label)
        if place is not None:
            return place
        parts = label.split("\n")
        suffix = parts[-1]
        for part in (*reversed(parts[:-1]), ""):
            place = self.class_index.get(suffix)
            if place is not None:
                return place
            suffix = f"{part}{_SEPARATOR}{suffix}"
            # A label may be as long as a request.
            if len(suffix) > self._longest_name:
                break
        whole = _SEPARATOR.join(parts)
        for _ in range(_MOST_LEADS):
            whole = f"{_LEAD}{whole}"
            place = self.class_index.get(whole)
            if place is not None:
                return place
        return None

    @cached_property
    def _longest_name(self) -> int:
        return max(map(len, self.classes), default=0)

    @cached_property
    def _label_index(self) -> dict[str, int]:
        return {label: place for place, label in enumerate(self.labels)}

    def records(
        self, numbers: NDArray[np.float32], labels: Sequence[float] | NDArray[np.float64]
    ) -> NDArray:
        """Make records of rows.

        Parameters
        ----------
        numbers : ndarray of float32, shape (n, width - 1)
        labels : n numbers
            NaN where the true value is unknown.

        Returns
        -------
        ndarray of `dtype`, shape (n,)
        """
        kept = np.zeros(len(numbers), dtype=self.dtype)
        n_features = len(self.features)
        kept["drift"][:, :n_features] = numbers[:, self._feature_places]
        kept["predicted"] = np.nan
        kept["label"] = labels
        if self.scores:
            scores = numbers[:, self._score_places]
            if self.has_probabilities:
                scores = np.clip(scores, 0.0, 1.0)
            # Equal scores give the same class on every processor.
            kept["predicted"] = first_near_largest(scores)
            kept["drift"][:, n_features] = scores.max(axis=1)
            if self.keeps_scores:
                kept["scores"] = scores
        if self.estimate is not None:
            kept["predicted"] = numbers[:, self.estimate]
            kept["drift"][:, n_features] = numbers[:, self.estimate]
        if self.truth is not None:
            kept["label"] = numbers[:, self.truth]
        self.set_losses(kept)
        return kept

    def window_rows(self, kept: NDArray) -> NDArray:
        """Convert records of `dtype` to `window_dtype`."""
        reduced = np.empty(len(kept), dtype=self.window_dtype)
        for name in self.window_dtype.names or ():
            reduced[name] = kept[name]
        return reduced

    def set_losses(self, kept: NDArray) -> None:
        """Compute `loss` where the label is known, in place."""
        kept["loss"] = np.nan
        known = np.flatnonzero(~np.isnan(kept["label"]))
        if not len(known):
            return
        labels = kept["label"][known]
        if self.label_kind is LabelKind.NUMBER:
            # The difference of two numbers may be too large for their type.
            errors = np.abs(kept["predicted"][known] - labels)
            kept["loss"][known] = np.minimum(errors, _MOST_FLOAT32)
        elif self.keeps_scores and self.label_kind is LabelKind.CLASS:
            true = kept["scores"][known, labels.astype(np.intp)]
            kept["loss"][known] = -np.log(np.clip(true, _LEAST_PROBABILITY, 1.0))

    def is_label(self, label: float) -> bool:
        """Whether a known label can be what a row's true value is."""
        if self.label_kind is LabelKind.CLASS:
            return label.is_integer() and 0 <= label < len(self.classes)
        return abs(label) <= _MOST_FLOAT32

    def is_possible(self, kept: NDArray) -> bool:
        """Whether records can have been made by `records`."""
        numbers = [kept["drift"]]
        if "scores" in (kept.dtype.names or ()):
            numbers.append(kept["scores"])
        # A boolean that is neither 0 nor 1 is true and false at once.
        seeded = np.ascontiguousarray(kept["seeded"]).view(np.uint8)
        return (
            all(bool(np.isfinite(part).all()) for part in numbers)
            and bool((seeded <= 1).all())
            and self._are_values(kept["label"])
            and self._are_values(kept["predicted"])
            and not np.isinf(kept["loss"]).any()
        )

    def _are_values(self, values: NDArray[np.float64]) -> bool:
        known = values[~np.isnan(values)]
        if self.classes:
            return bool(((known >= 0) & (known < len(self.classes)) & (known % 1 == 0)).all())
        return bool((np.abs(known) <= _MOST_FLOAT32).all())

    def out_of_range(self, numbers: NDArray[np.float32]) -> NDArray[np.intp]:
        """Find scores that are not probabilities, though the reference's are.

        Returns
        -------
        ndarray of int, shape (n, 2)
            Row and place among the numbers.
        """
        if not self.has_probabilities:
            return np.empty((0, 2), dtype=np.intp)
        scores = numbers[:, self._score_places]
        found = np.argwhere(beyond_probabilities(scores))
        found[:, 1] = np.asarray(self.scores, dtype=np.intp)[found[:, 1]]
        return found

    def names(self, classes: Iterable[float]) -> list[str]:
        """Name classes."""
        return [self.classes[int(place)] for place in classes]

    @cached_property
    def _feature_places(self) -> NDArray[np.intp]:
        return np.asarray(self.features, dtype=np.intp)

    @cached_property
    def _score_places(self) -> NDArray[np.intp] | slice:
        # The usual case, adjacent score columns in order, needs no copy.
        first, n = self.scores[0], len(self.scores)
        if self.scores == tuple(range(first, first + n)):
            return slice(first, first + n)
        return np.asarray(self.scores, dtype=np.intp)
