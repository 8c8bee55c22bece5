"""The rows of the report's tables."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.cut_texts import CHARACTERS_CUT, TEXTS_CUT, TOKENS_CUT
from ktt_core.diagnostics import ConfusedPair, LeafFigures
from ktt_core.metrics import METRIC_NAMES
from ktt_core.taxonomy import Taxonomy
from trainer.report.names import ClassName, class_name, shorten
from trainer.report.scales import number, percent

__all__ = [
    "ClassRow",
    "ConfigRow",
    "MetricRow",
    "PairRow",
    "class_rows",
    "config_rows",
    "duration",
    "metric_rows",
    "pair_rows",
]

_MAX_VALUE = 120
_MAX_METRICS = 40
_SPACE = "\N{NO-BREAK SPACE}"

_MEANING = {
    "leaf_accuracy": "share of texts whose whole path is right",
    "leaf_precision": "precision of the leaf classes, weighted by their texts",
    "leaf_macro_f1": "F1 averaged over the leaf classes: rare ones count as much as common ones",
    "path_accuracy": "accuracy, averaged over the levels",
    "path_precision": "weighted precision, averaged over the levels",
    "hierarchical_precision": "share of predicted classes, ancestors included, that are right",
    "hierarchical_recall": "share of true classes, ancestors included, that are found",
    "hierarchical_f1": "harmonic mean of the two: a wrong leaf below the right parent counts in "
    "part",
    "auprc_micro": "area under the precision-recall curve over all pairs of text and class",
    "valid_paths": "share of texts where the best classes of the levels, chosen separately, form a "
    "path",
    TEXTS_CUT: "share of texts that are longer than the model reads, and so were truncated",
    TOKENS_CUT: "share of all tokens that were not read for that reason",
    CHARACTERS_CUT: "share of all characters that were not read for that reason",
    "calibration_error": "mean absolute difference of predicted probability and accuracy; less is "
    "better",
}


@dataclass(frozen=True)
class MetricRow:
    """A metric, its meaning, and its formatted values, one per split."""

    name: str
    meaning: str
    figures: tuple[str, ...]


@dataclass(frozen=True)
class PairRow:
    """Two confused classes, for display; shares are of the class's own texts."""

    first: ClassName
    second: ClassName
    forward: int
    backward: int
    forward_share: float | None
    backward_share: float | None


@dataclass(frozen=True)
class ClassRow:
    """A class and its metrics; None where one is undefined."""

    name: ClassName
    train: int
    rows: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class ConfigRow:
    """A hyperparameter, its value and its default, for display."""

    name: str
    value: str
    default: str
    differs: bool


def metric_rows(
    metrics: Mapping[str, Mapping[str, float]], splits: Sequence[str]
) -> list[MetricRow]:
    """Return the metrics of the splits, known ones first and in their usual order."""
    found = {name for split in splits for name in metrics.get(split, {})}
    names = [name for name in METRIC_NAMES if name in found] + sorted(found - set(METRIC_NAMES))
    return [
        MetricRow(
            shorten(name, 60),
            _MEANING.get(name, ""),
            tuple(_figure(metrics.get(split, {}).get(name)) for split in splits),
        )
        for name in names[:_MAX_METRICS]
    ]


def pair_rows(
    pairs: Sequence[ConfusedPair], taxonomy: Taxonomy, support: NDArray[np.integer]
) -> list[PairRow]:
    """Return confused pairs as rows; `support` is the split's rows per leaf."""
    return [
        PairRow(
            class_name(taxonomy, pair.first),
            class_name(taxonomy, pair.second),
            pair.forward,
            pair.backward,
            _share(pair.forward, int(support[pair.first])),
            _share(pair.backward, int(support[pair.second])),
        )
        for pair in pairs
    ]


def class_rows(
    chosen: Sequence[int],
    taxonomy: Taxonomy,
    leaves: LeafFigures,
    train_rows: NDArray[np.integer],
) -> list[ClassRow]:
    """Return leaves as rows."""
    return [
        ClassRow(
            class_name(taxonomy, leaf),
            int(train_rows[leaf]),
            int(leaves.support[leaf]),
            _defined(leaves.precision[leaf]),
            _defined(leaves.recall[leaf]),
            _defined(leaves.f1[leaf]),
        )
        for leaf in chosen
    ]


def config_rows(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[ConfigRow]:
    """Return the hyperparameters, those that differ from their default first."""
    rows = [
        ConfigRow(
            name,
            _value(value),
            _value(defaults[name]) if name in defaults else "",
            name in defaults and defaults[name] != value,
        )
        for name, value in config.items()
    ]
    return sorted(rows, key=lambda row: not row.differs)


def duration(seconds: float) -> str:
    """Return a time span in its two largest units."""
    if seconds < 60:
        return f"{number(round(seconds, 1))}{_SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{_SPACE}min {rest}{_SPACE}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}{_SPACE}h {minutes}{_SPACE}min"


def _figure(value: float | None) -> str:
    return "\N{EN DASH}" if value is None or not math.isfinite(value) else f"{value:.4f}"


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return shorten(text, _MAX_VALUE)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def optional_percent(share: float | None, digits: int = 1) -> str:
    """Return a share in percent, or a dash where it is undefined."""
    return "\N{EN DASH}" if share is None else percent(share, digits)
