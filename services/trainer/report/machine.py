"""The report's data for programs: one JSON value inside the page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ktt_core.diagnostics import ConfusedPair, LeafFigures
from ktt_core.taxonomy import Taxonomy
from trainer.report.confidence import bin_rows
from trainer.report.findings import Findings
from trainer.report.report_data import ReportData

__all__ = ["FORMAT_VERSION", "embedded_json", "machine_readable"]

FORMAT_VERSION = 1

# HTML parsers end a script at "</script" and change state at "<!--": both are escaped.
_ESCAPES = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\N{LINE SEPARATOR}": "\\u2028",
    "\N{PARAGRAPH SEPARATOR}": "\\u2029",
}


def embedded_json(value: Any) -> str:
    """Return JSON that is safe inside a script element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def machine_readable(facts: ReportData, findings: Findings) -> dict[str, Any]:
    """Return the report's data, with a bounded size like the page."""
    value: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "model": facts.model,
        "dataset": facts.dataset,
        "fingerprint": facts.fingerprint,
        "checkpoint": facts.checkpoint,
        "started": facts.started,
        "seconds": _finite(facts.seconds),
        "device": facts.device,
        "versions": dict(facts.versions),
        "config": _finite(dict(facts.config)),
        "rows": dict(facts.split_rows),
        "levels_of_classes": [int(size) for size in facts.taxonomy.level_sizes.tolist()],
        "metrics": _finite({split: dict(m) for split, m in facts.metrics.items()}),
    }
    diagnostics, leaves = facts.diagnostics, findings.leaves
    if diagnostics is None or leaves is None:
        return value
    return value | _finite(
        {
            "split": facts.split,
            "levels": [vars(level) for level in findings.levels],
            "temperature": diagnostics.temperature,
            "calibration": {
                name: {"error": bins.error(), "bins": [vars(row) for row in bin_rows(bins)]}
                for name, bins in (
                    ("before", diagnostics.raw_calibration),
                    ("after", diagnostics.calibration),
                )
            },
            "answers": [vars(share) for share in findings.shares],
            "confusions": {
                "exact": diagnostics.confusions.is_exact,
                "siblings": [_pair(pair, facts.taxonomy) for pair in findings.siblings],
                "elsewhere": [_pair(pair, facts.taxonomy) for pair in findings.elsewhere],
            },
            "classes": {
                "worst": [_leaf(leaf, facts, leaves) for leaf in findings.worst],
                "rarest": [_leaf(leaf, facts, leaves) for leaf in findings.rarest],
                "by_training_rows": [vars(bucket) for bucket in findings.buckets],
            },
        }
    )


def _pair(pair: ConfusedPair, taxonomy: Taxonomy) -> dict[str, Any]:
    return {
        "first": list(taxonomy.leaf_paths[pair.first]),
        "second": list(taxonomy.leaf_paths[pair.second]),
        "first_as_second": pair.forward,
        "second_as_first": pair.backward,
    }


def _leaf(leaf: int, facts: ReportData, leaves: LeafFigures) -> dict[str, Any]:
    return {
        "path": list(facts.taxonomy.leaf_paths[leaf]),
        "train_rows": int(facts.train_rows[leaf]),
        "rows": int(leaves.support[leaf]),
        "predicted": int(leaves.predicted[leaf]),
        "precision": float(leaves.precision[leaf]),
        "recall": float(leaves.recall[leaf]),
        "f1": float(leaves.f1[leaf]),
    }


def _finite(value: Any) -> Any:
    """Return a JSON value with null in place of non-finite numbers."""
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (str, int, float)):
        return value
    return str(value)
