r"""Hierarchical precision, recall and F1: a partly correct path counts for its correct classes.

With T_i the true class of row i and all its ancestors, and P_i those of the predicted class (both
without the root of the whole tree and padding classes)::

    hP = sum_i |P_i & T_i| / sum_i |P_i|
    hR = sum_i |P_i & T_i| / sum_i |T_i|
    hF = 2 hP hR / (hP + hR)

micro-averaged over rows. Sources: Kiritchenko, Matwin & Famili, "Functional annotation of genes
using hierarchical text categorization" (2005); Silla & Freitas, "A survey of hierarchical
classification across different application domains" (Data Mining and Knowledge Discovery 22, 2011),
which recommends them.
"""

from __future__ import annotations

from ktt_core.metrics.counts import ClassCounts

__all__ = ["hierarchical_f1", "hierarchical_precision", "hierarchical_recall"]


def _overlap(counts: ClassCounts) -> tuple[int, int, int]:
    """Return the summed sizes of P & T, P and T."""
    counts.leaves()
    # A path has one class per level, so the intersection is the levels on which the classes are
    # equal.
    real = ~counts.taxonomy.hidden
    return (
        int(counts.hits[real].sum()),
        int(counts.predicted[real].sum()),
        int(counts.support[real].sum()),
    )


def hierarchical_precision(counts: ClassCounts) -> float:
    """``sum_i |P_i & T_i| / sum_i |P_i|`` (Kiritchenko et al., 2005)."""
    both, predicted, _ = _overlap(counts)
    # Every path begins with a real class, so this is not 0 if there are rows.
    return both / predicted


def hierarchical_recall(counts: ClassCounts) -> float:
    """``sum_i |P_i & T_i| / sum_i |T_i|`` (Kiritchenko et al., 2005)."""
    both, _, true = _overlap(counts)
    return both / true


def hierarchical_f1(counts: ClassCounts) -> float:
    """Harmonic mean of the two: ``2 sum_i |P_i & T_i| / (sum_i |P_i| + sum_i |T_i|)``."""
    both, predicted, true = _overlap(counts)
    return 2 * both / (predicted + true)
