"""What the diagnostics show, as lists short enough to read."""

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
from trainer.report.facts import ReportFacts

__all__ = ["Findings", "find"]

PAIRS, FEW_PAIRS = 15, 5
CLASSES = 15
#: Rows of the split that a class of the worst should have; fewer where too few classes have so many
#: and a mistake among them.
WORST_ROWS = (10, 5, 3, 2, 1)


@dataclass(frozen=True)
class Findings:
    """Figures of one split.

    Attributes
    ----------
    levels : list of LevelFigures
    leaves : LeafFigures or None
        None without diagnostics; all else is empty then.
    siblings, elsewhere : list of ConfusedPair
        Most rows first.
    worst, rarest : list of int
        Leaves.
    worst_rows : int
        Rows that each of the worst has at least.
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


def find(facts: ReportFacts) -> Findings:
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
        _telling(top_pairs(diagnostics.confusions, facts.taxonomy, PAIRS, siblings=siblings))
        for siblings in (True, False)
    )
    return Findings(
        levels=level_figures(diagnostics.counts, diagnostics.first_wrong),
        leaves=leaves,
        siblings=siblings,
        elsewhere=elsewhere,
        # A class without a mistake is not among the worst, however few there are.
        worst=[leaf for leaf in worst if leaves.f1[leaf] < 1.0],
        worst_rows=worst_rows,
        rarest=rarest_leaves(facts.train_rows, leaves, CLASSES),
        buckets=frequency_buckets(facts.train_rows, leaves),
        shares=diagnostics.answers.shares(),
    )


def _telling(pairs: list[ConfusedPair]) -> list[ConfusedPair]:
    """Return the pairs confused more than once; of single mistakes only a few."""
    repeated = [pair for pair in pairs if pair.rows > 1]
    return repeated if len(repeated) >= FEW_PAIRS else pairs[:FEW_PAIRS]
