"""What an evaluation says beyond its metrics, as values that JSON can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ktt_core.metrics.bootstrap import Difference

__all__ = ["Comparison", "RowFigures", "UnknownClasses"]


@dataclass(frozen=True)
class UnknownClasses:
    """Rows whose class a model does not know: it cannot answer them with the whole path.

    Attributes
    ----------
    rows, classes : int
        How many rows, and of how many class paths.
    partly_known_rows : int
        Those of them of whose path the model knows the beginning.
    largest : tuple of (tuple of str, int)
        The paths with the most rows, and how many.
    """

    rows: int = 0
    classes: int = 0
    partly_known_rows: int = 0
    largest: tuple[tuple[tuple[str, ...], int], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        largest = [{"path": list(path), "rows": rows} for path, rows in self.largest]
        return {**asdict(self), "largest": largest}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> UnknownClasses:
        """Rebuild from `to_json`'s value."""
        return cls(
            int(value["rows"]),
            int(value["classes"]),
            int(value["partly_known_rows"]),
            tuple((tuple(entry["path"]), int(entry["rows"])) for entry in value["largest"]),
        )


@dataclass(frozen=True)
class RowFigures:
    """Figures over some rows.

    Attributes
    ----------
    rows : int
    figures : mapping of str to float
        By their names in `ktt_core.metrics`.
    """

    rows: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {"rows": self.rows, "figures": dict(self.figures)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RowFigures:
        """Rebuild from `to_json`'s value."""
        return cls(int(value["rows"]), dict(value["figures"]))


@dataclass(frozen=True)
class Comparison:
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

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {
            "dataset": self.dataset,
            "model": self.model,
            "checkpoint_path": self.checkpoint_path,
            "figures": dict(self.figures),
            "differences": _differences_to_json(self.differences),
            "all_rows": self.all_rows.to_json(),
            "all_differences": _differences_to_json(self.all_differences),
            "unknown": self.unknown.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Comparison:
        """Rebuild from `to_json`'s value."""
        return cls(
            dataset=value["dataset"],
            model=value["model"],
            checkpoint_path=value["checkpoint_path"],
            figures=dict(value["figures"]),
            differences=_differences_from_json(value["differences"]),
            all_rows=RowFigures.from_json(value["all_rows"]),
            all_differences=_differences_from_json(value["all_differences"]),
            unknown=UnknownClasses.from_json(value["unknown"]),
        )


def _differences_to_json(differences: Mapping[str, Difference]) -> dict[str, Any]:
    return {name: asdict(difference) for name, difference in differences.items()}


def _differences_from_json(value: Mapping[str, Any]) -> dict[str, Difference]:
    # Brings numpy, which a client that has no comparison to show does without.
    from ktt_core.metrics.bootstrap import Difference

    return {name: Difference(**entry) for name, entry in value.items()}
