"""The export in ``testdata/`` is what an export writes, and answers as the model did.

It is there for the runtimes that serve exports but cannot write them. Run this file to write it
anew.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ktt_core.config import build_config
from ktt_core.model import Batch
from ktt_core.preprocessors.cleaning import clean_texts
from ktt_core.registry import get_model
from ktt_core.taxonomy import Taxonomy
from ktt_models.export.onnx_layout import IR_VERSION, OPSET
from ktt_models.pytorch.encoders.tiny import write_tiny_encoder

FOLDER = Path(__file__).parent / "testdata"
TAXONOMY = Taxonomy.from_paths([("a", "b", "c"), ("a", "b", "d"), ("a", "e"), ("f",), ("g", "h")])
LEARNED = ["running shoes for men", "tennis balls", "guitars", "a novel", "men running"]
TEXTS = [*LEARNED, "", "zzz \u2603", " SHOES,\tshoes\x00 and  Balls", "guitars " * 500]
TEMPERATURE = 0.8
MODEL = "db_achmcnn"
KEPT = ("model.onnx", "model.int8.onnx", "tokenizer.json")


def write(folder):
    """Write an export of a model with random weights, and its answers."""
    with tempfile.TemporaryDirectory() as made:
        encoder = write_tiny_encoder(Path(made) / "encoder", LEARNED, width=8, layers=1)
        model_class: Any = get_model(MODEL)
        values = {"encoder": str(encoder), "max_len": 12, "h_hidden_dim": 8}
        model = model_class(TAXONOMY, build_config(model_class.config_class, MODEL, values))
        model.build()
        model.temperature = TEMPERATURE
        exported = Path(made) / "export"
        exported.mkdir()
        model.export_onnx(exported)
        codes = np.zeros((len(LEARNED), TAXONOMY.depth), dtype=np.int32)
        model.quantize_onnx(exported, "int8", [Batch({"text": LEARNED}, codes)])
        folder.mkdir(exist_ok=True)
        for name in KEPT:
            (folder / name).write_bytes((exported / name).read_bytes())
        from ktt_core.decoding import leaf_log_proba

        levels = model.level_scores(model.preprocessor(clean_texts(TEXTS)))
        proba = np.exp(leaf_log_proba(levels, TAXONOMY, TEMPERATURE)).round(6).tolist()
    (folder / "answers.json").write_text(json.dumps({"texts": TEXTS, "proba": proba}) + "\n")


def test_it_is_of_the_format_that_is_written_today():
    for name in ("model.onnx", "model.int8.onnx"):
        graph = onnx.load(FOLDER / name)
        versions = {entry.domain: entry.version for entry in graph.opset_import}
        assert (graph.ir_version, versions[""]) == (IR_VERSION, OPSET), name
        assert [value.name for value in graph.graph.input] == ["input_ids", "attention_mask"]
        assert [value.name for value in graph.graph.output] == ["log_proba", "scores", "features"]


if __name__ == "__main__":
    write(FOLDER)
