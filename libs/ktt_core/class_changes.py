"""Comparison of the classes of a checkpoint with those of the rows it is applied to."""

from __future__ import annotations

from ktt_core.errors import FailedPreconditionError
from ktt_core.taxonomy import Taxonomy

__all__ = ["check_same_classes", "describe_changes"]


def describe_changes(before: Taxonomy, now: Taxonomy) -> str:
    """Describe the change of a taxonomy: "4 of its 9 class paths are left, and 3 are new"."""
    old, new = set(before.leaf_paths), set(now.leaf_paths)
    left, added = len(old & new), len(new - old)
    if not added and left == len(old):
        return "the same class paths, in a different number of levels"
    verb = "is" if added == 1 else "are"
    return f"{left:,} of its {len(old):,} class paths are left, and {added:,} {verb} new"


def check_same_classes(trained: Taxonomy, rows: Taxonomy, whose: str) -> None:
    """Refuse rows with other classes than a model's.

    A model cannot tell two taxonomies of equal size apart: its metrics would be meaningless.

    Parameters
    ----------
    trained : Taxonomy
        Taxonomy of the model.
    rows : Taxonomy
        Taxonomy of the rows.
    whose : str
        The model, for the message: "this db_linear", "the checkpoint best_...safetensors".

    Raises
    ------
    FailedPreconditionError
        If they differ.
    """
    if trained != rows:
        raise FailedPreconditionError(
            f"{whose} was trained on other classes than these rows have "
            f"({describe_changes(trained, rows)}): the dataset is another one, or has been "
            "imported again since; train again, or import it as it was"
        )
