"""The table of results: means over seeds, intervals over test rows, and differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ktt_core.metrics import UNCALIBRATED
from quality.runs import Result

__all__ = ["as_json", "as_markdown"]

_DRAWS = 10_000
#: Of the models that learn no encoder.
_TFIDF = "tfidf_"


def as_json(results: Sequence[Result], order: Sequence[str]) -> dict[str, Any]:
    """Return every figure of the table.

    Parameters
    ----------
    results : sequence of Result
    order : sequence of str
        Models as they shall stand in the table.
    """
    datasets = sorted({result.dataset for result in results})
    return {name: _dataset([r for r in results if r.dataset == name], order) for name in datasets}


def _dataset(results: Sequence[Result], order: Sequence[str]) -> dict[str, Any]:
    by_model = {
        model: sorted((r for r in results if r.model == model), key=lambda r: r.seed)
        for model in order
        if any(r.model == model for r in results)
    }
    rows = {model: _row(runs) for model, runs in by_model.items()}
    hits = {model: np.mean([run.hits for run in runs], axis=0) for model, runs in by_model.items()}
    tfidf = [model for model in rows if model.startswith(_TFIDF)]
    encoders = [model for model in rows if model.startswith("db_")]
    others = [model for model in rows if model not in tfidf and model not in encoders]

    def f1(model: str) -> float:
        return float(rows[model]["test"])

    pairs = []
    if encoders:
        best = max(encoders, key=f1)
        pairs += [(best, max(group, key=f1)) for group in (tfidf, others) if group]
        pairs += [(m, "db_linear") for m in encoders if "db_linear" in rows and m != "db_linear"]
    return {
        "models": rows,
        "differences": [
            {"model": ours, "other": theirs, **_difference(hits[ours], hits[theirs])}
            for ours, theirs in pairs
        ],
    }


def _row(runs: Sequence[Result]) -> dict[str, Any]:
    scores = np.array([run.hits.mean() for run in runs])
    low, high = _interval(np.mean([run.hits for run in runs], axis=0))
    before = [run.val[UNCALIBRATED] for run in runs if UNCALIBRATED in run.val]
    after = [run.val["calibration_error"] for run in runs if "calibration_error" in run.val]
    tested = [run.test["calibration_error"] for run in runs if "calibration_error" in run.test]
    return {
        "seeds": [run.seed for run in runs],
        "val": float(np.mean([run.val["hierarchical_f1"] for run in runs])),
        "test": float(scores.mean()),
        "test_95": [low, high],
        "spread": float(scores.std(ddof=1)) if len(runs) > 1 else None,
        "leaf_accuracy": float(np.mean([np.mean(run.hits == 1) for run in runs])),
        "calibration_error_before": float(np.mean(before)) if before else None,
        "calibration_error": float(np.mean(after)) if after else None,
        "calibration_error_test": float(np.mean(tested)) if tested else None,
        "processor_seconds": float(np.mean([run.processor_seconds for run in runs])),
    }


def _interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the mean over resamples of the rows."""
    generator = np.random.default_rng(0)
    n = len(values)
    means = [values[generator.integers(n, size=n)].mean() for _ in range(_DRAWS)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _difference(ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    """Return the difference of two models' hierarchical F1 on the same rows."""
    return {"difference": float((ours - theirs).mean()), "interval": _interval(ours - theirs)}


def as_markdown(figures: dict[str, Any]) -> str:
    """Return the figures as tables that a page can take."""
    return "\n\n".join("\n".join(_section(name, part)) for name, part in figures.items())


def _section(dataset: str, part: dict[str, Any]) -> Iterable[str]:
    yield f"### {dataset}\n"
    yield (
        "| model | seeds | val hF1 | test hF1 | 95 % of rows | spread of seeds | test leaf "
        "accuracy | ECE val before → after | ECE test | processor minutes |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for model, row in part["models"].items():
        low, high = row["test_95"]
        before, after = row["calibration_error_before"], row["calibration_error"]
        tested = row["calibration_error_test"]
        cells = [
            model,
            str(len(row["seeds"])),
            f"{row['val']:.4f}",
            f"**{row['test']:.4f}**",
            f"{low:.3f} – {high:.3f}",
            "-" if row["spread"] is None else f"{row['spread']:.4f}",
            f"{row['leaf_accuracy']:.4f}",
            "-" if before is None or after is None else f"{before:.3f} → {after:.3f}",
            "-" if tested is None else f"{tested:.3f}",
            f"{row['processor_seconds'] / 60:.1f}",
        ]
        yield "| " + " | ".join(cells) + " |"
    for pair in part["differences"]:
        low, high = pair["interval"]
        yield (
            f"\n{pair['model']} − {pair['other']}: {pair['difference']:+.4f} "
            f"({low:+.4f} … {high:+.4f})"
        )
