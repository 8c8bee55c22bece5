"""An export answers where models are served: with onnxruntime, numpy and tokenizers alone.

Runs under the serving runtime's Python and onnxruntime too. ``testdata_test.py`` writes the export.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from ktt_core.preprocessors.token_rows import TokenRows

FOLDER = Path(__file__).parent / "testdata"
ANSWERS = json.loads((FOLDER / "answers.json").read_text())
TEXTS = ANSWERS["texts"]
EXPECTED = np.array(ANSWERS["proba"])


def answered(texts, name="model.onnx"):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(FOLDER / name), options, providers=["CPUExecutionProvider"]
    )
    log_proba, scores, features = session.run(
        ["log_proba", "scores", "features"], TokenRows(FOLDER)(texts)
    )
    assert features.shape == (len(texts), 1)
    assert len(scores) == len(texts)
    return np.exp(log_proba)


def test_it_answers_as_the_model_did():
    np.testing.assert_allclose(answered(TEXTS), EXPECTED, atol=3e-6)
    assert np.ptp(EXPECTED, axis=0).max() > 1e-3


def test_texts_may_come_one_by_one():
    single = np.concatenate([answered([text]) for text in TEXTS])
    np.testing.assert_allclose(single, EXPECTED, atol=3e-6)


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1]])
def test_the_quantized_graph_answers_nearly_so(texts):
    found = answered(texts, "model.int8.onnx")
    np.testing.assert_allclose(found, EXPECTED[: len(texts)], atol=0.05)
    assert (found != EXPECTED[: len(texts)].astype(np.float32)).any()
