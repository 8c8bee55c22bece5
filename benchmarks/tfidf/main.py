"""How good and how fast the two tf-idf models are, against LinearSVC and HiClass.

Quality: hierarchical F1 (micro over a path's classes) on every *.parquet file of --data (columns
text, path, split), for flat LinearSVC on words, LinearSVC on words and characters, tfidf_lsgd and
tfidf_hsgd with their defaults, with a paired bootstrap of our better model against the better peer.
Speed: processor seconds (the machine may have other work; medians of --repeats in turns) to fit and
to predict of HiClass' LocalClassifierPerParentNode over SGDClassifier, divided by tfidf_hsgd's with
its defaults, on the same features with --jobs each, which should stay 1 for that; or, with
--as-installed, seconds on the clock of both as they come, their threads included. Then the same,
once, on synthetic data with 100, 1,000 and 10,000 leaves. Memory: the peak of fitting ICD-10-CM's
75,000 leaf codes, features included, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.metrics import bootstrap_difference
from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.vectorizer import TfidfVectorizer
from ktt_models.sklearn.solvers import HierarchicalSGDClassifier
from tfidf.measure import (
    Problem,
    Timing,
    as_matrix,
    hierarchical_f1,
    hits,
    read_problem,
    synthetic_rows,
)
from tfidf.memory import SOLVERS, memory
from tfidf.peers import HiclassPeer, PeerFeatures, svc_leaves


def warm_up() -> None:
    """Compile what will be timed; a training process does it once."""
    taxonomy, rows, codes = synthetic_rows(8, np.random.default_rng(0))
    for solver in SOLVERS.values():
        solver(taxonomy, epochs=1, n_jobs=1).fit(rows, codes).predict(rows)


def hsgd(taxonomy: Taxonomy, n_jobs: int | None) -> HierarchicalSGDClassifier:
    """Return the solver as tfidf_hsgd makes it: as many epochs for any number of rows."""
    epochs = HierarchicalSGDClassifier.default_epochs
    return HierarchicalSGDClassifier(taxonomy, epochs=epochs, n_jobs=n_jobs)


def versus_hiclass(
    problem: Problem, train: CsrRows, test: CsrRows, timing: Timing
) -> tuple[dict[str, float], NDArray[np.float64]]:
    """Time tfidf_hsgd and HiClass on the same rows; return the figures, and HiClass' hits."""
    matrix, test_matrix = as_matrix(train), as_matrix(test)
    timed, seconds = timing.timed, []
    for _ in range(timing.repeats):
        model, peer = hsgd(problem.taxonomy, timing.n_jobs), HiclassPeer(timing.n_jobs)
        _, fit_s = timed(partial(model.fit, train, problem.train_codes))
        predicted, predict_s = timed(partial(model.predict, test))
        _, peer_fit_s = timed(partial(peer.fit, matrix, problem.train_codes))
        peer_predicted, peer_predict_s = timed(partial(peer.predict, test_matrix))
        seconds.append((fit_s, predict_s, peer_fit_s, peer_predict_s))
    fit_s, predict_s, peer_fit_s, peer_predict_s = np.median(seconds, axis=0).tolist()
    figures = {
        "fit": peer_fit_s / fit_s,
        "predict": peer_predict_s / predict_s,
        "fit_s": fit_s,
        "predict_s": predict_s,
        "hiclass_fit_s": peer_fit_s,
        "hiclass_predict_s": peer_predict_s,
        "hierarchical_f1": hierarchical_f1(problem.test_codes, predicted),
        "hiclass_hierarchical_f1": hierarchical_f1(problem.test_codes, peer_predicted),
    }
    return figures, hits(problem.test_codes, peer_predicted)


def quality(problem: Problem, hiclass: bool, timing: Timing) -> dict[str, Any]:
    """Return every model's hierarchical F1 on one dataset, and the ratios against HiClass."""
    codes, taxonomy = problem.test_codes, problem.taxonomy
    found: dict[str, np.ndarray] = {}
    for name, characters in (("svc_words", False), ("svc_words_chars", True)):
        features = PeerFeatures(characters)
        train = features.fit(problem.train_texts)
        test = features.transform(problem.test_texts)
        leaves = svc_leaves(train, problem.train_codes[:, -1], test)
        found[name] = hits(codes, taxonomy.leaf_codes[leaves])
    vectorizer = TfidfVectorizer().fit([problem.train_texts])
    train_rows = vectorizer.transform(problem.train_texts)
    test_rows = vectorizer.transform(problem.test_texts)
    speed: dict[str, Any] = {}
    for name, solver in SOLVERS.items():
        n_jobs = timing.n_jobs
        model = hsgd(taxonomy, n_jobs) if name == "tfidf_hsgd" else solver(taxonomy, n_jobs=n_jobs)
        _, fit_s = timing.timed(partial(model.fit, train_rows, problem.train_codes))
        predicted, predict_s = timing.timed(partial(model.predict, test_rows))
        found[name] = hits(codes, predicted)
        speed[name] = {"fit_s": fit_s, "predict_s": predict_s}
    if hiclass:
        speed["ratio"], found["hiclass"] = versus_hiclass(problem, train_rows, test_rows, timing)
        words = TfidfVectorizer(char_ngrams=None, stem=None).fit([problem.train_texts])
        speed["ratio_words"], _ = versus_hiclass(
            problem,
            words.transform(problem.train_texts),
            words.transform(problem.test_texts),
            timing,
        )
    scores = {name: float(values.mean()) for name, values in found.items()}
    ours_best = max(SOLVERS, key=scores.__getitem__)
    peer_best = max((name for name in scores if name not in SOLVERS), key=scores.__getitem__)
    difference = bootstrap_difference(found[ours_best], found[peer_best])
    return {
        "dataset": problem.name,
        "hierarchical_f1": scores,
        "ours": ours_best,
        "peer": peer_best,
        "difference": difference.value,
        "difference_95": [difference.low, difference.high],
        "speed": speed,
    }


def scale(leaves: int, timing: Timing) -> dict[str, Any]:
    """Return the ratios against HiClass on synthetic data of so many leaves."""
    taxonomy, rows, codes = synthetic_rows(leaves, np.random.default_rng(leaves))
    train = np.arange(len(codes)) % 6 != 0
    train_rows, test_rows = rows[train], rows[~train]
    timed = timing.timed
    model = hsgd(taxonomy, timing.n_jobs)
    _, fit_s = timed(lambda: model.fit(train_rows, codes[train]))
    predicted, predict_s = timed(lambda: model.predict(test_rows))
    peer = HiclassPeer(timing.n_jobs)
    _, peer_fit_s = timed(lambda: peer.fit(train_rows.astype(np.float64), codes[train]))
    peer_codes, peer_predict_s = timed(lambda: peer.predict(test_rows.astype(np.float64)))
    return {
        "leaves": leaves,
        "rows": int(train.sum()),
        "hierarchical_f1": {
            "tfidf_hsgd": hierarchical_f1(codes[~train], predicted),
            "hiclass": hierarchical_f1(codes[~train], peer_codes),
        },
        "seconds": {
            "tfidf_hsgd": {"fit_s": fit_s, "predict_s": predict_s},
            "hiclass": {"fit_s": peer_fit_s, "predict_s": peer_predict_s},
        },
        "ratio": {"fit": peer_fit_s / fit_s, "predict": peer_predict_s / predict_s},
    }


def report(result: dict[str, Any]) -> None:
    """Print the tables."""
    names = ["svc_words", "svc_words_chars", "hiclass", *SOLVERS]
    if result["quality"]:
        print("Hierarchical F1\n" + f"{'dataset':<18}" + "".join(f"{name:>17}" for name in names))
        for row in result["quality"]:
            scores = row["hierarchical_f1"]
            cells = [f"{scores[n]:17.4f}" if n in scores else f"{'-':>17}" for n in names]
            print(f"{row['dataset']:<18}" + "".join(cells))
        for row in result["quality"]:
            low, high = row["difference_95"]
            print(
                f"{row['dataset']}: {row['ours']} - {row['peer']} = {row['difference']:+.4f} "
                f"(95 %: {low:+.4f} .. {high:+.4f})"
            )
        print(f"mean difference: {result['mean_difference']:+.4f}")
        for row in result["quality"]:
            for key, features in (("ratio", "our features"), ("ratio_words", "words 1-2")):
                if key in row["speed"]:
                    ratio = row["speed"][key]
                    print(
                        f"{row['dataset']}, {features}: tfidf_hsgd fits {ratio['fit']:.1f} and "
                        f"predicts {ratio['predict']:.1f} times as fast as HiClass; "
                        f"{ratio['hierarchical_f1']:.4f} "
                        f"(HiClass {ratio['hiclass_hierarchical_f1']:.4f})"
                    )
    for row in result["scale"]:
        print(
            f"{row['leaves']:>6,} leaves, {row['rows']:,} rows: fit {row['ratio']['fit']:.1f}x, "
            f"predict {row['ratio']['predict']:.1f}x; hierarchical F1 "
            f"{row['hierarchical_f1']['tfidf_hsgd']:.4f} "
            f"(HiClass {row['hierarchical_f1']['hiclass']:.4f})"
        )
    for row in result["memory"]:
        print(
            f"ICD-10-CM, {row['rows']:,} rows, {row['leaves']:,} leaves, {row['model']}: features "
            f"{row['features_s']:.1f} s, fit {row['fit_s']:.1f} s, peak {row['peak_mb']:,.0f} MB"
        )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="folder of *.parquet files with the columns text (string), path (list of names, root "
        "to leaf, equally long) and split (train, val, test); without it no quality table",
    )
    parser.add_argument(
        "--split", default="test", choices=["val", "test"], help="rows to score (default: test)"
    )
    parser.add_argument(
        "--leaves",
        default="100,1000,10000",
        help='sizes of the synthetic taxonomies, or "" for none (default: %(default)s; HiClass '
        "takes minutes at 10,000)",
    )
    parser.add_argument("--no-hiclass", action="store_true", help="leave HiClass out of the table")
    parser.add_argument("--no-icd", action="store_true", help="do not measure memory on ICD-10-CM")
    parser.add_argument(
        "--jobs", type=int, default=1, help="n_jobs of our solvers and HiClass' (default: 1)"
    )
    parser.add_argument(
        "--as-installed",
        action="store_true",
        help="seconds on the clock, every library with its own default of threads; needs a machine "
        "with nothing else to do, and no OMP_NUM_THREADS",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=3,
        help="fits and predictions of each on real data, in turns, of whose times the median is "
        "taken (default: 3)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, no tables")
    arguments = parser.parse_args()
    if arguments.repeats < 1:
        parser.error("--repeats must be at least 1")
    if arguments.data is not None and not arguments.data.is_dir():
        parser.error(f"--data {arguments.data} is not a folder")
    files = sorted(arguments.data.glob("*.parquet")) if arguments.data else []
    if arguments.data and not files:
        parser.error(f"--data {arguments.data} holds no *.parquet file")
    try:
        sizes = [int(size) for size in arguments.leaves.split(",") if size.strip()]
    except ValueError:
        parser.error(f"--leaves takes whole numbers and commas, not {arguments.leaves!r}")
    threads = os.environ.get("OMP_NUM_THREADS")
    if arguments.as_installed and threads is not None:
        parser.error("OMP_NUM_THREADS is set, so nothing runs as installed; unset it")
    if not arguments.as_installed and threads != "1":
        print("note: set OMP_NUM_THREADS=1 for a fair comparison of speeds", file=sys.stderr)
    timing = Timing(arguments.as_installed, arguments.jobs, arguments.repeats)
    result: dict[str, Any] = {
        "memory": [] if arguments.no_icd else memory(),
    }
    warm_up()
    result["quality"] = [
        quality(read_problem(file, arguments.split), not arguments.no_hiclass, timing)
        for file in files
    ]
    if files:
        result["mean_difference"] = float(np.mean([r["difference"] for r in result["quality"]]))
    result["scale"] = [scale(size, timing) for size in sizes]
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        report(result)


if __name__ == "__main__":
    main()
