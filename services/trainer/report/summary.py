"""The summary in sentences: what the model gets right, where it fails, and what follows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ktt_core.diagnostics import (
    LeafFigures,
    LevelFigures,
    SplitDiagnostics,
    top_pairs,
)
from trainer.report.confidence import overconfidence
from trainer.report.curves import validated
from trainer.report.names import class_name
from trainer.report.report_data import ReportData
from trainer.report.scales import number, percent

__all__ = ["Summary", "summarise", "wilson_interval"]

#: Number of texts below which no statement is made.
_FEW = 20
_FEW_ROWS = 200
#: Smallest difference of shares that is worth a sentence.
_GAP = 0.05
_MISCALIBRATED = 0.03
#: Limits of "few training rows"; the first with enough texts below it is used.
_RARE = (5, 10, 20, 50, 100)
_TARGETS = (0.8, 0.9, 0.95, 0.98, 0.99)


@dataclass
class Summary:
    """Sentences in three groups."""

    right: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def summarise(
    facts: ReportData,
    levels: list[LevelFigures],
    leaves: LeafFigures | None,
) -> Summary:
    """Return the summary; without diagnostics it has only notes.

    Parameters
    ----------
    facts : ReportData
    levels : list of LevelFigures
    leaves : LeafFigures or None
    """
    summary = Summary(notes=[f"{warning}." for warning in facts.warnings])
    diagnostics = facts.diagnostics
    if diagnostics is None or leaves is None:
        summary.notes.append(
            "Nothing is known of how good this model is: neither the test nor the validation split "
            "gave scores to evaluate it on."
        )
    else:
        _accuracy(summary, facts, diagnostics, levels, leaves)
        _mistakes(summary, facts, diagnostics, levels, leaves)
        _rare_classes(summary, facts, leaves)
        _probabilities(summary, diagnostics)
        _rows(summary, facts, diagnostics)
    _progress(summary, facts)
    return summary


def wilson_interval(hits: int, rows: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, JASA 22, 1927)."""
    z = 1.959964
    share, shrink = hits / rows, 1.0 + z * z / rows
    middle = (share + z * z / (2 * rows)) / shrink
    half = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / shrink
    return max(0.0, middle - half), min(1.0, middle + half)


def _accuracy(
    summary: Summary,
    facts: ReportData,
    diagnostics: SplitDiagnostics,
    levels: list[LevelFigures],
    leaves: LeafFigures,
) -> None:
    hits, rows = int(leaves.hits.sum()), diagnostics.rows
    low, high = wilson_interval(hits, rows)
    whole = "the whole path" if facts.taxonomy.depth > 1 else "the class"
    summary.right.append(
        f"{percent(hits / rows)} of {number(rows)} {_split(facts)} texts get {whole} right "
        f"(95\N{NARROW NO-BREAK SPACE}% interval: {percent(low)} to {percent(high)})."
    )
    if len(levels) > 1:
        first, last = levels[0], levels[-1]
        those = "" if last.rows == rows else f" of the {_texts(last.rows)} that reach it"
        summary.right.append(
            f"The class on level {first.level + 1} is right for {percent(first.accuracy)}, that "
            f"on level {last.level + 1} for {percent(last.accuracy)}{those}."
        )
    tested = leaves.support > 0
    good = int((leaves.f1[tested] >= 0.9).sum())
    most = 2 * good >= int(tested.sum())
    (summary.right if most else summary.wrong).append(
        f"{'' if most else 'Only '}{number(good)} of the {_classes(int(tested.sum()))} with "
        f"{_split(facts)} texts {'has' if good == 1 else 'have'} an F1 of at least "
        "90\N{NARROW NO-BREAK SPACE}%."
    )


def _mistakes(
    summary: Summary,
    facts: ReportData,
    diagnostics: SplitDiagnostics,
    levels: list[LevelFigures],
    leaves: LeafFigures,
) -> None:
    wrong = diagnostics.rows - int(leaves.hits.sum())
    if not wrong:
        summary.right.append("Not one of them is wrong.")
        return
    if facts.taxonomy.depth > 1:
        worst = max(levels, key=lambda figure: (figure.first_wrong, -figure.level))
        summary.wrong.append(
            f"Of the {number(wrong)} wrong paths, {percent(worst.first_wrong / wrong, 0)} leave "
            f"the right one at level {worst.level + 1} of {facts.taxonomy.depth}."
        )
    kinds = {" below the same parent": True, " across parents": False}
    for where, siblings in (kinds if facts.taxonomy.depth > 1 else {"": True}).items():
        for pair in top_pairs(diagnostics.confusions, facts.taxonomy, 1, siblings=siblings):
            if pair.rows > 1:
                first = _quoted(class_name(facts.taxonomy, pair.first).name)
                second = _quoted(class_name(facts.taxonomy, pair.second).name)
                summary.wrong.append(
                    f"Most often confused{where}: {first} and {second} ({_texts(pair.rows)})."
                )
    never = (leaves.support > 0) & (leaves.hits == 0)
    if never.any():
        texts = int(leaves.support[never].sum())
        summary.wrong.append(
            f"No text of {_classes(int(never.sum()))} is right ({_texts(texts)} in all)."
        )


def _rare_classes(summary: Summary, facts: ReportData, leaves: LeafFigures) -> None:
    for limit in _RARE:
        rare = facts.train_rows < limit
        few, rest = int(leaves.support[rare].sum()), int(leaves.support[~rare].sum())
        if min(few, rest) < max(_FEW, 0.03 * (few + rest)):
            continue
        accuracy, others = leaves.hits[rare].sum() / few, leaves.hits[~rare].sum() / rest
        if others - accuracy > _GAP:
            summary.wrong.append(
                f"Classes with fewer than {limit} training texts are right in "
                f"{percent(accuracy, 0)} of their texts, the others in {percent(others, 0)}: more "
                "examples of the rare ones would help."
            )
        break
    unlearned = int(((facts.train_rows == 0) & (leaves.support > 0)).sum())
    if unlearned:
        summary.wrong.append(
            f"{_classes(unlearned)} with {_split(facts)} texts "
            f"{'has' if unlearned == 1 else 'have'} no training text at all."
        )


def _probabilities(summary: Summary, diagnostics: SplitDiagnostics) -> None:
    error, before = diagnostics.calibration.error(), diagnostics.raw_calibration.error()
    scaled = f"{percent(before)} before scaling, temperature {number(diagnostics.temperature)}"
    if error <= _MISCALIBRATED:
        summary.right.append(
            f"Its probabilities are well calibrated: they are off by {percent(error)} on average "
            f"({scaled})."
        )
    else:
        lean = overconfidence(diagnostics.calibration)
        direction = ""
        if abs(lean) > 0.5 * error:
            direction = ", mostly too high" if lean > 0 else ", mostly too low"
        summary.wrong.append(
            f"Its probabilities are off by {percent(error)} on average{direction} ({scaled})."
        )
    shares = diagnostics.answers.shares()
    base = shares[0].full_accuracy or 0.0
    for target in _TARGETS:
        if target < base + 0.02:
            continue
        reached = [s for s in shares if s.full >= 0.1 and (s.full_accuracy or 0.0) >= target]
        if reached:
            best = max(reached, key=lambda share: share.full)
            summary.notes.append(
                f"With --min-confidence {number(best.min_confidence)}, {percent(best.full, 0)} of "
                f"the texts get a whole path and {percent(best.full_accuracy or 0.0)} of these "
                "are right."
            )
        break


def _rows(summary: Summary, facts: ReportData, diagnostics: SplitDiagnostics) -> None:
    if facts.split != "test":
        summary.notes.append(
            "There are no test texts, so all figures are of the validation texts. These also chose "
            "the best state and the temperature: on new texts, expect less."
        )
    if diagnostics.rows < _FEW_ROWS:
        summary.notes.append(f"Only {_texts(diagnostics.rows)}: all metrics here are imprecise.")
    untested = int((diagnostics.counts.leaves()[2] == 0).sum())
    if untested:
        summary.notes.append(
            f"{_classes(untested)} without {_split(facts)} texts: nothing is known about "
            f"{'it' if untested == 1 else 'them'}."
        )


def _progress(summary: Summary, facts: ReportData) -> None:
    unit, points, best = validated(facts.history)
    if len(points) < 2:
        return
    where = f"{unit} {number(points[best][0])} of {number(points[-1][0])}"
    if best == len(points) - 1:
        summary.notes.append(
            f"The last validation was the best ({where}): longer training may still help."
        )
    else:
        summary.notes.append(f"The validation was best at {where}.")


def _split(facts: ReportData) -> str:
    return "validation" if facts.split == "val" else facts.split


def _quoted(name: str) -> str:
    return f"\N{LEFT DOUBLE QUOTATION MARK}{name}\N{RIGHT DOUBLE QUOTATION MARK}"


def _classes(count: int) -> str:
    return f"{number(count)} {'class' if count == 1 else 'classes'}"


def _texts(count: int) -> str:
    return f"{number(count)} {'text' if count == 1 else 'texts'}"
