"""Class names for display: shortened, with the full path as a tooltip, and safe as markup."""

from __future__ import annotations

from dataclasses import dataclass

from ktt_core.taxonomy import Path, Taxonomy

__all__ = ["ClassName", "class_name", "shorten"]

_NAME, _PARENT, _WHOLE = 64, 28, 600
_SEPARATOR = " \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} "


@dataclass(frozen=True)
class ClassName:
    """A class for display.

    Attributes
    ----------
    name : str
        Name of the class itself, shortened.
    above : str
        Names of the classes above it, shortened; empty on the first level.
    whole : str
        The full path.
    """

    name: str
    above: str
    whole: str


def class_name(taxonomy: Taxonomy, leaf: int) -> ClassName:
    """Return the deepest real class of a leaf."""
    return shown(taxonomy.leaf_paths[leaf])


def shown(path: Path) -> ClassName:
    """Return a path in its display form."""
    return ClassName(
        shorten(path[-1], _NAME),
        _SEPARATOR.join(shorten(name, _PARENT) for name in path[:-1]),
        shorten(_SEPARATOR.join(path), _WHOLE),
    )


# Characters that override the writing direction would affect adjacent text, too.
_DIRECTION_OVERRIDES = dict.fromkeys(
    [*range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\N{REPLACEMENT CHARACTER}"
)


def shorten(text: str, limit: int) -> str:
    """Shorten a text to `limit` characters by omitting its middle.

    Characters that override the writing direction are replaced.
    """
    text = text.translate(_DIRECTION_OVERRIDES)
    if len(text) <= limit:
        return text
    tail = limit // 3
    return text[: limit - tail - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}" + text[-tail:].lstrip()
