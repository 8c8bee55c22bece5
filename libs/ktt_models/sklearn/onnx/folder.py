"""The folder of an export: the graph, the classes, and the code for the graph's inputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ktt_core.errors import UnsupportedError
from ktt_core.preprocessors import BasePreprocessor
from ktt_core.preprocessors.stored import write_preprocessor
from ktt_core.tfidf.scorer import load_scorer
from ktt_core.tfidf.vocabulary import write_vocabulary
from ktt_models.export.onnx_layout import (
    GRAPH_NAME,
    PREPROCESSOR_NOTE,
    README_NAME,
    write_hierarchy,
)
from ktt_models.export.package import PACKAGE, write_package
from ktt_models.sklearn.onnx.graph import build_graph
from ktt_models.sklearn.onnx.text_package import package_of

if TYPE_CHECKING:
    from ktt_models.sklearn.model import SklearnModel

__all__ = ["write_folder"]

_README = """# {model}, as an ONNX graph

Needs Python 3.10 or later with onnxruntime 1.17 or later, and nothing else:

```python
import json, sys
import onnxruntime

sys.path.insert(0, "<this folder>")
from {package} import TextRows

inputs = TextRows("<this folder>")(["a text", "another text"])
session = onnxruntime.InferenceSession("<this folder>/model.onnx")
(log_proba,) = session.run(["log_proba"], inputs)
paths = json.load(open("<this folder>/hierarchy.json"))["leaf_paths"]
print([paths[leaf] for leaf in log_proba.argmax(axis=1)])
```

| file | what it is |
|---|---|
| `model.onnx` | The graph. Where weights are very large, they are in `model.onnx.data` beside it. |
| `hierarchy.json` | The classes. `leaf_paths` has the path of each column of `log_proba`. |
| `vocabulary.json`, `vocabulary.npz` | How texts are cut into terms; the terms and their weights. |
| `{package}/` | Python code, described below. |

## The graph

Inputs, for a batch of texts (`{package}.TextRows` makes them): `term_ids` (int64) and
`term_weights` (float32), the tf-idf terms of all texts, one text after another; `row_offsets`
(int64, one more than there are texts): text i has the terms from its i-th number up to the next.

| output | shape | what it is |
|---|---|---|
| `log_proba` | (texts, leaves) | Its `exp`: the leaves' probabilities, calibrated. |
| `scores` | {scores} |
| `features` | (texts, 24) | The random projections that monitoring compares. |

The temperature of the calibration, {temperature!r}, is a constant of the graph.

The cost of a text follows its own terms. Give some tens of texts at a time: memory grows by about
40 bytes for each weight of each of their terms.

## The code

`{package}/` is plain Python on top of numpy. It runs when you import it, never by loading the
graph. It holds copies of the modules of KTT that the model was trained with, which differ from
their originals in their imports alone.{stemmer}

It opens no connection, writes no file, starts no process, and loads no data that could carry code:
`vocabulary.npz` holds plain arrays.
"""

_STEMMER_NOTE = """ `{package}/snowballstemmer/` is the {language} stemmer
of the snowballstemmer package, unchanged, with its licence."""

_SCORES = {
    "hierarchical": "(texts, classes) | Before calibration: the log-probability of each class "
    "given its parent, level after level.",
    "flat": "(texts, leaves) | Before calibration: the log-probability of every leaf.",
}


def write_folder(model: SklearnModel, folder: Path) -> None:
    """Write everything but the manifest.

    Parameters
    ----------
    model : SklearnModel
        Trained.
    folder : Path
        Exists, and is empty.

    Raises
    ------
    UnsupportedError
        If the model is not trained, or its solver is not one of `ktt_models.sklearn.solvers`.
    """
    vectorizer = model.vectorizer
    package = package_of(model)
    arrays, params = model.solver.state_dict()
    if params.get("kind") not in _SCORES:
        raise UnsupportedError(
            f"{model.model_id}'s solver is not of a kind that can be written as a graph; "
            "the model needs an export_onnx of its own"
        )
    scorer = load_scorer(model.taxonomy, arrays, params)
    build_graph(scorer, model.temperature).write(
        folder / GRAPH_NAME,
        f"{model.model_id}: tf-idf rows in, log-probabilities of the leaves out.",
        {"model": model.model_id, "temperature": repr(model.temperature)},
    )
    write_hierarchy(model.taxonomy, folder)
    write_vocabulary(vectorizer, folder)
    write_preprocessor(model.preprocessor, folder)
    write_package(package, folder)
    note = ""
    if vectorizer.stem is not None:
        note = _STEMMER_NOTE.format(language=vectorizer.stem, package=PACKAGE)
    readme = _README.format(
        model=model.model_id,
        package=PACKAGE,
        temperature=model.temperature,
        scores=_SCORES[scorer.kind],
        stemmer=note,
    )
    if type(model.preprocessor) is not BasePreprocessor:
        readme += PREPROCESSOR_NOTE.format(package=PACKAGE)
    (folder / README_NAME).write_text(readme, encoding="utf-8")
