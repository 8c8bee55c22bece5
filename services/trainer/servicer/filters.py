"""What the filters of list calls stand for."""

from __future__ import annotations

from ktt_core.fields import at_field
from ktt_core.names import check_name

__all__ = ["labels_of"]


def labels_of(dataset: str, model: str) -> dict[str, str]:
    """Return the labels that jobs must have; an empty name stands for all.

    Raises
    ------
    InvalidArgumentError
        If a name cannot be one; `field` is "dataset" or "model".
    """
    labels = {}
    for what, name in (("dataset", dataset), ("model", model)):
        if name:
            with at_field(what):
                labels[what] = check_name(name, what)
    return labels
