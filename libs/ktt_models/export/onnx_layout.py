"""The files of an exported folder that do not depend on the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ktt_core.errors import DataError
from ktt_core.taxonomy import Taxonomy

__all__ = [
    "EXTERNAL_DATA",
    "GRAPH_NAME",
    "HIERARCHY_NAME",
    "IR_VERSION",
    "MAX_FILE_BYTES",
    "OPSET",
    "PREPROCESSOR_NOTE",
    "README_NAME",
    "check_hierarchy",
    "write_hierarchy",
]

GRAPH_NAME = "model.onnx"
#: Beside the graph's file, where a graph is too large for one.
EXTERNAL_DATA = "model.onnx.data"
HIERARCHY_NAME = "hierarchy.json"
README_NAME = "README.md"

#: Of all graphs. onnxruntime 1.14 and later have all of it; it is the first with a scattered
#: maximum.
OPSET = 18
#: Of the file format; onnxruntime 1.14 and later read it.
IR_VERSION = 8

#: Weights up to this size are in the graph's own file: a protobuf file ends at 2 GiB.
MAX_FILE_BYTES = 1_500_000_000

#: What a README says further of a model with a preprocessor of its own.
PREPROCESSOR_NOTE = """
This model prepares texts in its own way before all else: `preprocessor.json` says how, and the code
is in `{package}/`, as its author wrote it. `TextRows` does it; whoever makes the inputs otherwise
has to do it, too.
"""

_HIERARCHY_VERSION = 1


def write_hierarchy(taxonomy: Taxonomy, folder: Path) -> None:
    """Write the classes, and the path of each column of ``log_proba``."""
    value: dict[str, Any] = {
        "format_version": _HIERARCHY_VERSION,
        "taxonomy": taxonomy.to_json(),
        "leaf_paths": [list(path) for path in taxonomy.leaf_paths],
    }
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    (folder / HIERARCHY_NAME).write_text(text + "\n", encoding="utf-8")


def check_hierarchy(folder: Path, taxonomy: Taxonomy) -> None:
    """See that a folder names the leaves as a taxonomy does.

    Raises
    ------
    DataError
        If it names others, or its file cannot be read.
    """
    path = folder / HIERARCHY_NAME
    try:
        paths = json.loads(path.read_text(encoding="utf-8"))["leaf_paths"]
    except (KeyError, OSError, RecursionError, TypeError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if paths != [list(leaf) for leaf in taxonomy.leaf_paths]:
        raise DataError(f"{path} has other classes than the model")
