"""Charts and tables of calibration, and of the effect of a minimal confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ktt_core.diagnostics import AnswerShares, FrequencyBucket, SplitDiagnostics
from ktt_core.metrics import CalibrationBins
from trainer.report.charts import BarChart, Chart, Series, bar_chart, line_chart
from trainer.report.scales import Axis, Tick, nice_axis, number, percent, share_axis

__all__ = [
    "BinRow",
    "answer_chart",
    "answer_rows",
    "bin_rows",
    "bucket_label",
    "frequency_chart",
    "overconfidence",
    "reliability_chart",
    "row_chart",
]

#: Thresholds in the table.
SHOWN = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class BinRow:
    """A bin of the reliability diagram: bounds, rows, mean probability and accuracy."""

    low: float
    high: float
    rows: int
    confidence: float | None
    accuracy: float | None


def bin_rows(bins: CalibrationBins) -> list[BinRow]:
    """Return the bins, lowest first."""
    rows = []
    for index, (count, hits, confidence) in enumerate(
        zip(bins.rows.tolist(), bins.hits.tolist(), bins.confidence.tolist(), strict=True)
    ):
        rows.append(
            BinRow(
                index / bins.n_bins,
                (index + 1) / bins.n_bins,
                count,
                confidence / count if count else None,
                hits / count if count else None,
            )
        )
    return rows


def overconfidence(bins: CalibrationBins) -> float:
    """Return mean predicted probability minus accuracy: above 0, the model is overconfident."""
    rows = int(bins.rows.sum())
    return float((bins.confidence.sum() - bins.hits.sum()) / rows) if rows else 0.0


def reliability_chart(diagnostics: SplitDiagnostics) -> Chart:
    """Return the reliability diagram: accuracy against predicted probability."""
    after, before = diagnostics.calibration, diagnostics.raw_calibration
    series = [
        Series("perfectly honest", [(0.0, 0.0), (1.0, 1.0)], style=9, marks=False),
        _reliability(f"before (error {percent(before.error())})", before, 1),
        _reliability(f"after scaling (error {percent(after.error())})", after, 0),
    ]
    return line_chart(
        "reliability",
        "Reliability",
        "Share of right paths against their stated probability, in 15 bins. Expected calibration "
        f"error {percent(before.error())} before and {percent(after.error())} after temperature "
        "scaling.",
        series,
        share_axis("stated probability of the path"),
        share_axis("right"),
    )


def _reliability(name: str, bins: CalibrationBins, style: int) -> Series:
    total = int(bins.rows.sum())
    filled = [
        (row.confidence, row.accuracy, row.rows)
        for row in bin_rows(bins)
        if row.confidence is not None and row.accuracy is not None
    ]
    return Series(
        name,
        [(confidence, accuracy) for confidence, accuracy, _ in filled],
        [
            f"{number(rows)} texts: stated {percent(confidence)}, right {percent(accuracy)}"
            for confidence, accuracy, rows in filled
        ],
        style,
        # The area of a mark grows with the bin's number of texts, within bounds.
        sizes=[round(min(1.3, max(0.55, (rows / total * 12) ** 0.5)), 2) for _, _, rows in filled],
    )


def row_chart(diagnostics: SplitDiagnostics) -> Chart:
    """Return the distribution of the paths' probabilities."""
    bins = bin_rows(diagnostics.calibration)
    notes = [f"{percent(row.low)} to {percent(row.high)}: {number(row.rows)} texts" for row in bins]
    sure = sum(row.rows for row in bins[-3:]) / max(1, diagnostics.rows)
    return bar_chart(
        "confidences",
        "Distribution of probabilities",
        f"Number of texts by the stated probability of their path, after scaling; {percent(sure)} "
        "of them above 80 %.",
        BarChart([float(row.rows) for row in bins], notes=notes),
        share_axis("stated probability of the path"),
        nice_axis([float(row.rows) for row in bins], "texts", from_zero=True),
    )


def answer_chart(shares: Sequence[AnswerShares]) -> Chart:
    """Return coverage and accuracy against the minimal confidence."""
    named = {
        "texts with a whole path": [(s.min_confidence, s.full) for s in shares],
        "of these, right": [
            (s.min_confidence, s.full_accuracy) for s in shares if s.full_accuracy is not None
        ],
        "texts with any answer": [(s.min_confidence, 1.0 - s.none) for s in shares],
    }
    if all(s.part == 0.0 for s in shares):
        # With one level, every answer is a whole path.
        del named["texts with any answer"]
    series = [
        Series(
            name,
            points,
            [f"at {number(x, 0.01)}: {percent(y)} {name}" for x, y in points],
            style,
            marks=False,
        )
        for style, (name, points) in enumerate(named.items())
    ]
    ticks = tuple(Tick(n / 5, number(n / 5, 0.2)) for n in range(6))
    return line_chart(
        "answers",
        "Answers by minimal confidence",
        "Share of texts that get a whole path, and share of these that are right, by "
        "min_confidence.",
        series,
        Axis(0.0, 1.0, ticks, "min_confidence"),
        share_axis(""),
    )


def answer_rows(shares: Sequence[AnswerShares]) -> list[AnswerShares]:
    """Return the shares that are shown in the table."""
    return [share for share in shares if share.min_confidence in SHOWN]


def frequency_chart(buckets: Sequence[FrequencyBucket]) -> Chart:
    """Return accuracy against the number of training rows of the class."""
    notes = [
        f"{bucket_label(bucket)} training texts: {number(bucket.leaves)} classes, "
        f"{number(bucket.rows)} texts"
        for bucket in buckets
    ]
    tested = [bucket for bucket in buckets if bucket.accuracy is not None]
    words = "; ".join(
        f"{bucket_label(bucket)}: {percent(bucket.accuracy or 0.0, 0)}" for bucket in tested
    )
    return bar_chart(
        "frequency",
        "Accuracy by class size",
        f"Accuracy of the texts of classes by their number of training texts: {words}.",
        BarChart(
            [bucket.accuracy for bucket in buckets],
            [bucket_label(bucket) for bucket in buckets],
            ["" if b.accuracy is None else percent(b.accuracy, 0) for b in buckets],
            notes,
        ),
        Axis(0.0, 1.0, (), "training texts of the class"),
        share_axis("right"),
    )


def bucket_label(bucket: FrequencyBucket) -> str:
    """Return the range of training rows of a bucket: "5\N{EN DASH}9"."""
    low, high = _abbreviated(bucket.low), bucket.high
    if high is None:
        return f"{low}+"
    return low if high == bucket.low else f"{low}\N{EN DASH}{_abbreviated(high)}"


def _abbreviated(count: int) -> str:
    return f"{count // 1000}k" if count >= 10_000 and count % 1000 == 0 else f"{count}"
