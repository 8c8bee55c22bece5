"""The folder of an export: the graph, the classes, and the code for the graph's inputs."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import tokenizers

from ktt_core.errors import UnsupportedError
from ktt_core.own_preprocessor import portable_source, text_preprocessor
from ktt_core.preprocessors import (
    SnowballStemmerPreprocessor,
    TransformerPreprocessor,
    token_rows,
)
from ktt_core.preprocessors.stored import write_preprocessor
from ktt_models.export.onnx_layout import (
    GRAPH_NAME,
    PREPROCESSOR_NOTE,
    README_NAME,
    write_hierarchy,
)
from ktt_models.export.package import PACKAGE, package_sources, write_package
from ktt_models.pytorch.onnx.graph import write_graph
from ktt_models.pytorch.onnx.network import ExportedNetwork

if TYPE_CHECKING:
    from ktt_core.quantization import QuantizationFigures
    from ktt_models.pytorch.model import PyTorchModel

__all__ = ["add_to_readme", "package_files", "package_of", "write_folder", "write_model"]

_README = """# {model}, as an ONNX graph

Needs Python 3.10 or later with onnxruntime 1.17 or later and tokenizers, and nothing else:

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
| `tokenizer.json` | The tokenizer, which cuts texts after {max_length} tokens. |
| `{package}/` | Python code, described below. |

## The graph

Encoder ({encoder}), head and calibrated decoding in one. Inputs, for a batch of texts
(`{package}.TextRows` makes them): `input_ids` and `attention_mask`, int64, (texts, tokens), padded
to the batch's longest text. Both sizes vary; a text has at most {max_length} tokens.

| output | shape | what it is |
|---|---|---|
| `log_proba` | (texts, leaves) | Its `exp`: the leaves' probabilities, calibrated. |
| `scores` | {scores} |
| `features` | (texts, {pooled}) | The encoder's features, averaged by 32, for monitoring. |

The temperature of the calibration, {temperature!r}, is a constant of the graph.

A batch costs what its longest text costs, times the texts: give texts of like length together.

## The code

`{package}/` is plain Python on top of numpy and tokenizers. It runs when you import it, never by
loading the graph. It holds copies of the modules of KTT that the model was trained with, which
differ from their originals in their imports alone. Without it, the `tokenizers` library gives the
same ids, since the file says itself how texts are cut and padded:
`tokenizers.Tokenizer.from_file("tokenizer.json").encode_batch(texts)`. Runs of white space and
control characters then have to be replaced by one space, and stripped, beforehand.

It opens no connection, writes no file, starts no process, and loads no data that could carry code.
"""

_QUANTIZED = """
## The smaller graph

`{path}` has the same inputs and outputs, and its weights are 8-bit integers, so its
answers are not quite the same. Measured when it was made, on {rows:,} rows of the dataset and with
{threads} {cores}:

| | `model.onnx` | `{path}` |
|---|---|---|
| size | {0.size_bytes:,} bytes | {1.size_bytes:,} bytes |
| hierarchical F1 | {0.hierarchical_f1:.4f} | {1.hierarchical_f1:.4f} |
| a text alone | {0.ms_alone:.2f} ms | {1.ms_alone:.2f} ms |
| a text of {batch_texts} at once | {0.ms_batched:.2f} ms | {1.ms_batched:.2f} ms |

Both have the same most probable path on {agreement:.2%} of the rows.
"""

_SCORES = {
    "levels": "(texts, classes) | Before calibration: what the head says of each class, level "
    "after level; the sum along a path is its log-score.",
    "leaves": "(texts, leaves) | Before calibration: the log-probability of every leaf.",
}


def write_folder(model: PyTorchModel, folder: Path) -> None:
    """Write everything but the manifest.

    Parameters
    ----------
    model : PyTorchModel
        Trained.
    folder : Path
        Exists, and is empty.

    Raises
    ------
    UnsupportedError
        If the model is not trained, or its network cannot be written as a graph.
    """
    package = package_of(model)
    outputs = write_model(model, folder)
    encoder, taxonomy = model.network.encoder, model.taxonomy
    preprocessor = _preprocessor_of(model)
    write_package(package, folder)
    readme = _README.format(
        model=model.model_id,
        package=PACKAGE,
        encoder=f"{encoder.config_json['config']['model_type']}, {encoder.width} features",
        max_length=preprocessor.max_length,
        pooled=outputs["features"],
        scores=_SCORES["leaves" if outputs["scores"] == taxonomy.n_leaves else "levels"],
        temperature=model.temperature,
    )
    if preprocessor.before is not None:
        readme += PREPROCESSOR_NOTE.format(package=PACKAGE)
    (folder / README_NAME).write_text(readme, encoding="utf-8")


def write_model(model: PyTorchModel, folder: Path) -> dict[str, int]:
    """Write the graph, the classes and the tokenizer; return the graph's outputs' columns.

    Raises
    ------
    UnsupportedError
        If the model is not trained, or its network cannot be written as a graph.
    """
    network, preprocessor = model.network, _preprocessor_of(model)
    own_source(model)
    width, taxonomy = network.encoder.width, model.taxonomy
    if next(network.parameters()).device.type != "cpu":
        network = copy.deepcopy(network).cpu()
    whole = ExportedNetwork(network, taxonomy, width, model.temperature).eval()
    metadata = {"model": model.model_id, "temperature": repr(model.temperature)}
    outputs = write_graph(whole, folder / GRAPH_NAME, preprocessor.max_length, metadata)
    write_hierarchy(taxonomy, folder)
    _write_tokenizer(preprocessor, folder)
    write_preprocessor(text_preprocessor(preprocessor), folder)
    return outputs


def _preprocessor_of(model: PyTorchModel) -> TransformerPreprocessor:
    preprocessor = model.preprocessor
    assert isinstance(preprocessor, TransformerPreprocessor)
    return preprocessor


def add_to_readme(folder: Path, figures: QuantizationFigures) -> None:
    """Describe a quantized graph that was added to a folder."""
    section = _QUANTIZED.format(
        figures.original,
        figures.quantized,
        path=figures.path,
        rows=figures.rows,
        threads=figures.threads,
        cores="core" if figures.threads == 1 else "cores",
        batch_texts=figures.batch_texts,
        agreement=figures.top_path_agreement,
    )
    with (folder / README_NAME).open("a", encoding="utf-8") as file:
        file.write(section)


def own_source(model: PyTorchModel) -> str | None:
    """Return the module of the model's own preprocessor, for the export.

    Raises
    ------
    UnsupportedError
        If it cannot be exported.
    """
    preprocessor = _preprocessor_of(model)
    if isinstance(preprocessor.before, SnowballStemmerPreprocessor):
        raise UnsupportedError(
            f"{model.model_id} is not exported: {type(preprocessor.before).__name__} stems words, "
            "and where an encoder is served there is no stemmer; train it without"
        )
    return portable_source(preprocessor, model.model_id)


def package_of(model: PyTorchModel) -> dict[str, bytes]:
    """Return the files of the package in a model's export by their paths in it.

    Raises
    ------
    UnsupportedError
        As `own_source`.
    """
    return package_files(own_source(model))


@cache
def package_files(own: str | None = None) -> dict[str, bytes]:
    """Return the files of the folder's package by their paths in it."""
    sources = package_sources(token_rows.__name__, "TokenRows", own)
    return {path: source.encode() for path, source in sources.items()}


def _write_tokenizer(preprocessor: TransformerPreprocessor, folder: Path) -> None:
    """Write the tokenizer, with truncation and padding in its file."""
    path = preprocessor.save(folder)
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    direction = (tokenizer.truncation or {}).get("direction", "right")
    tokenizer.enable_truncation(preprocessor.max_length, direction=direction)
    pad_id = preprocessor.pad_id
    tokenizer.enable_padding(pad_id=pad_id, pad_token=tokenizer.id_to_token(pad_id) or "")
    path.write_text(tokenizer.to_str(), encoding="utf-8")
