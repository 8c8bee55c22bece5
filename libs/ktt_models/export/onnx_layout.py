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
#: File of the weights beside the graph's file, for large graphs.
EXTERNAL_DATA = "model.onnx.data"
HIERARCHY_NAME = "hierarchy.json"
README_NAME = "README.md"

#: Operator set of all graphs: supported by onnxruntime 1.14 and later, and the first with a
#: scattered maximum.
OPSET = 18
#: Version of the file format; readable by onnxruntime 1.14 and later.
IR_VERSION = 8

#: Weights up to this size are in the graph's own file: protobuf files are limited to 2 GiB.
MAX_FILE_BYTES = 1_500_000_000

#: Section of the README for models with their own preprocessor.
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
    """Check that a folder has the leaves of a taxonomy.

    Raises
    ------
    DataError
        If it has others, or its file cannot be read.
    """
    path = folder / HIERARCHY_NAME
    try:
        paths = json.loads(path.read_text(encoding="utf-8"))["leaf_paths"]
    except (KeyError, OSError, RecursionError, TypeError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if paths != [list(leaf) for leaf in taxonomy.leaf_paths]:
        raise DataError(f"{path} has other classes than the model")
