"""Shares of texts, tokens and characters that a model does not read: texts are too long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ktt_core.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ktt_core.model import Loader, Model

__all__ = [
    "CHARACTERS_CUT",
    "SETTINGS",
    "TEXTS_CUT",
    "TOKENS_CUT",
    "CutShares",
    "cut_shares_of",
    "describe_cut",
    "tell_cut",
]

#: Names of the shares among a split's metrics: of texts, and of what they consist of.
TEXTS_CUT, TOKENS_CUT, CHARACTERS_CUT = "texts_cut", "tokens_cut", "characters_cut"
#: The hyperparameter that limits a text's length, by the unit it is in. In progress events, the
#: sufficient limit is ``wanted_`` and this name.
SETTINGS = {"tokens": "max_len", "characters": "max_chars"}

#: Share of truncated texts above which a change is advised.
WARN_ABOVE = 0.05

# Share of texts that the advised limit does not truncate.
_WHOLE = 0.99


@dataclass(frozen=True)
class CutShares:
    """Shares of truncation of a split's texts.

    Attributes
    ----------
    texts, units : float
        Shares of texts that are truncated, and of all tokens (or characters) that are not read, in
        [0, 1].
    limit : int
        Largest number of tokens (or characters) of a text that are read.
    needed : int
        A limit that would not truncate 99 % of the texts.
    unit : {"tokens", "characters"}
        What lengths are counted in.
    """

    texts: float
    units: float
    limit: int
    needed: int
    unit: str = "tokens"

    @property
    def setting(self) -> str:
        """The hyperparameter with the limit."""
        return SETTINGS[self.unit]

    @classmethod
    def of(
        cls,
        lengths: NDArray[np.integer],
        cut: NDArray[np.integer],
        limit: int,
        unit: str = "tokens",
    ) -> CutShares:
        """Compute the shares.

        Parameters
        ----------
        lengths : ndarray of int, shape (n,)
            Number of units of each text that are read; n at least 1.
        cut : ndarray of int, shape (n,)
            Number of units of each text that are not read.
        limit : int
        unit : {"tokens", "characters"}
        """
        # Imported here: clients that only show the shares have no numpy.
        import numpy as np

        whole = lengths.astype(np.int64) + cut
        wanted = int(np.quantile(whole, _WHOLE, method="higher"))
        return cls(
            texts=float((cut > 0).mean()),
            units=float(cut.sum(dtype=np.int64) / max(1, whole.sum())),
            limit=limit,
            needed=1 << max(wanted - 1, 1).bit_length(),
            unit=unit,
        )

    @property
    def is_much(self) -> bool:
        """Whether enough texts are truncated to advise a change."""
        return self.texts > WARN_ABOVE

    def figures(self) -> dict[str, float]:
        """Return the two shares by their names."""
        return {TEXTS_CUT: self.texts, f"{self.unit}_cut": self.units}


def cut_shares_of(loader: Loader, progress: ProgressCallback) -> CutShares | None:
    """Return the shares of a loader's texts; None if its model reads texts completely.

    A loader of a model that truncates texts has ``cut_shares(progress) -> CutShares | None``.
    """
    ask = getattr(loader, "cut_shares", None)
    found = ask(progress) if callable(ask) and loader.n_rows else None
    return found if isinstance(found, CutShares) else None


def describe_cut(shares: CutShares, texts: str, model: Model, again: str = "") -> str:
    """Describe the truncation, with advice if it is large.

    Parameters
    ----------
    shares : CutShares
        With at least one truncated text.
    texts : str
        Name of the texts: "training texts".
    model : Model
        A model with an upper bound of the limit has a `longest_text`, in tokens.
    again : str
        Action needed before another limit takes effect: "train again ".
    """
    description = (
        f"{_percent(shares.texts)} of the {texts} are longer than the {shares.limit:,} "
        f"{shares.unit} that are read: {_percent(shares.units)} of all {shares.unit} are cut"
    )
    if not shares.is_much:
        return description
    wanted = _wanted(shares, model)
    if not wanted:
        return (
            f"{description}. This encoder reads no more: shorten them, or put the essential part "
            "first"
        )
    return f"{description}. To read more, {again or 'train '}with --set {shares.setting}={wanted}"


def tell_cut(shares: CutShares, model: Model, rows: int, progress: ProgressCallback) -> None:
    """Report truncation of texts before training on them, if there is any."""
    if shares.texts:
        figures = shares.figures()
        if shares.is_much and (wanted := _wanted(shares, model)):
            figures[f"wanted_{shares.setting}"] = float(wanted)
        phase = "tokenize" if shares.unit == "tokens" else "lengths"
        progress(Progress(phase, rows, rows, "rows", figures))


def _wanted(shares: CutShares, model: Model) -> int:
    """Return the limit to set; 0 if the model's limit cannot be raised."""
    longest = int(getattr(model, "longest_text", 0))
    if not longest:
        return shares.needed
    return min(shares.needed, longest) if longest > shares.limit else 0


def _percent(share: float) -> str:
    return "less than 0.1%" if 0 < share < 0.001 else f"{share:.1%}"
