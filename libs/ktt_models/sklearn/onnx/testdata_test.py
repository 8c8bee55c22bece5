"""The export in ``testdata/`` is one that is written today.

It is there for the runtimes that serve exports but cannot write them. Run this file to write it
anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx

from ktt_core.decoding import leaf_log_proba
from ktt_core.preprocessors.cleaning import clean_texts
from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.scorer import FlatScorer, HierarchicalScorer
from ktt_core.tfidf.text_rows import TextRows
from ktt_core.tfidf.vectorizer import TfidfVectorizer
from ktt_core.tfidf.vocabulary import write_vocabulary
from ktt_core.tfidf.weights import BlockWeights, NodeLayout
from ktt_models.sklearn.onnx.graph import build_graph

FOLDER = Path(__file__).parent / "testdata"
TAXONOMY = Taxonomy.from_paths([("a", "b", "c"), ("a", "b", "d"), ("a", "e"), ("f",), ("g", "h")])
LEARNED = ["running shoes for men", "tennis balls", "guitars", "a novel", "men running"]
TEXTS = [*LEARNED, "", "zzz \u2603", " SHOES,\tshoes\x00 and  Balls", "guitar " * 500]
TEMPERATURE = 0.8


def scorers():
    """Return both kinds, of weights that no generator of random numbers decides."""
    vectorizer = TfidfVectorizer(char_ngrams=(3, 3), char_min_df=1).fit([LEARNED])
    layout = NodeLayout(TAXONOMY)
    feature, node = np.nonzero(
        np.add.outer(np.arange(vectorizer.n_features), np.arange(layout.n_nodes)) % 3 > 0
    )
    starts = np.searchsorted(feature, np.arange(vectorizer.n_features + 1))
    weights = 2 * np.sin(np.arange(layout.child_count[node].sum()) ** 2 % 997)
    bias = np.cos(np.arange(TAXONOMY.n_classes))
    arrays = {"feature_start": starts, "pair_node": node, "weights": weights, "bias": bias}
    block = BlockWeights.from_state(layout, arrays)
    return vectorizer, {
        "hierarchical": HierarchicalScorer(block, "softmax"),
        "flat": FlatScorer(block, "modified_huber"),
    }


def write(folder):
    folder.mkdir(exist_ok=True)
    vectorizer, by_kind = scorers()
    write_vocabulary(vectorizer, folder)
    proba = {}
    for kind, scorer in by_kind.items():
        build_graph(scorer, TEMPERATURE).write(folder / f"{kind}.onnx", "", {})
        levels = scorer.level_scores(vectorizer.transform(clean_texts(TEXTS)))
        log_proba = leaf_log_proba(levels, TAXONOMY, TEMPERATURE)
        proba[kind] = np.exp(log_proba).round(6).tolist()
    (folder / "answers.json").write_text(json.dumps({"texts": TEXTS, "proba": proba}) + "\n")


def test_it_is_what_an_export_writes(tmp_path):
    write(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in FOLDER.iterdir())
    hint = f"an export writes something else by now: run {Path(__file__).name}"
    for path in tmp_path.glob("*.onnx"):
        fresh, kept = onnx.load(path), onnx.load(FOLDER / path.name)
        assert fresh.graph.node == kept.graph.node, hint
        assert [item.name for item in fresh.graph.initializer] == [
            item.name for item in kept.graph.initializer
        ], hint
    for fresh, kept in zip(
        *(TextRows(folder)(TEXTS).values() for folder in (tmp_path, FOLDER)), strict=True
    ):
        np.testing.assert_allclose(fresh, kept, rtol=1e-6, err_msg=hint)
    answers = [json.loads((folder / "answers.json").read_text()) for folder in (tmp_path, FOLDER)]
    assert answers[0]["texts"] == answers[1]["texts"], hint
    for kind, proba in answers[0]["proba"].items():
        np.testing.assert_allclose(proba, answers[1]["proba"][kind], atol=2e-6, err_msg=hint)


if __name__ == "__main__":
    write(FOLDER)
