"""Peak memory of fitting ICD-10-CM, features included, each model in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import time
from typing import Any

from ktt_core.tfidf.vectorizer import TfidfVectorizer
from ktt_models.sklearn.solvers import FlatSGDClassifier, HierarchicalSGDClassifier
from tfidf.measure import icd_problem

__all__ = ["SOLVERS", "memory"]

SOLVERS = {"tfidf_lsgd": FlatSGDClassifier, "tfidf_hsgd": HierarchicalSGDClassifier}


def _fit_icd(name: str, results: Any) -> None:
    problem = icd_problem()
    start = time.perf_counter()
    vectorizer = TfidfVectorizer().fit([problem.train_texts])
    rows = vectorizer.transform(problem.train_texts)
    features_s = time.perf_counter() - start
    SOLVERS[name](problem.taxonomy).fit(rows, problem.train_codes)
    results.put(
        {
            "model": name,
            "rows": rows.n_rows,
            "leaves": problem.taxonomy.n_leaves,
            "features_s": features_s,
            "fit_s": time.perf_counter() - start - features_s,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        }
    )


def memory() -> list[dict[str, Any]]:
    """Fit both models to ICD-10-CM, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    found = []
    for name in SOLVERS:
        results = context.SimpleQueue()
        process = context.Process(target=_fit_icd, args=(name, results))
        process.start()
        process.join()
        if process.exitcode != 0:
            raise SystemExit(f"fitting {name} to ICD-10-CM ended with exit code {process.exitcode}")
        found.append(results.get())
    return found
