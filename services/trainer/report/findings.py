"""The main results of the diagnostics, as short lists."""

from __future__ import annotations

from dataclasses import dataclass, field

from ktt_core.diagnostics import (
    AnswerShares,
    ConfusedPair,
    FrequencyBucket,
    LeafFigures,
    LevelFigures,
    frequency_buckets,
    leaf_figures,
    level_figures,
    rarest_leaves,
    top_pairs,
    worst_leaves,
)
from trainer.report.report_data import ReportData

__all__ = ["Findings", "find"]

PAIRS, FEW_PAIRS = 15, 5
CLASSES = 15
#: Minimum rows of the split for the worst classes; the first is used that leaves enough classes
#: with a mistake.
WORST_ROWS = (10, 5, 3, 2, 1)


@dataclass(frozen=True)
class Findings:
    """Diagnostic results of one split.

    Attributes
    ----------
    levels : list of LevelFigures
    leaves : LeafFigures or None
        None without diagnostics; all other fields are empty then.
    siblings, elsewhere : list of ConfusedPair
        Most frequent first.
    worst, rarest : list of int
        Leaf indices.
    worst_rows : int
        Rows that each of the worst leaves has at least.
    buckets : list of FrequencyBucket
    shares : list of AnswerShares
    """

    levels: list[LevelFigures] = field(default_factory=list)
    leaves: LeafFigures | None = None
    siblings: list[ConfusedPair] = field(default_factory=list)
    elsewhere: list[ConfusedPair] = field(default_factory=list)
    worst: list[int] = field(default_factory=list)
    worst_rows: int = 1
    rarest: list[int] = field(default_factory=list)
    buckets: list[FrequencyBucket] = field(default_factory=list)
    shares: list[AnswerShares] = field(default_factory=list)


def find(facts: ReportData) -> Findings:
    """Return the findings of a run's diagnostics."""
    diagnostics = facts.diagnostics
    if diagnostics is None:
        return Findings()
    leaves = leaf_figures(diagnostics.counts)
    mistaken = leaves.support[leaves.f1 < 1.0]
    worst_rows = next(
        (least for least in WORST_ROWS if int((mistaken >= least).sum()) >= CLASSES),
        WORST_ROWS[-1],
    )
    worst = worst_leaves(leaves, CLASSES, worst_rows)
    siblings, elsewhere = (
        _relevant_pairs(top_pairs(diagnostics.confusions, facts.taxonomy, PAIRS, siblings=siblings))
        for siblings in (True, False)
    )
    return Findings(
        levels=level_figures(diagnostics.counts, diagnostics.first_wrong),
        leaves=leaves,
        siblings=siblings,
        elsewhere=elsewhere,
        # Classes without mistakes are left out.
        worst=[leaf for leaf in worst if leaves.f1[leaf] < 1.0],
        worst_rows=worst_rows,
        rarest=rarest_leaves(facts.train_rows, leaves, CLASSES),
        buckets=frequency_buckets(facts.train_rows, leaves),
        shares=diagnostics.answers.shares(),
    )


def _relevant_pairs(pairs: list[ConfusedPair]) -> list[ConfusedPair]:
    """Return the pairs confused more than once; if these are few, the first few pairs."""
    repeated = [pair for pair in pairs if pair.rows > 1]
    return repeated if len(repeated) >= FEW_PAIRS else pairs[:FEW_PAIRS]
