"""Whether a checkpoint's classes are those of the rows it meets, and how they differ."""

from __future__ import annotations

from ktt_core.errors import FailedPreconditionError
from ktt_core.taxonomy import Taxonomy

__all__ = ["check_same_classes", "describe_changes"]


def describe_changes(before: Taxonomy, now: Taxonomy) -> str:
    """Say how a taxonomy has changed: "4 of its 9 class paths are left, and 3 are new"."""
    old, new = set(before.leaf_paths), set(now.leaf_paths)
    left, added = len(old & new), len(new - old)
    if not added and left == len(old):
        return "the same class paths, in levels of another number"
    verb = "is" if added == 1 else "are"
    return f"{left:,} of its {len(old):,} class paths are left, and {added:,} {verb} new"


def check_same_classes(trained: Taxonomy, rows: Taxonomy, whose: str) -> None:
    """Refuse rows whose codes mean other classes than a model's do.

    Two taxonomies with as many classes look alike to a model: its figures would be nonsense.

    Parameters
    ----------
    trained : Taxonomy
        The model's.
    rows : Taxonomy
        That of the rows.
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
            "imported anew since; train again, or import it as it was"
        )
