"""The template's variables, computed from a run's data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from trainer.report.confidence import (
    answer_chart,
    answer_rows,
    bin_rows,
    frequency_chart,
    reliability_chart,
    row_chart,
)
from trainer.report.curves import curves
from trainer.report.findings import Findings, find
from trainer.report.machine import embedded_json, machine_readable
from trainer.report.names import shorten
from trainer.report.report_data import ReportData
from trainer.report.scales import number, percent
from trainer.report.summary import summarise
from trainer.report.tables import class_rows, config_rows, duration, metric_rows, pair_rows

__all__ = ["page_values"]

_SPLITS = {"val": "validation", "test": "test"}
_MAX_VERSIONS = 12


@dataclass(frozen=True)
class Tile:
    """A headline metric."""

    name: str
    figure: str
    what: str


def page_values(facts: ReportData) -> dict[str, Any]:
    """Return the template's variables."""
    found = find(facts)
    summary = summarise(facts, found.levels, found.leaves)
    config = config_rows(facts.config, facts.defaults)
    splits = [split for split in _SPLITS if facts.metrics.get(split)]
    values: dict[str, Any] = {
        "facts": facts,
        "found": found,
        "split": _SPLITS.get(facts.split, facts.split),
        "subtitle": [
            part
            for part in (
                facts.started and f"started {_readable_time(facts.started)} UTC",
                facts.seconds and f"took {duration(facts.seconds)}",
                facts.checkpoint,
            )
            if part
        ],
        "tiles": _tiles(facts),
        "words": [
            ("right", "What it gets right", summary.right),
            ("wrong", "Where it fails", summary.wrong),
            ("notes", "Good to know", summary.notes),
        ],
        "metrics": metric_rows(facts.metrics, splits),
        "metric_splits": [_SPLITS[split] for split in splits],
        "curves": curves(facts.history),
        "run": _run(facts),
        "changed": [row for row in config if row.differs],
        "unchanged": [row for row in config if not row.differs],
        "data": embedded_json(machine_readable(facts, found)),
    }
    if facts.diagnostics is not None and found.leaves is not None:
        values |= _findings(facts, found)
    values["sections"] = _sections(facts, values)
    return values


def _findings(facts: ReportData, found: Findings) -> dict[str, Any]:
    diagnostics, leaves, taxonomy = facts.diagnostics, found.leaves, facts.taxonomy
    assert diagnostics is not None and leaves is not None
    return {
        "confidence": [
            reliability_chart(diagnostics),
            row_chart(diagnostics),
        ],
        "answer_chart": answer_chart(found.shares),
        "bins": list(
            zip(
                bin_rows(diagnostics.raw_calibration),
                bin_rows(diagnostics.calibration),
                strict=True,
            )
        ),
        "answers": answer_rows(found.shares),
        "sibling_rows": pair_rows(found.siblings, taxonomy, leaves.support),
        "other_rows": pair_rows(found.elsewhere, taxonomy, leaves.support),
        "worst_rows": class_rows(found.worst, taxonomy, leaves, facts.train_rows),
        "rarest_rows": class_rows(found.rarest, taxonomy, leaves, facts.train_rows),
        "frequency": frequency_chart(found.buckets),
    }


def _tiles(facts: ReportData) -> list[Tile]:
    metrics = facts.metrics.get(facts.split, {})
    split = _SPLITS.get(facts.split, facts.split)
    whole = "whole path right" if facts.taxonomy.depth > 1 else "class right"
    wanted = (
        ("leaf_accuracy", "Leaf accuracy", f"{whole}, {split} texts"),
        ("hierarchical_f1", "Hierarchical F1", "half-right paths count in part"),
        ("leaf_macro_f1", "Leaf macro-F1", "all classes count alike"),
        ("calibration_error", "Calibration error", "of stated probabilities; less is better"),
    )
    return [
        Tile(name, percent(metrics[key]), what)
        for key, name, what in wanted
        if math.isfinite(metrics.get(key, math.nan))
    ]


def _run(facts: ReportData) -> list[tuple[str, str]]:
    taxonomy = facts.taxonomy
    hidden = taxonomy.hidden
    offsets = taxonomy.level_offsets.tolist()
    real = [
        int((~hidden[start:end]).sum())
        for start, end in zip(offsets[:-1], offsets[1:], strict=True)
    ]
    rows = ", ".join(
        f"{number(facts.split_rows.get(split, 0))} {name}"
        for split, name in (("train", "training"), ("val", "validation"), ("test", "test"))
    )
    versions = [f"{name} {version}" for name, version in facts.versions.items()]
    entries = [
        ("Dataset", facts.dataset),
        ("Texts", rows),
        ("Classes per level", " / ".join(map(number, real))),
        ("Class paths", number(taxonomy.n_leaves)),
        ("Model", facts.model),
        ("Checkpoint", facts.checkpoint),
        ("Started (UTC)", _readable_time(facts.started)),
        ("Duration", duration(facts.seconds) if facts.seconds else ""),
        ("Device", facts.device),
        ("Seed", str(facts.config["seed"]) if "seed" in facts.config else ""),
        ("Dataset's fingerprint", facts.fingerprint),
        ("Made with", ", ".join(versions[:_MAX_VERSIONS])),
    ]
    return [(name, shorten(value, 300)) for name, value in entries if value]


def _readable_time(started: str) -> str:
    """Return "2026-01-31T12:34:56Z" in a readable form."""
    return started.removesuffix("Z").replace("T", " ")


def _sections(facts: ReportData, values: dict[str, Any]) -> list[tuple[str, str]]:
    known = values["found"].leaves is not None
    sections = (
        ("metrics", "Metrics", bool(values["metrics"])),
        ("training", "Training curves", bool(values["curves"])),
        ("levels", "Level by level", known and facts.taxonomy.depth > 1),
        ("confidence", "Confidence", known),
        ("mistakes", "Confused classes", known),
        ("classes", "Class by class", known),
        ("run", "The run", True),
    )
    return [(id, title) for id, title, there in sections if there]
