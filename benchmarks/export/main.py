"""What a text costs in an exported tf-idf graph, against other ways to the same answer.

Trains both tf-idf models on ICD-10-CM (or on --texts of its texts), exports them, and classifies
texts one by one: with the graph; with ktt_core's own scorer on the checkpoint; as a dense product
of the whole vocabulary's row with the last level's weights, which is what a graph without gathering
does (and one level of what it would have to do); and as the dense rows of the text's own terms, the
floor, at the price of storing every zero. Processor time of one thread, best of five turns.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ktt_core.datasets.options import ImportOptions
from ktt_core.decoding import leaf_log_proba
from ktt_core.registry import get_model
from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.scorer import load_scorer
from ktt_core.tfidf.text_rows import TextRows
from ktt_core.tfidf.weights import BlockWeights
from quickstart.icd10cm import PATH, TEXT, write_source
from trainer import Trainer, TrainRequest

_MODELS = ("tfidf_lsgd", "tfidf_hsgd")
_TURNS = 5  # of which the best counts: others use the machine too


def measure(model_id: str, checkpoint: Path, texts: list[str], folder: Path) -> dict[str, Any]:
    """Export a checkpoint, and time every way on the same texts."""
    model: Any = get_model(model_id).from_checkpoint(checkpoint)
    started = time.perf_counter()
    model.export_onnx(folder)
    export_s = time.perf_counter() - started
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    text_rows = TextRows(folder)
    rows: CsrRows = model.vectorizer.transform(texts)
    scorer = load_scorer(model.taxonomy, *model.solver.state_dict())
    dense = last_level(scorer.weights)

    def graph(row: CsrRows) -> Any:
        feeds = {
            "term_ids": row.indices.astype(np.int64),
            "term_weights": row.data,
            "row_offsets": row.indptr,
        }
        return session.run(["log_proba"], feeds)[0]

    def product(row: CsrRows) -> Any:
        whole = np.zeros(len(dense), dtype=np.float32)
        whole[row.indices] = row.data
        return whole @ dense

    ways: dict[str, Callable[[CsrRows], Any]] = {
        "graph": graph,
        "ktt_core": lambda row: leaf_log_proba(
            scorer.level_scores(row), model.taxonomy, model.temperature
        ),
        "dense_product": product,
        "dense_rows": lambda row: row.data @ dense[row.indices],
    }
    single = [rows.take(number, number + 1) for number in range(rows.n_rows)]
    best = dict.fromkeys(ways, np.inf)
    for _ in range(_TURNS):
        for name, way in ways.items():
            best[name] = min(best[name], seconds_each(way, single))
    return {
        "model": model_id,
        "leaves": int(model.taxonomy.n_leaves),
        "terms": int(rows.n_columns),
        "terms_per_text": round(float(np.diff(rows.indptr).mean()), 1),
        "export_s": round(export_s, 2),
        "graph_mb": round((folder / "model.onnx").stat().st_size / 1e6, 1),
        "dense_mb": round(dense.nbytes / 1e6, 1),
        "ms_per_text": {name: round(value * 1e3, 3) for name, value in best.items()},
        "times_graph": {name: round(value / best["graph"], 2) for name, value in best.items()},
        "text_to_terms_ms": round(seconds_each(text_rows, [[text] for text in texts]) * 1e3, 3),
    }


def last_level(weights: BlockWeights) -> NDArray[np.float32]:
    """Return the last level's weights with their zeros, shape (features, classes of the level)."""
    taxonomy = weights.layout.taxonomy
    pair = np.repeat(np.arange(len(weights.pair_node)), np.diff(weights.pair_offset))
    child = np.arange(len(pair)) - weights.pair_offset[pair]
    classes = weights.layout.child_start[weights.pair_node[pair]] + child
    features = np.repeat(np.arange(weights.n_features), np.diff(weights.feature_start))[pair]
    first = int(taxonomy.level_offsets[-2])
    dense = np.zeros((weights.n_features, int(taxonomy.level_sizes[-1])), dtype=np.float32)
    last = classes >= first
    dense[features[last], classes[last] - first] = weights.weights[last]
    return dense


def seconds_each(call: Callable[[Any], Any], values: list[Any]) -> float:
    """Return the mean processor time of a call, after a few that are not counted."""
    for value in values[:3]:
        call(value)
    started = time.process_time()
    for value in values:
        call(value)
    return (time.process_time() - started) / len(values)


def benchmark(rows: int | None, n_texts: int, folder: Path) -> list[dict[str, Any]]:
    """Train, export and measure both models."""
    source, workspace = folder / "icd10cm.parquet", folder / "workspace"
    write_source(source, rows)
    trainer = Trainer(workspace)
    options = ImportOptions(text=TEXT, classes=PATH, dedupe=True)
    trainer.import_dataset(source, "icd10cm", options)
    results = trainer.train(TrainRequest(datasets=("icd10cm",), models=_MODELS, epochs=2))
    test = trainer.workspace.open_dataset("icd10cm").split("test")
    texts = test.texts()[:n_texts]
    figures = []
    for result in results:
        if result.error is not None or result.checkpoint is None:
            raise SystemExit(f"{result.model} was not trained: {result.error}")
        exported = folder / result.model
        exported.mkdir()
        figures.append(measure(result.model, result.checkpoint, texts, exported))
    return figures


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, help="train on about so many texts (default: all)")
    parser.add_argument("--texts", type=int, default=100, help="texts to classify (100)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        parser.error("set OMP_NUM_THREADS=1: numpy's threads would be counted against it")
    with tempfile.TemporaryDirectory() as folder:
        figures = benchmark(options.rows, options.texts, Path(folder))
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for row in figures:
        print(
            f"{row['model']}: {row['leaves']:,} leaves, {row['terms']:,} terms, "
            f"{row['terms_per_text']} of them in a text; exported in {row['export_s']} s, graph "
            f"{row['graph_mb']} MB; text to terms {row['text_to_terms_ms']} ms"
        )
        for name, value in row["ms_per_text"].items():
            size = f" ({row['dense_mb']:,} MB of weights)" if name.startswith("dense") else ""
            times = row["times_graph"][name]
            print(f"  {name:<14}{value:9.3f} ms a text, {times:6.2f} times the graph{size}")


if __name__ == "__main__":
    main()
