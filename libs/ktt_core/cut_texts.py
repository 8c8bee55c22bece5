"""How much of the texts a model does not read, because they are longer than it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ktt_core.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ktt_core.model import Loader, Model

__all__ = [
    "TEXTS_CUT",
    "TOKENS_CUT",
    "WANTED_LENGTH",
    "CutShares",
    "cut_shares_of",
    "describe_cut",
    "tell_cut",
]

#: The names of the two shares, among the figures of a split.
TEXTS_CUT, TOKENS_CUT = "texts_cut", "tokens_cut"
#: The name of the limit that would do, in progress.
WANTED_LENGTH = "wanted_max_len"

#: The share of cut texts above which there is something to do.
WARN_ABOVE = 0.05

# The share of texts that a longer limit is to hold whole.
_WHOLE = 0.99


@dataclass(frozen=True)
class CutShares:
    """What is cut of the texts of a split.

    Attributes
    ----------
    texts, tokens : float
        Shares of the texts that are cut, and of all tokens that are not read, in [0, 1].
    limit : int
        Tokens of a text that are read.
    needed : int
        A limit that would hold 99 % of the texts whole.
    setting : str
        The hyperparameter that sets it.
    """

    texts: float
    tokens: float
    limit: int
    needed: int
    setting: str = "max_len"

    @classmethod
    def of(cls, lengths: NDArray[np.integer], cut: NDArray[np.integer], limit: int) -> CutShares:
        """Return the shares of texts.

        Parameters
        ----------
        lengths : ndarray of int, shape (n,)
            Tokens of each text that are read; n at least 1.
        cut : ndarray of int, shape (n,)
            Tokens of each that are not.
        limit : int
        """
        # Who shows figures alone needs their names, and no numpy.
        import numpy as np

        whole = lengths.astype(np.int64) + cut
        wanted = int(np.quantile(whole, _WHOLE, method="higher"))
        return cls(
            texts=float((cut > 0).mean()),
            tokens=float(cut.sum(dtype=np.int64) / max(1, whole.sum())),
            limit=limit,
            needed=1 << max(wanted - 1, 1).bit_length(),
        )

    @property
    def is_much(self) -> bool:
        """Whether so many texts are cut that something is to be done."""
        return self.texts > WARN_ABOVE

    def figures(self) -> dict[str, float]:
        """Return the two shares by their names."""
        return {TEXTS_CUT: self.texts, TOKENS_CUT: self.tokens}


def cut_shares_of(loader: Loader, progress: ProgressCallback) -> CutShares | None:
    """Return what is cut of a loader's texts; None if its model reads texts whole.

    A loader whose model cuts texts has ``cut_shares(progress) -> CutShares``.
    """
    ask = getattr(loader, "cut_shares", None)
    found = ask(progress) if callable(ask) and loader.n_rows else None
    return found if isinstance(found, CutShares) else None


def describe_cut(shares: CutShares, texts: str, model: Model, again: str = "") -> str:
    """Say what is cut, and if it is much what to do.

    Parameters
    ----------
    shares : CutShares
        With at least one text cut.
    texts : str
        Which: "training texts".
    model : Model
        One that can be asked for a greater limit only up to a point has a `longest_text`, in
        tokens.
    again : str
        What must be done for another limit to have an effect: "train again ".
    """
    said = (
        f"{_percent(shares.texts)} of the {texts} are longer than the {shares.limit:,} tokens that "
        f"are read: {_percent(shares.tokens)} of all tokens are cut"
    )
    if not shares.is_much:
        return said
    wanted = _wanted(shares, model)
    if not wanted:
        return f"{said}. This encoder reads no more: put what decides to the front, or shorten them"
    return f"{said}. To read more, {again or 'train '}with --set {shares.setting}={wanted}"


def tell_cut(shares: CutShares, model: Model, rows: int, progress: ProgressCallback) -> None:
    """Tell what is cut of texts that are about to be trained on, if anything is."""
    if shares.texts:
        figures = shares.figures()
        if shares.is_much and (wanted := _wanted(shares, model)):
            figures[WANTED_LENGTH] = float(wanted)
        progress(Progress("tokenize", rows, rows, "rows", figures))


def _wanted(shares: CutShares, model: Model) -> int:
    """Return the limit to set; 0 if the model reads as much as it can."""
    longest = int(getattr(model, "longest_text", 0))
    if not longest:
        return shares.needed
    return min(shares.needed, longest) if longest > shares.limit else 0


def _percent(share: float) -> str:
    return "less than 0.1%" if 0 < share < 0.001 else f"{share:.1%}"
