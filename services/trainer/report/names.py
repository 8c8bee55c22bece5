"""Class names as a page can show them: short, whole on demand, and never taken for markup."""

from __future__ import annotations

from dataclasses import dataclass

from ktt_core.taxonomy import Path, Taxonomy

__all__ = ["ClassName", "class_name", "shorten"]

_NAME, _PARENT, _WHOLE = 64, 28, 600
_SEPARATOR = " \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} "


@dataclass(frozen=True)
class ClassName:
    """A class as it is shown.

    Attributes
    ----------
    name : str
        Of the class itself, shortened.
    above : str
        Of the classes above it, shortened; empty on the first level.
    whole : str
        The path.
    """

    name: str
    above: str
    whole: str


def class_name(taxonomy: Taxonomy, leaf: int) -> ClassName:
    """Return the name of the class a leaf ends in."""
    return shown(taxonomy.leaf_paths[leaf])


def shown(path: Path) -> ClassName:
    """Return how a path is shown."""
    return ClassName(
        shorten(path[-1], _NAME),
        _SEPARATOR.join(shorten(name, _PARENT) for name in path[:-1]),
        shorten(_SEPARATOR.join(path), _WHOLE),
    )


# What turns the direction of writing would turn that of its neighbours too.
_TURNING = dict.fromkeys(
    [*range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\N{REPLACEMENT CHARACTER}"
)


def shorten(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters; what is left out is left out of its middle.

    Marks that override the direction of writing are replaced.
    """
    text = text.translate(_TURNING)
    if len(text) <= limit:
        return text
    tail = limit // 3
    return text[: limit - tail - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}" + text[-tail:].lstrip()
