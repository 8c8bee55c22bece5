"""How fast scores become paths and metrics, in how much memory, against the row-by-row form.

Draws random level scores under a random taxonomy of three levels, decodes them, and computes the
metrics, each in two ways: as ktt_core does it, blocked and vectorised; and row by row, with numpy
inside a row. Both must agree. The floor is one pass over the scores (their maximum): no decoder can
be faster than reading them.
"""

from __future__ import annotations

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.decoding import class_proba, decode, leaf_log_proba
from ktt_core.metrics import METRIC_NAMES, compute_metrics
from ktt_core.taxonomy import Taxonomy

Levels = list[NDArray[np.float32]]

_SLACK = 1e-5


def make_taxonomy(leaves: int, generator: np.random.Generator) -> Taxonomy:
    """Return a taxonomy of three levels whose classes have about ten children each."""
    middle = max(1, leaves // 10)
    parents = np.sort(np.concatenate([np.arange(middle), generator.integers(0, middle, leaves)]))
    return Taxonomy.from_paths(
        (f"{parent // 10:06}", f"{parent:06}", f"{leaf:06}")
        for leaf, parent in enumerate(parents[:leaves].tolist())
    )


def make_scores(rows: int, taxonomy: Taxonomy, generator: np.random.Generator) -> Levels:
    """Return log-probabilities per level, as a model with one softmax per level gives."""
    levels = []
    for size in taxonomy.level_sizes:
        scores = generator.standard_normal((rows, size), dtype=np.float32)
        scores *= 3.0
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        levels.append(scores)
    return levels


def decode_by_row(
    levels: Levels, taxonomy: Taxonomy, top_k: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Decode one row after another: sum the levels, softmax, sort, look the ancestors up."""
    leaf_codes = taxonomy.leaf_codes
    rows = len(levels[0])
    codes = np.empty((rows, top_k, taxonomy.depth), dtype=np.int32)
    probabilities = np.empty((rows, top_k), dtype=np.float32)
    ancestors = [np.ascontiguousarray(column) for column in leaf_codes.T]
    for row in range(rows):
        scores = levels[-1][row].copy()
        for level in range(taxonomy.depth - 1):
            scores += levels[level][row][ancestors[level]]
        powers = np.exp(scores - scores.max())
        powers /= powers.sum()
        best = np.argsort(-scores)[:top_k]
        codes[row] = leaf_codes[best]
        probabilities[row] = powers[best]
    return codes, probabilities


def metrics_by_row(
    log_proba: NDArray[np.float32], codes: NDArray[np.int32], taxonomy: Taxonomy
) -> dict[str, float]:
    """Compute the metrics one row after another, holding all (row, class) pairs for the ranking."""
    rows, depth, offsets = len(codes), taxonomy.depth, taxonomy.level_offsets
    counts = np.zeros((3, taxonomy.n_classes), dtype=np.int64)
    pairs = np.empty((rows, taxonomy.n_classes), dtype=np.float32)
    positives = np.zeros((rows, taxonomy.n_classes), dtype=bool)
    bins = np.zeros((3, 15))
    both = predicted_size = true_size = valid = right = 0
    for row in range(rows):
        leaves = np.exp(log_proba[row])
        true = offsets[:-1] + codes[row]
        top = int(leaves.argmax())
        predicted = offsets[:-1] + taxonomy.leaf_codes[top]
        best = np.empty(depth, dtype=np.int64)
        for level in range(depth):
            sums = np.add.reduceat(leaves, taxonomy.leaf_ranges[level][:-1])
            pairs[row, offsets[level] : offsets[level + 1]] = sums
            best[level] = sums.argmax()
        positives[row, true] = True
        true_set, predicted_set = set(true.tolist()), set(predicted.tolist())
        both += len(true_set & predicted_set)
        predicted_size += len(predicted_set)
        true_size += len(true_set)
        counts[0, list(true_set & predicted_set)] += 1
        counts[1, predicted] += 1
        counts[2, true] += 1
        valid += all(
            taxonomy.parent_of[level][best[level]] == best[level - 1] for level in range(1, depth)
        )
        hit = top == codes[row, -1]
        right += hit
        confidence = min(float(leaves[top]), 1.0)
        bins[:, max(0, int(np.ceil(confidence * 15)) - 1)] += (1, hit, confidence)
    hits, predicted_rows, support = counts
    precision = hits / np.maximum(predicted_rows, 1)
    at = [slice(offsets[level], offsets[level + 1]) for level in range(depth)]
    weighted = [float((support[s] * precision[s]).sum() / rows) for s in at]
    seen = (support + predicted_rows)[at[-1]] > 0
    f1 = 2 * hits[at[-1]][seen] / (support + predicted_rows)[at[-1]][seen]
    order = np.argsort(-pairs.ravel())
    ranked, true_ranked = pairs.ravel()[order], positives.ravel()[order].cumsum()
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    gained = np.diff(true_ranked[ends], prepend=0)
    average = float((gained * true_ranked[ends] / (ends + 1)).sum() / true_ranked[-1])
    return {
        "leaf_accuracy": right / rows,
        "leaf_precision": weighted[-1],
        "leaf_macro_f1": float(f1.mean()),
        "path_accuracy": float(np.mean([hits[s].sum() / rows for s in at])),
        "path_precision": float(np.mean(weighted)),
        "hierarchical_precision": both / predicted_size,
        "hierarchical_recall": both / true_size,
        "hierarchical_f1": 2 * both / (predicted_size + true_size),
        "auprc_micro": average,
        "valid_paths": valid / rows,
        "calibration_error": float(np.abs(bins[1] - bins[2]).sum() / rows),
    }


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the best time of several, in seconds, and the result."""
    best, result = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


def peak_memory(work: Callable[[], Any]) -> int:
    """Return how many bytes the work held at most, its result included."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def compare(
    blocked: Callable[[], Any], by_row: Callable[[], Any], repeats: int, row_repeats: int
) -> tuple[dict[str, float], Any, Any]:
    """Time both forms and measure their memory."""
    blocked_s, mine = timed(blocked, repeats)
    by_row_s, theirs = timed(by_row, row_repeats)
    figures = {
        "blocked_s": blocked_s,
        "row_by_row_s": by_row_s,
        "ratio": by_row_s / blocked_s,
        "blocked_peak_mb": peak_memory(blocked) / 1e6,
        "row_by_row_peak_mb": peak_memory(by_row) / 1e6,
    }
    return figures, mine, theirs


def run(rows: int, leaves: int, top_k: int, repeats: int) -> dict[str, Any]:
    """Run the benchmark and return its figures.

    Raises
    ------
    SystemExit
        If the two forms disagree.
    """
    generator = np.random.default_rng(0)
    taxonomy = make_taxonomy(leaves, generator)
    levels = make_scores(rows, taxonomy, generator)
    top_k = min(top_k, leaves)
    floor_s, _ = timed(lambda: [float(level.max()) for level in levels], repeats)
    decoding, mine, (codes, probabilities) = compare(
        lambda: decode(levels, taxonomy, top_k=top_k),
        lambda: decode_by_row(levels, taxonomy, top_k),
        repeats,
        1,
    )
    same = (mine.codes == codes).all(axis=2)
    # An unstable sort may order equal scores in another way.
    if same.mean() < 0.9999 or np.abs(mine.probabilities - probabilities).max() > _SLACK:
        raise SystemExit("blocked and row-by-row decoding disagree")

    log_proba = leaf_log_proba(levels, taxonomy)
    truth = taxonomy.leaf_codes[
        np.where(
            generator.random(rows) < 0.6,
            log_proba.argmax(axis=1),
            generator.integers(0, leaves, rows),
        )
    ]
    class_proba_s, _ = timed(lambda: class_proba(log_proba, taxonomy), repeats)
    metrics, ours, naive = compare(
        lambda: compute_metrics(log_proba, truth, taxonomy),
        lambda: metrics_by_row(log_proba, truth, taxonomy),
        repeats,
        1,
    )
    for name in METRIC_NAMES:
        if abs(ours[name] - naive[name]) > 1e-4:
            raise SystemExit(
                f"blocked and row-by-row metrics disagree on {name}: {ours[name]} and {naive[name]}"
            )
    return {
        "rows": rows,
        "taxonomy": taxonomy.level_sizes.tolist(),
        "top_k": top_k,
        "scores_mb": sum(level.nbytes for level in levels) / 1e6,
        "floor_s": floor_s,
        "decoding": decoding,
        "class_proba_s": class_proba_s,
        "metrics": metrics,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, run, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000, help="texts (default: 10,000)")
    parser.add_argument("--leaves", type=int, default=5_000, help="leaf classes (default: 5,000)")
    parser.add_argument("--top-k", type=int, default=5, help="paths per text (default: 5)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of which the best counts")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    for name in ("rows", "leaves", "top_k", "repeats"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} is at least 1")
    figures = run(options.rows, options.leaves, options.top_k, options.repeats)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    sizes = " / ".join(f"{size:,}" for size in figures["taxonomy"])
    print(
        f"{figures['rows']:,} texts, {sizes} classes per level, "
        f"{figures['scores_mb']:,.0f} MB of scores"
    )
    print(f"floor, one pass over the scores: {figures['floor_s']:.3f} s\n")
    print(f"{'':24}{'blocked':>12}{'row by row':>12}{'ratio':>8}{'peak':>12}{'peak by row':>13}")
    for label, part in [
        (f"top-{figures['top_k']} decoding", "decoding"),
        ("all metrics", "metrics"),
    ]:
        row = figures[part]
        print(
            f"{label:24}{row['blocked_s']:>10.3f} s{row['row_by_row_s']:>10.3f} s"
            f"{row['ratio']:>7.1f}x"
            f"{row['blocked_peak_mb']:>9,.0f} MB{row['row_by_row_peak_mb']:>10,.0f} MB"
        )


if __name__ == "__main__":
    main()
